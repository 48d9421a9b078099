import errno
import os
import warnings
from contextlib import suppress
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import nn

from autorf.data import DigitsData, Splits, load
from autorf.errors import InputError
from autorf.methods import LearnedDilation
from autorf.surgery import adapt
from autorf.training.batches import EpochBatches, loader
from autorf.training.callback import ReceptiveFieldCallback
from autorf.training.checkpoint import EpochCheckpoint, SafetensorsIO
from autorf.training.class_weights import class_weights
from autorf.training.module import SegmentationModule
from autorf.training.packing import pack, unpack
from autorf.training.results import EpochReport, Field
from autorf.training.resuming import NAMES, clear_checkpoints, newest_checkpoint, write_checkpoint
from autorf.training.schedule import warmup_cosine
from autorf.training.spec import TrainingSpec

SPEC = TrainingSpec(epochs=3, batch_size=8, lr=1e-2)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load(DigitsData(image_size=(32, 32), object_size=(16,), n_train=24, n_val=8, n_test=0))


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 11, 1))
    return adapt(model, LearnedDilation(targets=("0",), rates=(1, 2, 4), search=0.6))


def train(folder: Path, splits: Splits, stop_after: int | None = None) -> tuple[nn.Module, list[EpochReport]]:
    """Train 9 steps, 5 of them searching, from the newest checkpoint, or until killed behind ``stop_after`` epochs."""
    model, reported = network(), []

    def report(epoch: EpochReport) -> None:
        reported.append(epoch)

    class KilledError(Exception):
        pass

    class KillAfter(lightning.Callback):
        def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
            if trainer.current_epoch == stop_after:
                raise KilledError

    checkpoint = EpochCheckpoint(folder, 0, lambda: Field((3, 3), 0.1), report)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=SPEC.epochs,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[ReceptiveFieldCallback(), KillAfter(), checkpoint],
            plugins=[SafetensorsIO()],
        )
        with suppress(KilledError):
            trainer.fit(
                SegmentationModule(model, SPEC, splits),
                loader(splits.train, SPEC.batch_size, 0, shuffle=True),
                loader(splits.val, SPEC.batch_size, 0, shuffle=False),
                ckpt_path=newest_checkpoint(folder)[0],
                weights_only=True,
            )
    return model, reported


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def without_time(reported: list[EpochReport]) -> list[EpochReport]:
    return [replace(epoch, seconds=None, cpu_seconds=None) for epoch in reported]


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_training_killed_in_either_phase_continues_to_the_same_bits(
    tmp_path: Path, splits: Splits, stop_after: int
) -> None:
    whole, expected = train(tmp_path / "whole", splits)
    _, first = train(tmp_path / "cut", splits, stop_after=stop_after)
    resumed, rest = train(tmp_path / "cut", splits)
    assert len(first) == stop_after
    assert without_time(first + rest) == without_time(expected)
    assert same(resumed, whole)


def test_a_truncated_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path: Path, splits: Splits) -> None:
    folder = tmp_path / "cut"
    whole, _ = train(tmp_path / "whole", splits)
    train(folder, splits, stop_after=2)
    newest, previous = (folder / name for name in NAMES)
    newest.write_bytes(newest.read_bytes()[:1000])
    path, notes = newest_checkpoint(folder, reached=2)
    assert path == previous
    assert "checkpoint.safetensors is cut or damaged" in notes[0]
    assert "continued from the checkpoint before" in notes[0]
    assert same(train(folder, splits)[0], whole)
    newest.write_bytes(b"")
    previous.write_bytes(b"")
    path, notes = newest_checkpoint(folder, reached=2)
    assert path is None
    assert "started afresh" in notes[0]
    clear_checkpoints(folder)
    assert list(folder.iterdir()) == []
    assert newest_checkpoint(folder, reached=2) == (None, ["no checkpoint is left of 2 epochs; started afresh"])
    assert newest_checkpoint(folder, reached=1) == (None, [])


def test_a_full_disk_leaves_the_checkpoint_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path, pack({"epoch": 1}))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, pack({"epoch": 2}))
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[0]]
    path, _ = newest_checkpoint(tmp_path)
    assert path is not None
    assert unpack(path.read_bytes()) == {"epoch": 1}


def test_a_loss_that_is_no_number_ends_the_training_with_that_reason(splits: Splits) -> None:
    module = SegmentationModule(nn.Conv2d(3, 11, 1), SPEC, splits)
    image, mask = splits.train.tensors([0, 1])
    with pytest.raises(FloatingPointError, match="loss became nan at step"):
        module.training_step((image * float("nan"), mask), 0)


def test_scores_of_another_size_or_in_a_mapping_are_resized_to_the_image(splits: Splits) -> None:
    class Coarse(nn.Module):
        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"out": torch.zeros(len(image), 11, 8, 8)}

    assert SegmentationModule(Coarse(), SPEC, splits)(torch.zeros(2, 3, 32, 32)).shape == (2, 11, 32, 32)


def test_batches_depend_on_seed_and_epoch_only_and_cover_every_image(splits: Splits) -> None:
    order = EpochBatches(splits.train, 7, 3, shuffle=True)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    order.set_epoch(0)
    assert list(order) == first != second
    assert sorted(chain(*first)) == list(range(24))
    assert [len(batch) for batch in first] == [7, 7, 7, 3]
    assert len(EpochBatches(splits.train, 23, 0, shuffle=True)) == 1
    assert sorted(chain(*EpochBatches(splits.train, 23, 0, shuffle=False))) == list(range(24))


def test_balanced_weights_favour_rare_classes_and_average_one(splits: Splits) -> None:
    weights = class_weights(splits)
    assert weights[0] == weights.min() < 0.5
    assert weights[weights > 0].mean() == pytest.approx(1)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    factor = warmup_cosine(100, 10)
    values = [factor(step) for step in range(101)]
    assert max(values) == values[10] == 1.0
    assert values[0] == pytest.approx(1 / 11)
    assert values[100] == pytest.approx(0)
    assert all(a < b for a, b in pairwise(values[:11]))


def test_the_callback_refuses_a_training_without_an_end(splits: Splits) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=-1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[ReceptiveFieldCallback()],
        )

        class Plain(SegmentationModule):
            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=0.1)

        with pytest.raises(InputError, match="set max_epochs or max_steps"):
            trainer.fit(Plain(nn.Conv2d(3, 11, 1), SPEC, splits), loader(splits.train, 8, 0, shuffle=True))


@pytest.mark.parametrize("fields", [{"seeds": []}, {"seeds": [1, 1]}, {"epochs": -1}, {"lr": 0}, {"warmup": 1.0}])
def test_training_settings_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        TrainingSpec(**fields)
