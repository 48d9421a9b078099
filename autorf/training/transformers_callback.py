"""The callback for trainings by ``transformers.Trainer``."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from autorf.errors import InputError
from autorf.files import write_atomically
from autorf.surgery import adaptations, advance, describe, learned_values, verify
from autorf.surgery.verification import say_problems
from autorf.training.method_record import methods_in

try:
    from transformers import TrainerCallback
except ImportError:
    raise InputError("TransformersCallback needs the extra: pip install 'autorf-torch[hf]'") from None

RECORD = "autorf_record.json"
"""Beside each checkpoint: what was changed in the model, and what was learned so far."""


class TransformersCallback(TrainerCallback):
    """Plug this into a ``transformers.Trainer`` whose model was adapted before; no other line of the training changes.

    It moves the methods through the training, adds what was learned to the logs, and writes ``autorf_record.json`` into
    each checkpoint's folder. A resumed training goes on where the checkpoint was taken, in whichever phase: that
    lies in the model's state.

    Raises:
        InputError: when the training begins with a model that is not adapted, or with an optimizer that has no group of
            the methods' parameters; when it is added after the training began.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> model = autorf.adapt(model, autorf.LearnedDilation(targets="0"))
        >>> optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=6e-5))
        >>> more = {"optimizers": (optimizer, None), "callbacks": [autorf.TransformersCallback()]}  # for Trainer
    """

    def __init__(self) -> None:
        self._total_steps: int | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Check model and optimizer, and enter the state of the first step, or of the one that is resumed at."""
        model = more["model"]
        if not adaptations(model):
            raise InputError(
                "TransformersCallback: the model is not adapted; call autorf.adapt(model, METHOD) before Trainer"
            )
        if state.max_steps < 1:
            raise InputError("TransformersCallback needs a training of known length: set num_train_epochs or max_steps")
        self._check_optimizer(model, more.get("optimizer"))
        self._total_steps = state.max_steps
        self._advance(state, model)

    def _check_optimizer(self, model: nn.Module, optimizer: Any) -> None:
        inner = getattr(optimizer, "optimizer", optimizer)
        if inner is None or learned_values(model) == {}:
            return
        missing = [line for line in verify(model, inner) if "optimizer" in line or "decay" in line]
        if missing:
            raise InputError(
                f"TransformersCallback: {missing[0]}; give Trainer optimizers=(torch.optim.AdamW("
                "autorf.parameter_groups(model, lr)), None)"
            )

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Enter the state of this step."""
        if self._total_steps is None:
            raise InputError(
                "TransformersCallback was added after the training began; give it to Trainer(callbacks=[...]), or call "
                "trainer.add_callback before trainer.train"
            )
        self._advance(state, more["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Take in the step before the model that it made is evaluated or saved."""
        self._advance(state, more["model"])

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        """Add what was learned so far to what is logged."""
        if logs is not None and more.get("model") is not None:
            logs |= learned_values(more["model"])

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Write the record into the checkpoint's folder."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        model = more["model"]
        record = {"step": state.global_step, "total_steps": self._total_steps, "methods": methods_in(model)}
        text = json.dumps({**record, "learned": learned_values(model)}, indent=1)
        write_atomically(folder / RECORD, text + "\n")

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Say what was found, or what is missing."""
        self._advance(state, more["model"])
        if state.is_world_process_zero:
            say_problems(more["model"], stacklevel=2)
            print(f"TransformersCallback, after {state.global_step} steps:\n{describe(more['model'])}")

    def _advance(self, state: Any, model: nn.Module) -> None:
        assert self._total_steps is not None
        advance(model, min(state.global_step, self._total_steps), self._total_steps)
