"""The callback that puts methods into a model, and moves them through a training."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.methods.base import Method
from autorf.ops._arguments import image_sides, kind_of, whole_number
from autorf.surgery import adapt, adaptations, advance, describe, learned_values
from autorf.surgery.dry_run import input_channels
from autorf.surgery.repetition import all_done, allow_repetition
from autorf.surgery.verification import say_problems
from autorf.training.field_meter import FieldMeter
from autorf.training.gradient_scale import check_gradient_scale
from autorf.training.method_record import in_brief, is_same, methods_in
from autorf.training.own_groups import LINE, give_groups
from autorf.training.results import Field

RECORD = "autorf_record"
"""The key of a checkpoint that says what was changed in the model."""

COPIES = (StochasticWeightAveraging, WeightAveraging)
"""Callbacks that copy the model when they are set up."""


class ReceptiveFieldCallback(lightning.Callback):
    """Plug this into any Lightning training; with a method it adapts the model, so that it is the only line needed.

    Before every optimizer step it opens, narrows or closes windows, holds and clamps ``f`` and the like; after every
    epoch it logs what was learned (``f``, ``dilation``, ...) and the receptive field (``rf``, its longer side in
    pixels, and ``rnorm``), and after a fit it says what was found, or that it was not. Every checkpoint holds what was
    changed, and a training goes on from one in whichever phase it is. Without a method, adapt the model before the
    optimizer is made: in the module's ``__init__``, ``setup`` or ``configure_model``, which may run again for the same
    model.

    An optimizer that ``configure_optimizers`` makes without ``autorf.parameter_groups(self, lr)`` is given the groups
    of the methods' parameters before its first step; one that has a scheduler cannot be, and is refused.

    Args:
        method: one or several to adapt by; None where the module itself does. A number is taken for ``steps``.
        steps: optimizer steps of the whole training, where Lightning cannot know them; None for what it says.
        module: the name, in the Lightning module, of the network that is adapted; targets are names within it. Empty
            for the Lightning module itself.
        image_size: side or ``(height, width)`` in pixels by which the field is measured; None for the images of the
            first batch.

    Raises:
        InputError: when the length of the training is not known, the model was copied before it is adapted, an
            optimizer lacks the methods' groups and has a scheduler, or the callback was added after the training began.

    Examples:
        >>> import autorf, lightning
        >>> method = autorf.LearnedDilation(targets=r"backbone\\.layer4\\..*\\.conv2")
        >>> trainer = lightning.Trainer(
        ...     max_epochs=12,
        ...     callbacks=[autorf.ReceptiveFieldCallback(method, module="model")],
        ...     logger=False,
        ...     accelerator="cpu",
        ... )
    """

    def __init__(
        self,
        method: Method | Sequence[Method] | int | None = None,
        steps: int | None = None,
        module: str = "",
        image_size: int | tuple[int, int] | None = None,
    ) -> None:
        if isinstance(method, int):
            method, steps = None, method
        self.methods: tuple[Method, ...] = _several(method)
        self.steps = None if steps is None else whole_number("ReceptiveFieldCallback", "steps", steps)
        if not isinstance(module, str):
            raise InputError(f"ReceptiveFieldCallback: module must be a name, got {kind_of(module)}")
        self.module = module
        self.image_size = None if image_size is None else image_sides("ReceptiveFieldCallback", image_size)
        self.total_steps = 0
        self._field: FieldMeter | None = None

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Adapt the model, before the module's own ``setup`` and its optimizers."""
        # Weight averaging adds an epoch later, in which nothing is learned.
        self._epochs = trainer.max_epochs
        allow_repetition(pl_module)
        if not self.methods:
            return
        network = _network(pl_module, self.module)
        if not all_done(self.methods, [done.method for done in adaptations(network)]):
            self._check_order(trainer)
            adapt(network, *self.methods)

    def _check_order(self, trainer: lightning.Trainer) -> None:
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        earlier = [each for each in callbacks[: callbacks.index(self)] if isinstance(each, COPIES)]
        if earlier:
            raise InputError(
                f"ReceptiveFieldCallback: put it before {type(earlier[0]).__name__} in callbacks, which copies the "
                "model as it is before it is adapted"
            )

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Give the methods' parameters their optimizer groups where the module has not; before a state is restored."""
        if not adaptations(pl_module):
            return
        scheduled = [config.scheduler.optimizer for config in trainer.lr_scheduler_configs]
        if give_groups(pl_module, _network(pl_module, self.module), trainer.optimizers, scheduled) is not None:
            rank_zero_info(f"ReceptiveFieldCallback: gave the optimizer the methods' groups; its line would be {LINE}")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Refuse a training without an end: the search phase is a share of it."""
        self.total_steps = self.steps or self._length(trainer)
        for optimizer in trainer.optimizers:
            check_gradient_scale(pl_module, optimizer)

    def _length(self, trainer: lightning.Trainer) -> int:
        batches, epochs = trainer.num_training_batches, self._epochs or 0
        steps = float(trainer.estimated_stepping_batches)
        if _counts_batches(trainer):
            steps = batches * epochs if epochs > 0 else math.inf
            steps = min(steps, math.inf if trainer.max_steps < 0 else trainer.max_steps / len(trainer.optimizers))
        elif epochs > 0 and epochs != trainer.max_epochs and batches != math.inf:
            steps = min(steps, math.ceil(batches / trainer.accumulate_grad_batches) * epochs)
        if not 1 <= steps < math.inf:
            raise InputError("ReceptiveFieldCallback needs a training of known length: set max_epochs or max_steps")
        return int(steps)

    def _advance(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        advance(pl_module, min(_steps_done(trainer), self.total_steps), self.total_steps)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save with each checkpoint what was changed in the model: the state alone does not say it."""
        checkpoint[RECORD] = _record(pl_module)

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to go on from a training by other methods; checkpoints of before say nothing.

        Raises:
            InputError: naming both.
        """
        saved = checkpoint.get(RECORD)
        if saved is None:
            return
        (stored, their_names), (own, names) = _methods_and_names(saved), _methods_and_names(_record(pl_module))
        if their_names != names or not is_same(stored, own):
            raise InputError(
                f"ReceptiveFieldCallback: the checkpoint is of a training by {in_brief(stored)} of {their_names}, this "
                f"one by {in_brief(own)} of {names}; adapt as it was"
            )

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Enter the state of this step."""
        if self.total_steps == 0:
            raise InputError(
                "ReceptiveFieldCallback was added after the training began; give it to Trainer(callbacks=[...])"
            )
        if self._field is None and trainer.logger is not None and adaptations(pl_module):
            self._field = self._meter(pl_module, batch)
        self._advance(trainer, pl_module)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take in the last step before the model that it made is validated, in every process."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._advance(trainer, pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take in the epoch's last step, in every process, before anything is saved; log what was learned so far."""
        self._advance(trainer, pl_module)
        values = learned_values(pl_module)
        if trainer.logger is not None and (field := self._measured()) is not None:
            values |= {"rf": max(field.rf), "rnorm": field.rnorm}
        if trainer.logger is not None and values:
            pl_module.log_dict(values)

    def _meter(self, pl_module: lightning.LightningModule, batch: object) -> FieldMeter | None:
        """What measures the field of the network by the images of a batch; None where it holds none."""
        network = _network(pl_module, self.module)
        size = self.image_size or images_in(batch, input_channels(network))
        return None if size is None else FieldMeter(network, size)

    def _measured(self) -> Field | None:
        """The field as it is now; None where it cannot be measured, which is no reason to end a training."""
        try:
            return None if self._field is None else self._field()
        except (InputError, RuntimeError):
            self._field = None
            return None

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave the model in its final state, and say what was found, or what is missing."""
        if _steps_done(trainer) >= self.total_steps:
            advance(pl_module, self.total_steps, self.total_steps)
        if not adaptations(pl_module):
            return
        # In every process: what a sharded model has learned takes all of them to read.
        description = describe(pl_module)
        if trainer.is_global_zero:
            say_problems(pl_module, stacklevel=2)
            rank_zero_info(f"ReceptiveFieldCallback, after {_steps_done(trainer)} steps:\n{description}")


def images_in(batch: object, channels: int) -> tuple[int, int] | None:
    """Height and width of the first images in a batch, however it is nested; None where it holds none.

    Args:
        batch: as a loader gives it.
        channels: of the images.

    >>> import torch
    >>> images_in([{"mask": torch.zeros(2, 8, 8), "image": torch.zeros(2, 3, 8, 6)}], 3)
    (8, 6)
    """
    if isinstance(batch, Tensor):
        is_image = batch.dim() == 4 and batch.shape[1] == channels
        return (int(batch.shape[2]), int(batch.shape[3])) if is_image else None
    inner = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    return next((size for each in inner if (size := images_in(each, channels)) is not None), None)


def _record(model: nn.Module) -> str:
    """The methods in a model, as one text: checkpoints of every kind hold that."""
    names = [done.names for done in adaptations(model)]
    return json.dumps(list(zip(methods_in(model), names, strict=True)))


def _methods_and_names(record: str) -> tuple[list[Any], list[Any]]:
    read = json.loads(record)
    return [method for method, _ in read], [names for _, names in read]


def _several(method: Method | Sequence[Method] | None) -> tuple[Method, ...]:
    if not isinstance(method, Method | Sequence | None) or isinstance(method, str | bytes):
        raise InputError(f"ReceptiveFieldCallback takes methods such as LearnedDilation(...), got {kind_of(method)}")
    methods = () if method is None else (method,) if isinstance(method, Method) else tuple(method)
    for each in methods:
        if not isinstance(each, Method):
            raise InputError(f"ReceptiveFieldCallback takes methods such as LearnedDilation(...), got {each!r}")
    return methods


def _network(pl_module: nn.Module, name: str) -> nn.Module:
    try:
        return pl_module.get_submodule(name)
    except AttributeError:
        raise InputError(
            f"ReceptiveFieldCallback: the {type(pl_module).__name__} has no module {name!r} yet; build the network in "
            "__init__, or adapt it in setup or configure_model"
        ) from None


def _counts_batches(trainer: lightning.Trainer) -> bool:
    """Whether steps are counted in batches, because each of several optimizers counts its own."""
    return len(trainer.optimizers) > 1


def _steps_done(trainer: lightning.Trainer) -> int:
    if _counts_batches(trainer):
        return trainer.fit_loop.epoch_loop.batch_progress.total.completed
    return trainer.global_step
