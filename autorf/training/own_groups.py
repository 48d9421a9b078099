"""Optimizers of a Lightning module that were made without the methods' parameter groups."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from autorf.errors import InputError, shown_place
from autorf.surgery.optimizer_watch import membership, own_parameters
from autorf.surgery.problems import Problem, membership_problems
from autorf.training.handle import add_groups

LINE = "torch.optim.AdamW(autorf.parameter_groups(self, lr=...))"
"""What the module should say."""


def group_problems(model: nn.Module, optimizers: Sequence[Optimizer]) -> list[Problem]:
    """What is wrong with how optimizers hold the methods' parameters of ``model``, before their first step."""
    members = [membership(model, optimizer) for optimizer in optimizers]
    problems = membership_problems(model, members, {each.name for member in members for each in member.own})
    own = {id(each.parameter) for each in own_parameters(model).values()}
    if any(_is_mixed(group, own) for optimizer in optimizers for group in optimizer.param_groups):
        return problems
    # In a group of their own another rate may be meant; it is said of it as the training begins.
    return [problem for problem in problems if problem.kind != "rate"]


def _is_mixed(group: Mapping[str, Any], own: Collection[int]) -> bool:
    """Whether an optimizer group holds some of the methods' parameters beside others."""
    return len({id(parameter) in own for parameter in group["params"]}) > 1


def give_groups(
    module: nn.Module, network: nn.Module, optimizers: Sequence[Optimizer], scheduled: Sequence[Optimizer]
) -> Optimizer | None:
    """Give the methods' parameters the groups that they lack, in the optimizer that trains the network.

    Args:
        module: whose ``configure_optimizers`` made the optimizers.
        network: that is adapted.
        optimizers: all, before their first step.
        scheduled: those that have a scheduler, which would not know of a new group.

    Returns:
        The optimizer that was changed; None where nothing was wrong.

    Raises:
        InputError: where a scheduler holds the optimizer, or none of them trains the network.
    """
    problems = group_problems(network, optimizers)
    if not problems:
        return None
    optimizer = _trains(network, optimizers)
    if optimizer is None or any(optimizer is each for each in scheduled):
        raise InputError(
            f"ReceptiveFieldCallback: {_place(module)}: {problems[0].sentence.split(':')[0]}, and its scheduler takes "
            f"no new group; make the optimizer {LINE}"
        )
    add_groups(network, optimizer)
    return optimizer


def _trains(network: nn.Module, optimizers: Sequence[Optimizer]) -> Optimizer | None:
    """The optimizer that holds the network's parameters, the first one of several."""
    own = {id(parameter) for parameter in network.parameters()}

    def holds(optimizer: Optimizer) -> bool:
        return any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"])

    return next((optimizer for optimizer in optimizers if holds(optimizer)), None)


def _place(module: Any) -> str:
    """Where a module makes its optimizers."""
    name = f"{type(module).__name__}.configure_optimizers"
    try:
        file, (_, line) = inspect.getsourcefile(type(module)), inspect.getsourcelines(type(module).configure_optimizers)
    except (OSError, TypeError):
        return name
    return name if file is None else f"{name} ({shown_place(Path(file).name)}, line {line})"
