"""The callback gives an optimizer its groups, logs the field, and goes on from a checkpoint in either phase."""

import warnings
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from autorf.errors import InputError
from autorf.methods import Inflation, LearnedDilation
from autorf.surgery import learned_values
from autorf.training.callback import ReceptiveFieldCallback
from tests.training.test_callback import METHOD, Theirs, fitted, images, trainer_with

REGION = Inflation(start="1", end="1")


class Plain(Theirs):
    """Makes its optimizer as if there were no methods."""

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class Scheduled(Theirs):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]


class SeedsEpochs(lightning.Callback):
    """A search draws at random, and Lightning's checkpoints do not hold where random numbers are."""

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: object, batch_idx: int
    ) -> None:
        # Not as the epoch starts: then the loader draws too, but not in an epoch that a training is resumed with.
        if batch_idx == 0:
            torch.manual_seed(trainer.current_epoch)


def state_of(module: lightning.LightningModule) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same(one: lightning.LightningModule, other: lightning.LightningModule) -> None:
    mine, theirs = state_of(one), state_of(other)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert learned_values(one) == learned_values(other)


def test_an_optimizer_without_groups_is_given_them_and_trains_as_one_that_has_them() -> None:
    plain, grouped = Plain(), Theirs()
    trainer = fitted(plain, ReceptiveFieldCallback(REGION, module="model"))
    fitted(grouped, ReceptiveFieldCallback(REGION, module="model"))
    assert [group["weight_decay"] for group in trainer.optimizers[0].param_groups] == [0.01, 0.0]
    assert_same(plain, grouped)


def test_an_optimizer_with_a_scheduler_is_refused_with_the_line() -> None:
    with pytest.raises(
        InputError, match=r"Scheduled\.configure_optimizers \(test_callback_groups.py, line \d+\): .*"
    ) as e:
        fitted(Scheduled(), ReceptiveFieldCallback(REGION, module="model"))
    assert "torch.optim.AdamW(autorf.parameter_groups(self, lr=...))" in str(e.value)


def test_a_scheduler_is_no_matter_where_a_method_has_no_parameters() -> None:
    trainer = fitted(Scheduled(), ReceptiveFieldCallback(METHOD, module="model"))
    assert len(trainer.optimizers[0].param_groups) == 1


@pytest.mark.parametrize(("given", "rnorm"), [(None, 7 / 12), (24, 7 / 24)])
def test_the_field_is_logged_with_what_was_learned(given: int | None, rnorm: float, tmp_path: Path) -> None:
    callback = ReceptiveFieldCallback(LearnedDilation(targets="1", search=0.5, rates=(2,)), 3, "model", given)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=CSVLogger(tmp_path), enable_checkpointing=False, callbacks=[callback],
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(Theirs(), images(), images())
    logged = trainer.logged_metrics
    assert (float(logged["dilation"]), float(logged["rf"])) == (2, 7)
    assert float(logged["rnorm"]) == pytest.approx(rnorm)


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("method", [METHOD, Inflation(start="1", end="1", search=0.5)])
@pytest.mark.parametrize("kind", [Theirs, Plain])
def test_a_training_goes_on_in_its_search_and_behind_it_as_if_it_had_not_stopped(
    kind: type[Theirs], method: Any, epochs: int, tmp_path: Path
) -> None:
    whole = kind()
    fitted(whole, SeedsEpochs(), ReceptiveFieldCallback(method, module="model"), epochs=3)
    half = kind()

    class Cut(lightning.Callback):
        def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
            if trainer.current_epoch == epochs - 1:
                trainer.save_checkpoint(tmp_path / "cut.ckpt")
                trainer.should_stop = True

    with warnings.catch_warnings():
        # It ends in its search, on purpose.
        warnings.filterwarnings("ignore", message="the search of|nothing was searched")
        fitted(half, SeedsEpochs(), ReceptiveFieldCallback(method, module="model"), Cut(), epochs=3)
    again = kind()
    trainer = trainer_with(SeedsEpochs(), ReceptiveFieldCallback(method, module="model"), epochs=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(again, images(), images(), ckpt_path=tmp_path / "cut.ckpt", weights_only=False)
    assert trainer.global_step == 12
    assert_same(again, whole)
