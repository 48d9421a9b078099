"""A trial's checkpoint after every epoch, and what the epoch measured.

Where a training is counted in steps, an epoch here is a period of ``training.validate_every`` steps.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from autorf.surgery import learned_values
from autorf.training.early_stop import EarlyStop
from autorf.training.module import SegmentationModule
from autorf.training.packing import moved, pack, unpack
from autorf.training.parallel import own_shard
from autorf.training.results import EpochReport, Field
from autorf.training.resuming import NAMES, write_checkpoint
from autorf.training.trace import Trace


class EpochCheckpoint(Checkpoint):
    """Reports each epoch's measurements, then saves everything that the next epoch needs.

    Random numbers are drawn from a state that depends on seed and epoch only, so a resumed training is the
    uninterrupted one.

    Args:
        folder: the trial's own.
        seed: of the trial.
        field: measures the receptive field now.
        report: receives what every epoch measured; of several processes, the first's does.
        stopped: asked after each epoch's checkpoint whether to end the training there.
        reached: how many epochs were received before; those that only the checkpoint knows are reported again.
        steps: after which the training ends, maybe within its last period; None for the end of its last epoch.
        early_stop: ends the training where it no longer improves; None trains it to its end.

    Attributes:
        history: what was reported, epoch by epoch.
        seconds: spent in training so far.
        cpu_seconds: of processor time, all processes and threads together; 0 where a GPU trains.
        notes: what went wrong with earlier checkpoints.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        field: Callable[[], Field],
        report: Callable[[EpochReport], None],
        stopped: Callable[[], bool] = lambda: False,
        reached: int | None = None,
        steps: int | None = None,
        early_stop: EarlyStop | None = None,
    ) -> None:
        self.folder, self.seed, self.field, self.report, self.stopped = folder, seed, field, report, stopped
        self.reached, self.steps, self.early_stop = reached, steps, early_stop
        self.history: list[EpochReport] = []
        self.seconds, self.cpu_seconds = 0.0, 0.0
        self.notes: list[str] = []
        self._trace = Trace()
        self._said_again = False
        self._since, self._cpu_since = time.perf_counter(), time.process_time()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clocks; end a training that was stopped where it is resumed."""
        # Whoever hears an epoch again answers it again, maybe with a stop.
        answered = own_shard().first and self._said_again
        stopped = bool(trainer.strategy.broadcast(answered and self.stopped()))
        trainer.should_stop = stopped or self.stopped_early
        self._since, self._cpu_since = time.perf_counter(), time.process_time()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Draw each epoch's random numbers from its own state; note what the methods learned so far.

        They have entered this step before, as checkpoints come last. The state is not the epoch's at its very start:
        then the loader draws too, but not in an epoch that a training is resumed with.
        """
        if batch_idx == 0:
            torch.manual_seed(self.seed * 100_003 + trainer.current_epoch)
        self._trace.note(pl_module, trainer.global_step, batch_idx, int(trainer.num_training_batches))

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """End a last period that is shorter than the others as they end: validated, reported and saved.

        Lightning's own ``max_steps`` would take every checkpoint for one from the middle of an epoch.
        """
        if self.steps is not None and trainer.global_step >= self.steps:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report and save; Lightning calls checkpoint callbacks last."""
        assert isinstance(pl_module, SegmentationModule)
        self._read_clocks(trainer)
        self.history.append(self._measured(trainer, pl_module))
        self._say(self.history[-1])
        # Asked of every process, written by the first.
        trainer.save_checkpoint(self.folder / NAMES[0])
        stopped = trainer.strategy.broadcast(own_shard().first and self.stopped())
        trainer.should_stop = trainer.should_stop or stopped or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether the training ended, or ends here, because it no longer improves."""
        return self.early_stop is not None and self.early_stop.due(self.history)

    def _read_clocks(self, trainer: lightning.Trainer) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        if trainer.strategy.root_device.type == "cpu":
            spent = torch.tensor(cpu - self._cpu_since, dtype=torch.float64)
            self.cpu_seconds += float(trainer.strategy.reduce(spent, reduce_op="sum"))
        self.seconds += now - self._since
        self._since, self._cpu_since = now, cpu

    def _say(self, epoch: EpochReport) -> None:
        if own_shard().first:
            self.report(epoch)

    def _measured(self, trainer: lightning.Trainer, module: SegmentationModule) -> EpochReport:
        validation = module.validation_scores
        assert validation is not None
        return EpochReport(
            epoch=trainer.current_epoch,
            loss=module.train_loss,
            metrics=validation.by_name,
            groups=validation.known_groups,
            learned=learned_values(module.model),
            field=self.field(),
            steps=trainer.global_step,
            seconds=round(self.seconds, 2),
            cpu_seconds=round(self.cpu_seconds, 2) if self.cpu_seconds else None,
            trace=self._trace.taken(),
        )

    def state_dict(self) -> dict[str, Any]:
        """What was reported so far."""
        clocks = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        return {"history": [epoch.to_json() for epoch in self.history], **clocks, "notes": self.notes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the report."""
        self.history = [EpochReport.from_json(epoch) for epoch in state_dict["history"]]
        self.seconds, self.cpu_seconds = state_dict["seconds"], state_dict.get("cpu_seconds", 0.0)
        self.notes = [*state_dict["notes"], *self.notes]
        again = self.history[self.reached :] if self.reached is not None else []
        for epoch in again:
            self._say(epoch)
        self._said_again = bool(again)


class SafetensorsIO(CheckpointIO):
    """Lightning's checkpoints as one safetensors file with JSON in its header, see :mod:`autorf.training.packing`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Make ``checkpoint`` the newest of its folder."""
        folder = Path(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        write_checkpoint(folder, pack(checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """The checkpoint at ``path``; it holds plain values and tensors only, whatever ``weights_only`` says."""
        loaded: dict[str, Any] = unpack(Path(path).read_bytes())
        return loaded if map_location is None or callable(map_location) else moved(loaded, map_location)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the checkpoint at ``path``."""
        Path(path).unlink(missing_ok=True)
