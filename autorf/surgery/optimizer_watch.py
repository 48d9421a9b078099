"""Which optimizers step the parameters of adapted models, and how they treat those that methods added.

Torch tells of every step of every ``torch.optim`` optimizer. Models and optimizers are held weakly, so that watching
keeps nothing alive, and a step costs a few look-ups.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from autorf.methods.bookkeeping import Phase
from autorf.methods.modules import AdaptiveModule, LearningRule
from autorf.surgery.wrappers import clean_names

CLOSE = 1e-3
"""By how much, as a share, a learning rate may differ from what its rule says."""


@dataclass(frozen=True)
class OwnParameter:
    """A parameter that a method added to a model.

    Attributes:
        name: in the model.
        parameter: itself.
        rule: how an optimizer should treat it.
        module: that it belongs to.
    """

    name: str
    parameter: nn.Parameter
    rule: LearningRule
    module: AdaptiveModule


def own_parameters(model: nn.Module) -> dict[str, OwnParameter]:
    """What methods added to ``model`` to be learned, by name; without what is kept from learning."""
    clean = clean_names(model)
    names = {id(parameter): clean(name) for name, parameter in model.named_parameters()}
    own = (
        OwnParameter(names[id(parameter)], parameter, rule, module)
        for module in model.modules()
        if isinstance(module, AdaptiveModule)
        for rule in module.learning_rules()
        for parameter in rule.parameters
        if id(parameter) in names and parameter.requires_grad
    )
    return {each.name: each for each in own}


@dataclass(frozen=True)
class Membership:
    """What an optimizer holds of a model.

    Attributes:
        size: the number of the optimizer's groups and of its parameters when it was looked at.
        related: whether it holds any of the model's parameters.
        own: those of the methods' parameters that it holds.
        decayed: the names of those that have weight decay.
        rates: the names of those whose learning rate is not their rule's: the rate, and what it should be.
    """

    size: tuple[int, int]
    related: bool
    own: tuple[OwnParameter, ...]
    decayed: tuple[str, ...]
    rates: Mapping[str, tuple[float, float]]


def membership(model: nn.Module, optimizer: Any) -> Membership:
    """What ``optimizer``, anything with ``param_groups``, holds of ``model``."""
    own = {id(each.parameter): each for each in own_parameters(model).values()}
    of_model = {id(parameter) for parameter in model.parameters()}
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    bases = sorted({_rate(group) for key, group in groups.items() if key in of_model and key not in own})
    members = {key: each for key, each in own.items() if key in groups}
    rates = {each.name: _wrong_rate(each.rule, _rate(groups[key]), bases) for key, each in members.items()}
    return Membership(
        _size(optimizer),
        any(key in of_model for key in groups),
        tuple(members.values()),
        tuple(each.name for key, each in members.items() if groups[key].get("weight_decay")),
        {name: wrong for name, wrong in rates.items() if wrong is not None},
    )


def _rate(group: Mapping[str, Any]) -> float:
    """A group's learning rate before its schedule."""
    return float(group.get("initial_lr", group.get("lr", 0.0)))


def _wrong_rate(rule: LearningRule, rate: float, bases: list[float]) -> tuple[float, float] | None:
    right = [rule.multiplier * base for base in bases] if rule.learning_rate is None else [rule.learning_rate]
    if not right or any(abs(rate - each) <= CLOSE * each for each in right):
        return None
    return rate, right[-1]


def _size(optimizer: Any) -> tuple[int, int]:
    return len(optimizer.param_groups), sum(len(group["params"]) for group in optimizer.param_groups)


class Watch:
    """What optimizers did to one model so far.

    Attributes:
        steps: of optimizers that hold parameters of the model.
        held: the names of the methods' parameters that any of them held, those that are gone too.
        moved: the names of those that had a gradient in one of the steps.
        missed: in how many steps the others had none, though they were to learn.
        phases: of the model's searches when they were last looked at.
        looked_at: how many steps there had been when problems were last looked for.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = ref(model)
        self._members: WeakKeyDictionary[Any, Membership] = WeakKeyDictionary()
        self.steps = 0
        self.held: set[str] = set()
        self.moved: set[str] = set()
        self.missed: dict[str, int] = {}
        self.phases: tuple[Phase, ...] = ()
        self.looked_at = 0

    def look(self, optimizer: Any) -> Membership | None:
        """What ``optimizer`` holds of the model; None once the model is gone."""
        seen = self._members.get(optimizer)
        model = self._model()
        if model is None or (seen is not None and seen.size == _size(optimizer)):
            return seen
        seen = membership(model, optimizer)
        self._members[optimizer] = seen
        self.held.update(each.name for each in seen.own)
        return seen

    def members(self) -> list[Membership]:
        """What the optimizers that are still there hold."""
        return list(self._members.values())

    def before_step(self, optimizer: Any) -> None:
        """Take away gradients of what may not move now, and give old optimizer states the parameter's shape."""
        seen = self.look(optimizer)
        for each in () if seen is None else seen.own:
            if each.parameter.grad is not None and any(each.parameter is held for held in each.module.untrained()):
                each.parameter.grad = None
            if each.parameter.shape == (1,):
                _give_shape(optimizer.state.get(each.parameter, {}))

    def after_step(self, optimizer: Any) -> None:
        """Note what moved."""
        seen = self.look(optimizer)
        if seen is None or not seen.related:
            return
        self.steps += 1
        for each in seen.own:
            if each.parameter.grad is not None:
                self.moved.add(each.name)
            elif each.name not in self.moved and not each.module.untrained():
                self.missed[each.name] = self.missed.get(each.name, 0) + 1


def _give_shape(state: dict[str, Any]) -> None:
    for name, value in state.items():
        # Of a training begun when f had no axes; a counter of steps never has any.
        if name != "step" and isinstance(value, Tensor) and value.dim() == 0:
            state[name] = value.reshape(1)


_WATCHES: WeakKeyDictionary[nn.Module, Watch] = WeakKeyDictionary()


def watch(model: nn.Module) -> Watch:
    """What optimizers do to ``model``, from the first time that this is asked."""
    if model not in _WATCHES:
        _WATCHES[model] = Watch(model)
    return _WATCHES[model]


def watched() -> list[tuple[nn.Module, Watch]]:
    """Every model that is watched, as long as it is there."""
    return list(_WATCHES.items())


def _before_step(optimizer: Optimizer, arguments: Any, named: Any) -> None:
    if not torch.compiler.is_compiling():
        for _, each in watched():
            each.before_step(optimizer)


def _after_step(optimizer: Optimizer, arguments: Any, named: Any) -> None:
    if not torch.compiler.is_compiling():
        for _, each in watched():
            each.after_step(optimizer)


register_optimizer_step_pre_hook(_before_step)
register_optimizer_step_post_hook(_after_step)
