"""The callback that moves the methods of an adapted model through a training."""

import lightning
from lightning.pytorch.trainer.states import TrainerFn

from autorf.errors import InputError
from autorf.surgery import advance, learned_values
from autorf.training.gradient_scale import check_gradient_scale


class ReceptiveFieldCallback(lightning.Callback):
    """Plug this into any Lightning training of an adapted model.

    Before every optimizer step it opens, narrows or closes windows, holds and clamps ``f`` and the like; after every
    epoch it logs what was learned (``f``, ``dilation``, ...). Adapt the model before the optimizer is made: in the
    module's ``__init__``, ``setup`` or ``configure_model``.

    Args:
        steps: optimizer steps of the whole training, where Lightning cannot know them; None for what it says.

    Raises:
        InputError: at the start of training, when the length of the training is not known.

    Examples:
        >>> import autorf, lightning
        >>> trainer = lightning.Trainer(
        ...     max_epochs=12, callbacks=[autorf.ReceptiveFieldCallback()], logger=False, accelerator="cpu"
        ... )
    """

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Refuse a training without an end: the search phase is a share of it."""
        steps = self.steps or trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise InputError("ReceptiveFieldCallback needs a training of known length: set max_epochs or max_steps")
        self.total_steps = int(steps)
        for optimizer in trainer.optimizers:
            check_gradient_scale(pl_module, optimizer)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Enter the state of this step."""
        advance(pl_module, min(trainer.global_step, self.total_steps), self.total_steps)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take in the last step before the model that it made is validated, in every process."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            advance(pl_module, min(trainer.global_step, self.total_steps), self.total_steps)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take in the epoch's last step, in every process, before anything is saved; log what was learned so far."""
        advance(pl_module, min(trainer.global_step, self.total_steps), self.total_steps)
        values = learned_values(pl_module)
        if trainer.logger is not None and values:
            pl_module.log_dict(values)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave the model in its final state."""
        if trainer.global_step >= self.total_steps:
            advance(pl_module, self.total_steps, self.total_steps)
