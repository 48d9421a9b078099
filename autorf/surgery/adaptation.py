"""Put methods into a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.methods.base import AdaptiveModule, Method
from autorf.methods.region import EnterRegion, LeaveRegion, Region, SeeImage
from autorf.surgery.dry_run import run, runnable_input, shapes
from autorf.surgery.scopes import SCOPES, Exchange
from autorf.surgery.swap import first_leaf, put_back, swap

RECORD = "autorf_adaptations"
"""The attribute of an adapted model that says what was done to it."""


@dataclass(frozen=True)
class Adaptation:
    """One method and the modules of the model it changed.

    Attributes:
        method: what was asked for.
        names: the changed layers, or the first and the last module of a region.
        frozen: those of ``names`` that ``freeze`` has turned into plain layers; a region goes by its first module.
    """

    method: Method
    names: tuple[str, ...]
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One adaptation and the modules that carry it out."""

    adaptation: Adaptation
    exchange: Exchange


def adapt(model: nn.Module, method: Method, *methods: Method, example_input: Tensor | None = None) -> nn.Module:
    """Make ``model``'s receptive field adjustable by ``methods``, in place, and return it.

    Weights, ``state_dict`` keys and, for methods that learn, the output stay as they are. Everything is checked before
    the first layer is swapped, so the model is untouched after an error.

    Args:
        model: any module; convolutions of timm and segmentation-models-pytorch are known.
        method: what to do, a specification.
        methods: further ones, on disjoint targets, applied in order.
        example_input: ``(N, C, H, W)``; if given, the adapted model is run once without gradients to check shapes.
            A region's method always takes dry runs, on a random image where no example is given.

    Raises:
        InputError: when a target matches nothing, a matched layer cannot be treated, targets overlap each other or an
            earlier adaptation, something goes around a region, or the dry run changes the output's shape.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> model = autorf.adapt(model, autorf.Dilation(targets=("1",), rate=4))
        >>> model[1].dilation, model[1].padding
        ((4, 4), (4, 4))
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"adapt takes a torch.nn.Module that is not compiled by torch.jit, got a {type(model).__name__}"
        )
    owners = {name: f"the earlier {earlier.method.method}" for earlier in adaptations(model) for name in earlier.names}
    plans = [plan for each in (method, *methods) for plan in _plans(model, each, owners, example_input)]
    if example_input is None and _folds(plans):
        example_input = runnable_input(model, None)
    before = None if example_input is None else shapes(run(model, example_input))

    def check_shapes() -> None:
        if example_input is not None and (after := shapes(run(model, example_input))) != before:
            folds = "; fold needs a network that resizes to its input's size at the end" if _folds(plans) else ""
            raise InputError(f"the adapted model's output has shape {after} instead of {before}{folds}")

    carry_out(model, plans, check_shapes)
    return model


def _folds(plans: Sequence[Plan]) -> bool:
    return any(plan.exchange.region is not None and plan.exchange.region.fold for plan in plans)


def adaptations(model: nn.Module) -> tuple[Adaptation, ...]:
    """What ``adapt`` did to ``model`` or to modules inside it, names as ``model`` sees them.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.Dilation(targets="0", rate=2))
        >>> [(done.method.method, done.names) for done in autorf.adaptations(model)]
        [('dilation', ('0',))]
    """
    return tuple(
        Adaptation(adaptation.method, _within(prefix, adaptation.names), _within(prefix, adaptation.frozen))
        for prefix, module in model.named_modules()
        for adaptation in getattr(module, RECORD, ())
    )


def _within(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names) if prefix else names


def carry_out(model: nn.Module, plans: Sequence[Plan], check: Callable[[], None] = lambda: None) -> None:
    """Change ``model`` by all of ``plans``, or, when anything raises, ``check`` included, not at all."""
    undo: list[Callable[[], None]] = []
    try:
        for plan in plans:
            undo.append(partial(put_back, model, swap(model, plan.exchange.replacements)))
        for plan in plans:
            if plan.exchange.region is not None:
                undo.append(_install(model, plan.adaptation, plan.exchange.region))
        check()
    except BaseException:
        for step in reversed(undo):
            step()
        raise
    done = tuple(plan.adaptation for plan in plans)
    setattr(model, RECORD, (*getattr(model, RECORD, ()), *done))
    for plan in plans:
        plan.adaptation.method.finish(model)


def _plans(model: nn.Module, method: Method, owners: dict[str, str], example_input: Tensor | None) -> list[Plan]:
    """Check everything about ``method`` and enter its targets into ``owners``."""
    scope = SCOPES.get(getattr(method, "scope", None))
    if scope is None:
        raise InputError(f"adapt takes methods such as Dilation(...), got {method!r}")
    plans: list[Plan] = []
    for placed, names in scope.places(model, method):
        _claim(placed, names, owners)
        plans.append(Plan(Adaptation(placed, names), scope.exchange(model, placed, names, example_input)))
    return plans


def _claim(method: Method, names: Sequence[str], owners: dict[str, str]) -> None:
    for name in names:
        if name in owners:
            raise InputError(f"{method.method}: {name!r} is already a target of {owners[name]}")
    owners.update(dict.fromkeys(names, method.method))


def _install(model: nn.Module, adaptation: Adaptation, region: Region) -> Callable[[], None]:
    first, last = (model.get_submodule(name) for name in adaptation.names)
    holder, name = first_leaf(first), adaptation.method.method
    holder.add_module(name, region)
    handles = [first.register_forward_pre_hook(EnterRegion(region)), last.register_forward_hook(LeaveRegion(region))]
    if region.sees_image:
        handles.append(model.register_forward_pre_hook(SeeImage(region), with_kwargs=True))

    def undo() -> None:
        for handle in handles:
            handle.remove()
        delattr(holder, name)

    return undo


def adaptive_modules(model: nn.Module) -> dict[str, AdaptiveModule]:
    """The modules that methods put into ``model``, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AdaptiveModule)}
