"""What a training loop of one's own holds of a method: one call behind each step, and the state that a resume needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from autorf.errors import InputError, shown
from autorf.methods.base import Method
from autorf.ops._arguments import check_module, kind_of, whole_number
from autorf.surgery import (
    Description,
    Frozen,
    adapt,
    adaptations,
    advance,
    describe,
    freeze,
    learned_values,
    parameter_groups,
)
from autorf.surgery.repetition import all_done
from autorf.training.method_record import in_brief, is_same, methods_in


class Handle:
    """A training under way; made by :func:`attach`.

    Attributes:
        model: adapted, in training.
        total_steps: optimizer steps of the whole training.
        done: optimizer steps that were taken.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        >>> handle = autorf.attach(model, optimizer, autorf.Dilation(targets="0", rate=2), total_steps=10)
        >>> handle.step()
        {}
        >>> handle.state_dict()
        {'step': 1, 'total_steps': 10, 'methods': [{'method': 'dilation', 'targets': '0', 'rate': 2}]}
    """

    def __init__(self, model: nn.Module, total_steps: int) -> None:
        self.model, self.total_steps, self.done = model, total_steps, 0
        advance(model, 0, total_steps)

    def step(self) -> dict[str, float]:
        """Take in an optimizer step; call it behind ``optimizer.step()``, in every process.

        Returns:
            What was learned so far where the training is over, empty before: to read it at every step would have a GPU
            wait; see :meth:`values`.

        Raises:
            InputError: for more steps than the training has.
        """
        if self.done >= self.total_steps:
            raise InputError(
                f"Handle.step: the training has {self.total_steps} steps, which are done; give attach the steps of the "
                "whole training (epochs times batches, over the accumulated ones)"
            )
        self.done += 1
        advance(self.model, self.done, self.total_steps)
        return self.values() if self.done == self.total_steps else {}

    def values(self) -> dict[str, float]:
        """What was learned so far, such as ``f`` or ``dilation``: for a log, once an epoch."""
        return learned_values(self.model)

    def describe(self) -> Description:
        """What was changed and where it stands; prints as a table."""
        return describe(self.model)

    def finish(self, example_input: Tensor | None = None, *, unfinished: bool = False) -> Frozen:
        """Make the layers plain that have a plain form; see :func:`autorf.freeze`.

        Args:
            example_input: ``(N, C, H, W)``; if given, the model's output is compared too.
            unfinished: freeze a training that was ended before its last step, as it is in evaluation now.

        Raises:
            InputError: for a training that is not over, without ``unfinished``.
        """
        if self.done < self.total_steps and not unfinished:
            raise InputError(
                f"Handle.finish: {self.done} of {self.total_steps} steps are done; go on, or give unfinished=True to "
                "keep what evaluation uses now"
            )
        return freeze(self.model, example_input, unfinished=unfinished)

    def state_dict(self) -> dict[str, Any]:
        """What to save with the model's and the optimizer's state: plain values only."""
        return {"step": self.done, "total_steps": self.total_steps, "methods": methods_in(self.model)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken; load the model's and the optimizer's state first.

        Raises:
            InputError: for the state of something else, another length of the training, or other methods.
        """
        if not isinstance(state, Mapping) or set(state) != {"step", "total_steps", "methods"}:
            raise InputError(f"Handle.load_state_dict takes what Handle.state_dict gave, got {kind_of(state)}")
        length, stored, own = state["total_steps"], state["methods"], methods_in(self.model)
        if length != self.total_steps:
            raise self._differs(f"another length: total_steps {shown(length)}, here {self.total_steps}")
        if not is_same(stored, own):
            raise self._differs(f"other methods or targets: {shown(in_brief(stored))}, here {shown(in_brief(own))}")
        self.done = whole_number("Handle.load_state_dict", "step", state["step"], least=0, most=self.total_steps)
        advance(self.model, self.done, self.total_steps)

    def _differs(self, words: str) -> InputError:
        return InputError(f"Handle.load_state_dict: the checkpoint is of a training of {words}; attach as it was")


def attach(
    model: nn.Module, optimizer: Optimizer, method: Method | Sequence[Method] | None, total_steps: int
) -> Handle:
    """Put a method into a model that a loop of your own trains, and its parameters into the loop's optimizer.

    The model is adapted, each of the methods' parameters gets the optimizer group that its method asks for, and
    :meth:`Handle.step` behind ``optimizer.step()`` moves the method through the training. Nothing else changes.

    Args:
        model: on its device, before wrappers such as ``DistributedDataParallel``.
        optimizer: of ``torch.optim``, of this model, made before or after ``adapt``; before its scheduler and its first
            step.
        method: one or several to adapt by; None where the model is adapted.
        total_steps: optimizer steps of the whole training.

    Raises:
        InputError: for whatever :func:`autorf.adapt` refuses, an optimizer of another model, or one that has a
            scheduler or has taken steps.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        >>> handle = autorf.attach(model, optimizer, autorf.Inflation(start="0", end="0"), total_steps=2)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     model(torch.rand(1, 3, 8, 8)).square().mean().backward()
        ...     optimizer.step()
        ...     values = handle.step()
        >>> print(handle.finish())
        0.inflation  folded
    """
    check_module("attach", model)
    steps = whole_number("attach", "total_steps", total_steps)
    methods = _methods(method)
    _check_optimizer(model, optimizer)
    if methods and not all_done(methods, [done.method for done in adaptations(model)]):
        adapt(model, *methods)
    if not adaptations(model):
        raise InputError("attach: no method was given, and the model is not adapted; give one, or call adapt first")
    add_groups(model, optimizer)
    return Handle(model, steps)


def _methods(method: Method | Sequence[Method] | None) -> tuple[Method, ...]:
    methods = () if method is None else (method,) if isinstance(method, Method) else method
    if not isinstance(methods, Sequence) or not all(isinstance(each, Method) for each in methods):
        raise InputError(f"attach takes methods such as LearnedDilation(...), got {kind_of(method)}")
    return tuple(methods)


def _check_optimizer(model: nn.Module, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"attach: optimizer must be one of torch.optim, got {kind_of(optimizer)}")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not any(id(parameter) in held for parameter in model.parameters()):
        raise InputError(
            "attach: the optimizer holds none of the model's parameters; make it of them: "
            "torch.optim.AdamW(model.parameters(), lr=...)"
        )
    if any("initial_lr" in group for group in optimizer.param_groups):
        raise InputError(
            "attach: the optimizer has a scheduler already, which would not move the method's parameters; make the "
            "scheduler after attach"
        )
    if optimizer.state:
        raise InputError(
            "attach: the optimizer has taken steps already; attach before the first one, and to resume load the states "
            "of model, optimizer and handle after it"
        )


def add_groups(model: nn.Module, optimizer: Optimizer) -> None:
    """Give every parameter that a method added its own group, taken out of one that it may be in."""
    rate = float(optimizer.param_groups[0]["lr"])
    groups = parameter_groups(model, lr=rate)[1:]
    own = {id(parameter) for group in groups for parameter in group["params"]}
    for group in optimizer.param_groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
    for group in groups:
        optimizer.add_param_group(group)
