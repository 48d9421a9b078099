"""When it is said that something is not trained as it should be: on the way, at the end, and when asked."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from autorf.errors import InputError
from autorf.methods.modules import SEARCH_STEPS, AdaptiveModule
from autorf.ops._arguments import check_module
from autorf.surgery.optimizer_watch import watch, watched
from autorf.surgery.problems import (
    PATIENCE,
    Problem,
    deaf_searches,
    membership_problems,
    parameter_problems,
    say,
    search_problems,
)
from autorf.surgery.sharding import reshard
from autorf.surgery.wrappers import unwrapped

NOT_OVER = ("idle", "unfinished")
"""Kinds of problems of a search that has not ended."""


def verify(model: nn.Module, optimizer: Any) -> tuple[str, ...]:
    """What of the methods in ``model`` is not trained as it should be, a sentence each; empty where all is well.

    Parameters that ``optimizer`` does not hold, or decays, or moves at another rate than their method asks for; those
    that never moved; searches whose layers are in evaluation mode while the model trains, that heard nothing or for
    fewer than 50 steps, or that are not over. Before the first step a search that has not begun is no problem.

    Args:
        model: adapted.
        optimizer: that trains it, anything with ``param_groups``; other optimizers of ``torch.optim`` whose steps were
            seen count too.

    Raises:
        InputError: for a model without methods that learn, or an optimizer without groups.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> early = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> model = autorf.adapt(model, autorf.Inflation(start="0", end="0"))
        >>> print(autorf.verify(model, early)[0].split(",")[0])
        '0.inflation.factor' is in no optimizer
        >>> autorf.verify(model, torch.optim.SGD(autorf.parameter_groups(model, lr=0.1), lr=0.1))
        ()
    """
    check_module("verify", model)
    model = unwrapped(model)
    if not any(isinstance(module, AdaptiveModule) for module in model.modules()):
        raise InputError("verify: the model has no method that learns; adapt it first, and verify before freeze")
    _check_optimizer("verify", optimizer)
    reshard(model)
    seen = watch(model)
    seen.look(optimizer)
    members = seen.members()
    searches = [each for each in search_problems(model) if seen.steps or each.kind != "idle"]
    problems = [
        *membership_problems(model, members, {each.name for member in members for each in member.own}),
        *(each for each in parameter_problems(model, seen) if each.kind == "still"),
        *deaf_searches(model),
        *searches,
    ]
    return tuple(dict.fromkeys(each.sentence for each in problems))


def note_advance(model: nn.Module, modules: Iterable[AdaptiveModule], optimizer: Any, *, last: bool) -> None:
    """Say what is wrong, once, at the ``last`` step, where a search has just ended, or early in a training.

    Args:
        model: that was advanced.
        modules: that methods put into it.
        optimizer: that trains it, as far as it was given.
        last: whether its training is over.
    """
    seen = watch(model)
    new = optimizer is not None and _is_new(model, optimizer)
    progresses = (module.search_progress() for module in modules)
    phases = tuple(progress.phase for progress in progresses if progress is not None)
    early = seen.looked_at < PATIENCE <= seen.steps
    if not (last or new or early or phases != seen.phases):
        return
    seen.phases, seen.looked_at = phases, seen.steps
    if new:
        say(membership_problems(model, seen.members(), seen.held), stacklevel=4)
    if early or last:
        say([*parameter_problems(model, seen), *deaf_searches(model)], stacklevel=4)
    say(_of_ended(search_problems(model)), stacklevel=4)


def _say_unadvanced(optimizer: Optimizer, arguments: Any, named: Any) -> None:
    if torch.compiler.is_compiling():
        return
    for model, seen in watched():
        if seen.steps == SEARCH_STEPS:
            say([each for each in search_problems(model) if each.kind == "idle"])


# Whoever never calls ``advance`` can only be told by an optimizer.
register_optimizer_step_post_hook(_say_unadvanced)


def _is_new(model: nn.Module, optimizer: Any) -> bool:
    _check_optimizer("advance", optimizer)
    seen = watch(model)
    n_before = len(seen.members())
    seen.look(optimizer)
    return len(seen.members()) > n_before


def _check_optimizer(name: str, optimizer: Any) -> None:
    if not hasattr(optimizer, "param_groups"):
        raise InputError(
            f"{name}: takes an optimizer with param_groups, such as one of torch.optim, got a "
            f"{type(optimizer).__name__}"
        )


def _of_ended(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.kind not in NOT_OVER]


def notes(model: nn.Module) -> tuple[str, ...]:
    """What :func:`describe` adds: everything wrong but searches that are not over, which their rows say."""
    problems = [*parameter_problems(model, watch(model)), *_of_ended(search_problems(model))]
    return tuple(problem.sentence for problem in problems)


def search_in_words(module: nn.Module) -> str:
    """Where a module's search stands while it is not over, in a few words; empty for others."""
    progress = module.search_progress() if isinstance(module, AdaptiveModule) else None
    if progress is None:
        return ""
    return {"idle": "nothing searched yet", "searching": f"searching, {progress.done:.0%} done", "fixed": ""}[
        progress.phase
    ]


def check_finished(model: nn.Module, *, unfinished: bool = False) -> None:
    """Say what is wrong with a model about to be frozen; a search that is not over is refused unless ``unfinished``.

    Raises:
        InputError: naming the search.
    """
    problems = search_problems(model)
    still_open = [problem for problem in problems if problem.kind in NOT_OVER]
    if still_open and not unfinished:
        raise InputError(f"freeze: {still_open[0].sentence}; or give unfinished=True to fix what evaluation uses now")
    say([*parameter_problems(model, watch(model)), *_of_ended(problems)], stacklevel=4)


def say_problems(model: nn.Module, stacklevel: int = 3) -> None:
    """Warn, once, of everything that is wrong with a model whose training is over, or which is about to be saved."""
    seen = watch(model)
    searches = [each for each in search_problems(model) if each.kind != "idle" or seen.steps]
    say([*parameter_problems(model, seen), *searches], stacklevel=stacklevel + 1)
