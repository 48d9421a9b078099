"""What of a model's methods is not trained as it should be, in words."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import nn

from autorf.errors import SearchWarning, TrainingWarning
from autorf.methods.bookkeeping import Phase
from autorf.methods.modules import SEARCH_STEPS, AdaptiveModule, SearchProgress
from autorf.surgery.optimizer_watch import Membership, OwnParameter, Watch, own_parameters
from autorf.surgery.wrappers import named_modules

PATIENCE = 10
"""Optimizer steps after which a parameter that is in no optimizer is said to be forgotten."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: of it, in a word.
        sentence: that names the parameters or layers, and says how to repair it.
        modules: that it is about.
        category: of the warning.
    """

    kind: str
    sentence: str
    modules: tuple[AdaptiveModule, ...]
    category: type[TrainingWarning]


def parameter_problems(model: nn.Module, seen: Watch) -> list[Problem]:
    """What the optimizers that stepped ``model`` so far did wrong with the methods' parameters."""
    problems = membership_problems(model, seen.members(), seen.held) if seen.steps else []
    own = own_parameters(model)
    missed = (name for name, steps in seen.missed.items() if steps >= PATIENCE and name not in seen.moved)
    still = [own[name] for name in missed if name in own]
    return problems + _about("still", still, "without a gradient in any optimizer step, so never moved")


def membership_problems(model: nn.Module, members: Sequence[Membership], held: Iterable[str]) -> list[Problem]:
    """What is wrong with how optimizers hold the methods' parameters of ``model``.

    Args:
        model: adapted.
        members: what the optimizers hold.
        held: the names of the parameters that any of them holds or held.
    """
    own, held = own_parameters(model), set(held)
    decayed = [name for member in members for name in member.decayed]
    rates = {name: rate for member in members for name, rate in member.rates.items()}
    absent = [each for name, each in own.items() if name not in held]
    problems = _about(
        "absent",
        absent,
        "in no optimizer, so never learned: make the optimizer after autorf.adapt, from "
        "autorf.parameter_groups(model, lr)",
    )
    problems += _about(
        "decayed",
        [own[name] for name in decayed if name in own],
        "in an optimizer group with weight decay, which pulls them to 0: take autorf.parameter_groups(model, lr)",
    )
    wrong = {name: rate for name, rate in rates.items() if name in own}
    if wrong:
        rate, right = next(iter(wrong.values()))
        problems += _about(
            "rate",
            [own[name] for name in wrong],
            f"learned at a rate of {rate:.3g} where the method asks for {right:.3g}: take "
            "autorf.parameter_groups(model, lr)",
        )
    return problems


def _about(kind: str, own: Sequence[OwnParameter], sentence: str) -> list[Problem]:
    if not own:
        return []
    verb = "is " if len(own) == 1 else "are "
    modules = tuple(dict.fromkeys(each.module for each in own))
    names = _names(each.name for each in own)
    return [Problem(kind, f"{names} {verb}{sentence}", modules, TrainingWarning)]


def search_problems(model: nn.Module) -> list[Problem]:
    """What the searches in ``model`` lack: steps that they heard something in, or their end."""
    of_kind: dict[str, list[tuple[str, AdaptiveModule, SearchProgress]]] = {}
    for name, module in named_modules(model):
        if not isinstance(module, AdaptiveModule):
            continue
        progress = module.search_progress()
        if progress is not None and (kind := _kind(progress)) is not None:
            of_kind.setdefault(kind, []).append((name, module, progress))
    return [
        Problem(
            kind,
            SENTENCES[kind](_names(name for name, _, _ in listed), listed[0][2]),
            tuple(module for _, module, _ in listed),
            SearchWarning,
        )
        for kind, listed in of_kind.items()
    ]


def _kind(progress: SearchProgress) -> str | None:
    if progress.phase is Phase.IDLE:
        return "idle"
    if progress.phase is Phase.SEARCHING:
        return "unfinished"
    if progress.steps is None or progress.steps >= SEARCH_STEPS:
        return None
    return "short" if progress.steps else "silent"


SENTENCES: dict[str, Callable[[str, SearchProgress], str]] = {
    "idle": lambda names, _: (
        f"nothing was searched in {names}: call autorf.advance(model, step, total_steps) before every optimizer step; "
        "an average of a model's parameters must take its buffers too"
    ),
    "unfinished": lambda names, progress: (
        f"the search of {names} is not over, {progress.done:.0%} of it is done: train on until autorf.advance has "
        "closed it"
    ),
    "silent": lambda names, _: (
        f"the search of {names} heard nothing, so its field is the one it began with: its layers must be in training "
        "mode, and the loss depend on them, while it searches"
    ),
    "short": lambda names, progress: (
        f"the search of {names} heard only {progress.steps} steps, fewer than {SEARCH_STEPS}: what it found may be "
        "chance"
    ),
}
"""What to say of a search, by the kind of what it lacks."""


def deaf_searches(model: nn.Module) -> list[Problem]:
    """Searches that are not over whose modules are in evaluation mode while the model trains."""
    deaf = [
        (name, module)
        for name, module in named_modules(model)
        if isinstance(module, AdaptiveModule) and (progress := module.search_progress()) is not None
        if progress.phase is not Phase.FIXED and not progress.training
    ]
    if not deaf or not model.training:
        return []
    names = _names(name for name, _ in deaf)
    sentence = f"the search of {names} hears nothing in evaluation mode: put its layers into training mode"
    return [Problem("deaf", sentence, tuple(module for _, module in deaf), SearchWarning)]


def _names(names: Iterable[str], n: int = 3) -> str:
    listed = [repr(name) for name in names]
    more = f" and {len(listed) - n} more" if len(listed) > n else ""
    return ", ".join(listed[:n]) + more


_SAID: WeakKeyDictionary[AdaptiveModule, set[str]] = WeakKeyDictionary()


def say(problems: Iterable[Problem], stacklevel: int = 3) -> None:
    """Warn of every problem that was not yet said of its modules."""
    for problem in problems:
        kinds_by_module = [_SAID.setdefault(module, set()) for module in problem.modules]
        if all(problem.kind in kinds for kinds in kinds_by_module):
            continue
        for kinds in kinds_by_module:
            kinds.add(problem.kind)
        warnings.warn(problem.sentence, problem.category, stacklevel=stacklevel)
