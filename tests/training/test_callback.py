"""The callback in trainings of other people's modules."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from autorf.errors import InputError, SearchWarning
from autorf.methods import Inflation, LearnedDilation
from autorf.surgery import adapt, adaptations, learned_values, parameter_groups
from autorf.training.callback import ReceptiveFieldCallback

METHOD = LearnedDilation(targets="1", search=0.5)
BATCHES, EPOCHS = 4, 3


class Theirs(lightning.LightningModule):
    """A module that knows nothing of autorf but its parameter groups."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
        self.model = nn.Sequential(*layers)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(parameter_groups(self, lr=1e-2))

    def loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return nn.functional.cross_entropy(self.model(batch[0]), (batch[0].mean(1) > 0.5).long())

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor | None:
        return self.loss(batch)

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.log("loss", self.loss(batch))

    test_step = validation_step


def images() -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    return DataLoader(TensorDataset(torch.rand(2 * BATCHES, 3, 12, 12, generator=generator)), batch_size=2)


def trainer_with(*callbacks: lightning.Callback, epochs: int = EPOCHS, **settings: Any) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=list(callbacks), **settings,
    )  # fmt: skip


def fitted(module: lightning.LightningModule, *callbacks: lightning.Callback, **settings: Any) -> lightning.Trainer:
    trainer = trainer_with(*callbacks, **settings)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(module, images(), images())
    return trainer


def quietly(run: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        run()


def test_the_callback_is_the_only_line_and_says_what_was_found(caplog: pytest.LogCaptureFixture) -> None:
    module = Theirs()
    logging.getLogger("lightning.pytorch").propagate = True
    with caplog.at_level(logging.INFO, logger="lightning.pytorch"):
        fitted(module, ReceptiveFieldCallback(METHOD, module="model"))
    assert module.model[1].record.ended
    assert module.model[1].record.heard == BATCHES * EPOCHS // 2
    assert (
        f"ReceptiveFieldCallback, after {BATCHES * EPOCHS} steps:\nmodel.1  learned_dilation  dilation" in caplog.text
    )


def test_it_is_the_training_of_a_module_that_adapts_itself() -> None:
    class Adapted(Theirs):
        def __init__(self) -> None:
            super().__init__()
            adapt(self.model, METHOD)

    ours, by_callback = Adapted(), Theirs()
    fitted(ours, ReceptiveFieldCallback())
    fitted(by_callback, ReceptiveFieldCallback(METHOD, module="model"))
    for name, value in ours.state_dict().items():
        assert torch.equal(by_callback.state_dict()[name], value), name


class InSetup(Theirs):
    def setup(self, stage: str) -> None:
        adapt(self.model, METHOD)


class InConfigureModel(Theirs):
    def configure_model(self) -> None:
        adapt(self.model, METHOD, Inflation(start="3", end="3"))


@pytest.mark.parametrize(
    ("kind", "arguments"), [(InSetup, ()), (InConfigureModel, ()), (Theirs, (LearnedDilation(targets=r"model\.1"),))]
)
def test_fit_then_test_then_fit_again_adapts_once_and_keeps_what_was_fixed(
    kind: type[Theirs], arguments: tuple[Any, ...]
) -> None:
    module = kind()
    trainer = fitted(module, ReceptiveFieldCallback(*arguments))
    n_adaptations, values = len(adaptations(module)), learned_values(module)["dilation"]
    quietly(lambda: trainer.test(module, images(), verbose=False))
    fitted(module, ReceptiveFieldCallback(*arguments))
    assert len(adaptations(module)) == n_adaptations
    assert learned_values(module)["dilation"] == values


def test_another_method_on_the_same_layer_is_still_refused() -> None:
    module = InSetup()
    with pytest.raises(InputError, match="'1' is already a target of the earlier learned_dilation"):
        fitted(module, ReceptiveFieldCallback(LearnedDilation(targets="1", search=0.3), module="model"))


class TwoOptimizers(Theirs):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.seen: list[float] = []

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.model[at].parameters(), lr=0.01) for at in (1, 3)]

    def training_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.seen.append(self.model[1].record.progress)
        loss = self.loss(batch)
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()


def test_of_several_optimizers_batches_are_counted() -> None:
    module = TwoOptimizers()
    fitted(module, ReceptiveFieldCallback(METHOD, module="model"))
    steps = BATCHES * EPOCHS
    assert module.seen[: steps // 2] == pytest.approx([2 * step / steps for step in range(steps // 2)])
    assert module.model[1].record.heard == steps // 2


def test_weight_averaging_does_not_lengthen_the_training() -> None:
    averaged, plain = Theirs(), Theirs()
    callback = ReceptiveFieldCallback(METHOD, module="model")
    fitted(averaged, callback, StochasticWeightAveraging(1e-2, swa_epoch_start=2))
    fitted(plain, ReceptiveFieldCallback(METHOD, module="model"))
    assert callback.total_steps == BATCHES * EPOCHS
    assert averaged.model[1].record == plain.model[1].record


def test_a_moving_average_of_buffers_ends_in_the_phase_and_dilation_of_the_training() -> None:
    averaged, plain = Theirs(), Theirs()
    fitted(averaged, ReceptiveFieldCallback(METHOD, module="model"), EMAWeightAveraging(decay=0.9))
    fitted(plain, ReceptiveFieldCallback(METHOD, module="model"))
    assert learned_values(averaged.eval()) == learned_values(plain)
    assert averaged.model[1].record.ended


def test_a_model_that_was_copied_before_it_is_adapted_is_refused() -> None:
    with pytest.raises(InputError, match="put it before StochasticWeightAveraging in callbacks"):
        fitted(Theirs(), StochasticWeightAveraging(1e-2), ReceptiveFieldCallback(METHOD, module="model"))


class StopAfter(lightning.Callback):
    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def test_a_training_that_stops_in_its_search_is_told_so_and_one_behind_it_is_not() -> None:
    early, late = Theirs(), Theirs()
    with pytest.warns(SearchWarning, match="the search of 'model.1' is not over, 67% of it is done"):
        fitted(early, ReceptiveFieldCallback(METHOD, module="model"), StopAfter(1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(late, ReceptiveFieldCallback(METHOD, module="model"), StopAfter(2))
    assert late.model[1].record.ended
    assert not any("not over" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("steps", [6, None])
def test_steps_may_still_be_given_first(steps: int | None) -> None:
    callback = ReceptiveFieldCallback(steps)
    assert (callback.steps, callback.methods) == (steps, ())


def test_what_is_no_method_and_no_module_is_named() -> None:
    with pytest.raises(InputError, match="takes methods such as"):
        ReceptiveFieldCallback(["learned_dilation"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="the Theirs has no module 'net' yet; build the network in __init__"):
        fitted(Theirs(), ReceptiveFieldCallback(METHOD, module="net"))


def test_what_was_found_is_read_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[nn.Module] = []
    monkeypatch.setattr("autorf.training.callback.describe", described.append)
    module, callback = Theirs(), ReceptiveFieldCallback(METHOD, module="model")
    trainer = fitted(module, callback)
    described.clear()
    monkeypatch.setattr(type(trainer), "is_global_zero", False)
    callback.on_train_end(trainer, module)
    assert described == [module]


def test_a_checkpoint_carries_the_record_and_a_training_by_another_method_does_not_go_on_from_it(
    tmp_path: Path,
) -> None:
    trainer = fitted(Theirs(), ReceptiveFieldCallback(METHOD, module="model"), epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    saved = torch.load(tmp_path / "one.ckpt", weights_only=False)
    assert "learned_dilation" in saved["autorf_record"]
    again = trainer_with(ReceptiveFieldCallback(METHOD, module="model"), epochs=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        again.fit(Theirs(), images(), images(), ckpt_path=tmp_path / "one.ckpt", weights_only=False)
        assert again.global_step == 2 * BATCHES
        other = trainer_with(ReceptiveFieldCallback(LearnedDilation(targets="1", search=0.3), module="model"), epochs=2)
        with pytest.raises(InputError, match=r"the checkpoint is of a training by .*; adapt as it was"):
            other.fit(Theirs(), images(), images(), ckpt_path=tmp_path / "one.ckpt", weights_only=False)


def test_a_callback_that_is_added_after_the_training_began_says_so() -> None:
    class AddsLate(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if not any(isinstance(each, ReceptiveFieldCallback) for each in trainer.callbacks):
                trainer.callbacks.append(ReceptiveFieldCallback())

    with pytest.raises(InputError, match=r"added after the training began; give it to Trainer\(callbacks="):
        fitted(Theirs(), AddsLate())
