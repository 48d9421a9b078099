"""The callback that puts methods into a model, and moves them through a training."""

import json
import math
from collections.abc import Sequence
from typing import Any

import lightning
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from autorf.errors import InputError
from autorf.methods.base import Method
from autorf.ops._arguments import kind_of, whole_number
from autorf.surgery import adapt, adaptations, advance, describe, learned_values
from autorf.surgery.repetition import all_done, allow_repetition
from autorf.surgery.verification import say_problems
from autorf.training.gradient_scale import check_gradient_scale
from autorf.training.handle import canonical_method

RECORD = "autorf_record"
"""The key of a checkpoint that says what was changed in the model."""

COPIES = (StochasticWeightAveraging, WeightAveraging)
"""Callbacks that copy the model when they are set up."""


class ReceptiveFieldCallback(lightning.Callback):
    """Plug this into any Lightning training; with a method it adapts the model, so that it is the only line needed.

    Before every optimizer step it opens, narrows or closes windows, holds and clamps ``f`` and the like; after every
    epoch it logs what was learned (``f``, ``dilation``, ...), and after a fit it says what was found, or that it was
    not. Without a method, adapt the model before the optimizer is made: in the module's ``__init__``, ``setup`` or
    ``configure_model``, which may run again for the same model.

    The optimizer should be made of ``autorf.parameter_groups(self, lr)`` in ``configure_optimizers``.

    Args:
        method: one or several to adapt by; None where the module itself does. A number is taken for ``steps``.
        steps: optimizer steps of the whole training, where Lightning cannot know them; None for what it says.
        module: the name, in the Lightning module, of the network that is adapted; targets are names within it. Empty
            for the Lightning module itself.

    Raises:
        InputError: when the length of the training is not known, or the model was copied before it is adapted.

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
        self, method: Method | Sequence[Method] | int | None = None, steps: int | None = None, module: str = ""
    ) -> None:
        if isinstance(method, int):
            method, steps = None, method
        self.methods: tuple[Method, ...] = _several(method)
        self.steps = None if steps is None else whole_number("ReceptiveFieldCallback", "steps", steps)
        if not isinstance(module, str):
            raise InputError(f"ReceptiveFieldCallback: module must be a name, got {kind_of(module)}")
        self.module = module
        self.total_steps = 0

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
        saved, own = checkpoint.get(RECORD), _record(pl_module)
        if saved is not None and saved != own:
            raise InputError(
                f"ReceptiveFieldCallback: the checkpoint is of a training by {saved}, this one by {own}; adapt "
                "as it was"
            )

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Enter the state of this step."""
        if self.total_steps == 0:
            raise InputError(
                "ReceptiveFieldCallback was added after the training began; give it to Trainer(callbacks=[...])"
            )
        self._advance(trainer, pl_module)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take in the last step before the model that it made is validated, in every process."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._advance(trainer, pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take in the epoch's last step, in every process, before anything is saved; log what was learned so far."""
        self._advance(trainer, pl_module)
        values = learned_values(pl_module)
        if trainer.logger is not None and values:
            pl_module.log_dict(values)

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


def _record(model: nn.Module) -> str:
    """The methods in a model, as one text: checkpoints of every kind hold that."""
    return json.dumps([[canonical_method(done.method), done.names] for done in adaptations(model)])


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
