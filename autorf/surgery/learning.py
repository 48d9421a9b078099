"""What a training loop needs of an adapted model: optimizer groups, the schedule, the learned values."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from torch import nn

from autorf.errors import InputError, shown
from autorf.methods.modules import AdaptiveModule, OwnRates, SearchState
from autorf.ops._arguments import check_module, positive_number
from autorf.surgery.adaptation import adaptive_modules, each_adaptive_module
from autorf.surgery.sharding import reshard
from autorf.surgery.verification import note_advance
from autorf.surgery.wrappers import unwrapped

LISTED = ("f", "dilation")
"""Learned values that are listed one by one where a model has several."""


def parameter_groups(model: nn.Module, lr: float, *, weight_decay: float = 0.01) -> list[dict[str, Any]]:
    """Optimizer groups: the model's own parameters, then each method's with its learning rate and no weight decay.

    Args:
        model: adapted or not.
        lr: the learning rate of the model's own parameters, > 0.
        weight_decay: of the model's own parameters, >= 0.

    Returns:
        Dictionaries for any ``torch.optim`` optimizer. A group's ``scheduled`` key says whether the learning-rate
        schedule should apply to it.

    Raises:
        InputError: for a learning rate or weight decay out of range.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.ScaleAdaptive(targets="0"))
        >>> groups = autorf.parameter_groups(model, lr=1e-3)
        >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
        [(2, 0.01), (2, 0.0)]
        >>> optimizer = torch.optim.AdamW(groups)
    """
    check_module("parameter_groups", model)
    lr = positive_number("parameter_groups", "lr", lr)
    weight_decay = positive_number("parameter_groups", "weight_decay", weight_decay, zero=True)
    groups: list[dict[str, Any]] = []
    taken: set[int] = set()
    with_rules: list[AdaptiveModule | OwnRates] = list(adaptive_modules(model).values())
    with_rules += [module for module in model.modules() if isinstance(module, OwnRates)]
    for module in with_rules:
        for rule in module.learning_rules():
            parameters = [p for p in rule.parameters if id(p) not in taken and p.requires_grad]
            taken.update(id(parameter) for parameter in parameters)
            rate = lr * rule.multiplier if rule.learning_rate is None else rule.learning_rate
            if parameters:
                groups.append({"params": parameters, "lr": rate, "weight_decay": 0.0, "scheduled": rule.scheduled})
    others = [parameter for parameter in model.parameters() if id(parameter) not in taken and parameter.requires_grad]
    return [{"params": others, "lr": lr, "weight_decay": weight_decay, "scheduled": True}, *groups]


def advance(model: nn.Module, step: int, total_steps: int, optimizer: Any = None) -> None:
    """Tell every method in ``model`` how far the training is; call it before each optimizer step, in every process.

    A search that is over stays over, whatever step comes: in a longer training, a second one, or a second stage; see
    :func:`search_again`.

    Args:
        model: adapted or not.
        step: steps done so far, ``0 <= step <= total_steps``.
        total_steps: of the whole training, > 0.
        optimizer: that trains the model, anything with ``param_groups``. Those of ``torch.optim`` are seen anyway.

    Raises:
        InputError: for a step out of range, or an optimizer without groups; of several processes, while a search goes
            on, where another one is not advanced within five minutes, or to another step.

    Warns:
        TrainingWarning: once, where the optimizer does not train what a method added as it should, or a search heard
            nothing or too little; see :func:`verify`.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> model = autorf.adapt(model, autorf.LearnedDilation(targets="0", search=0.5))
        >>> for step in range(100):
        ...     autorf.advance(model, step, total_steps=100)
        ...     # forward, backward, optimizer.step()
        >>> model[0].search_state() is None  # the search phase is over
        True
    """
    check_module("advance", model)
    if not _is_step(step) or not _is_step(total_steps) or not 0 <= step <= total_steps or total_steps < 1:
        got = f"step {shown(step)} of {shown(total_steps)}"
        raise InputError(f"advance: step must lie in 0..total_steps, got {got}")
    model = unwrapped(model)
    reshard(model)
    modules = each_adaptive_module(model)
    for module in modules:
        module.advance(step / total_steps)
    note_advance(model, modules, optimizer, last=step == total_steps)


def _is_step(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def search_again(model: nn.Module) -> nn.Module:
    """Have every search in ``model`` begin anew with the next :func:`advance`, and return the model.

    Each window opens over all options once more, centred where the last search ended, and what was heard before is
    forgotten; a factor that was held at first is held again. Make averaged copies of the model anew.

    Raises:
        InputError: where the model has nothing that searches, or was held.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> model = autorf.adapt(model, autorf.LearnedDilation(targets="0"))
        >>> autorf.advance(model, 10, 10)
        >>> autorf.advance(model, 0, 10)  # a second training: fixed stays fixed
        >>> model[0].searching
        False
        >>> autorf.advance(autorf.search_again(model), 0, 10)
        >>> model[0].searching
        True
    """
    check_module("search_again", model)
    modules = [module for module in adaptive_modules(model).values() if module.searches]
    if not modules:
        raise InputError("search_again: the model has no method that searches, or its modules are frozen")
    for module in modules:
        module.search_again()
    return model


def in_present_format(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """``state``, maybe of an earlier version, as the adapted ``model`` names and shapes it now."""
    present = dict(state)
    for name, module in adaptive_modules(model).items():
        module.upgrade_state(present, f"{name}." if name else "")
    return present


def learned_values(model: nn.Module) -> dict[str, float]:
    """What the methods have learned so far: the mean over layers of ``f``, ``dilation`` and the like.

    Several regions or layers that each learn their own are also listed one by one: ``f.1``, ``f.2``, ``dilation.1``, in
    the order of the model's modules; layers that share theirs, once.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> autorf.learned_values(autorf.adapt(model, autorf.LearnedDilation(targets="0")))
        {'dilation': 1.0}
    """
    check_module("learned_values", model)
    gathered: dict[str, list[float]] = {}
    apart: dict[str, list[float]] = {}
    for module in adaptive_modules(model).values():
        first = _first_of_group(module)
        for key, value in module.values().items():
            gathered.setdefault(key, []).append(value)
            if first and key in LISTED:
                apart.setdefault(key, []).append(value)
    means = {key: sum(values) / len(values) for key, values in gathered.items()}
    each = {
        f"{key}.{index}": value
        for key, values in apart.items()
        for index, value in enumerate(values, 1)
        if len(values) > 1
    }
    return {**means, **each}


def search_states(model: nn.Module) -> list[SearchState]:
    """How every search among options stands that is going on now, in the order of the model's modules.

    Layers that share one search are listed once.
    """
    check_module("search_states", model)
    return [
        state
        for module in adaptive_modules(model).values()
        if _first_of_group(module) and (state := module.search_state()) is not None
    ]


def alike_options(model: nn.Module) -> list[tuple[float, ...]]:
    """For every search, going on or over, the options that it cannot tell from the one of the lowest loss.

    In the order of the model's modules, layers that share one search once; empty for a search that knows nothing yet.
    """
    return [
        module.alike()
        for module in adaptive_modules(model).values()
        if _first_of_group(module) and module.search_progress() is not None
    ]


def _first_of_group(module: AdaptiveModule) -> bool:
    return getattr(module, "group", (module,))[0] is module
