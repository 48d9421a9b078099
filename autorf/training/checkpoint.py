"""A trial's checkpoint after every epoch, and what the epoch measured."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from autorf.surgery import learned_values
from autorf.training.module import SegmentationModule
from autorf.training.resuming import NAMES


class EpochCheckpoint(Checkpoint):
    """Reports each epoch's measurements, then saves everything that the next epoch needs.

    Random numbers are drawn from a state that depends on seed and epoch only, so a resumed training is the
    uninterrupted one.

    Args:
        folder: the trial's own.
        seed: of the trial.
        field: measures the receptive field now.
        report: receives one mapping an epoch.
        stopped: asked after each epoch's checkpoint whether to end the training there.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        field: Callable[[], dict[str, Any]],
        report: Callable[[dict[str, Any]], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder, self.seed, self.field, self.report, self.stopped = folder, seed, field, report, stopped
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._since = time.perf_counter()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw this epoch's random numbers from its own state."""
        torch.manual_seed(self.seed * 100_003 + trainer.current_epoch)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report and save; Lightning calls checkpoint callbacks last."""
        assert isinstance(pl_module, SegmentationModule)
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        self.history.append(self._measured(trainer.current_epoch, pl_module))
        self.report(self.history[-1])
        self._save(trainer)
        trainer.should_stop = trainer.should_stop or self.stopped()

    def _measured(self, epoch: int, module: SegmentationModule) -> dict[str, Any]:
        validation = module.validation_scores
        assert validation is not None
        return {
            "epoch": epoch,
            "loss": module.train_loss,
            "miou": validation.miou,
            "f1": validation.f1,
            "pixel_accuracy": validation.pixel_accuracy,
            **learned_values(module.model),
            **self.field(),
            "seconds": round(self.seconds, 2),
        }

    def _save(self, trainer: lightning.Trainer) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        newest, previous = (self.folder / name for name in NAMES)
        partial = self.folder / "checkpoint.partial"
        trainer.save_checkpoint(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        if newest.exists():
            newest.replace(previous)
        partial.replace(newest)

    def state_dict(self) -> dict[str, Any]:
        """What was reported so far."""
        return {"history": self.history, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the report."""
        self.history = list(state_dict["history"])
        self.seconds = state_dict["seconds"]


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a trial that can be read whole, or None to start afresh."""
    for name in NAMES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            print(f"{path}: unreadable ({type(error).__name__}); falling back to the checkpoint before", flush=True)
            continue
        return path
    return None
