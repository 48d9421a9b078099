"""Put methods into a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.methods.base import AdaptiveModule, LayerMethod, Method
from autorf.methods.dilation import Dilation
from autorf.methods.inflation import Inflation, InflationRegion
from autorf.methods.inflation_search import inflation_region
from autorf.methods.region import ConstantRegion, EnterRegion, LeaveRegion, SeeImage
from autorf.surgery.dry_run import run, runnable_input, shapes
from autorf.surgery.region import check_region, regions_of
from autorf.surgery.swap import put_back, swap
from autorf.surgery.targets import checked_layers, target_names

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
    replacements: Mapping[str, nn.Module]
    region: InflationRegion | ConstantRegion | None = None


def adapt(model: nn.Module, method: Method, *methods: Method, example_input: Tensor | None = None) -> nn.Module:
    """Make ``model``'s receptive field adjustable by ``methods``, in place, and return it.

    Weights, ``state_dict`` keys and, for methods that learn, the output stay as they are. Everything is checked before
    the first layer is swapped, so the model is untouched after an error.

    Args:
        model: any module; convolutions of timm and segmentation-models-pytorch are known.
        method: what to do, a specification.
        methods: further ones, on disjoint targets, applied in order.
        example_input: ``(N, C, H, W)``; if given, the adapted model is run once without gradients to check shapes.
            Inflation always takes dry runs, on a random image where no example is given.

    Raises:
        InputError: when a target matches nothing, a matched layer cannot be treated, targets overlap each other or an
            earlier adaptation, something goes around a region, or the dry run changes the output's shape.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"adapt takes a torch.nn.Module that is not compiled by torch.jit, got a {type(model).__name__}"
        )
    owners = {name: f"the earlier {one.method.method}" for one in adaptations(model) for name in one.names}
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
    return any(plan.region is not None and plan.region.fold for plan in plans)


def adaptations(model: nn.Module) -> tuple[Adaptation, ...]:
    """What ``adapt`` did to ``model`` or to modules inside it, names as ``model`` sees them."""
    return tuple(
        Adaptation(one.method, _within(prefix, one.names), _within(prefix, one.frozen))
        for prefix, module in model.named_modules()
        for one in getattr(module, RECORD, ())
    )


def _within(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names) if prefix else names


def carry_out(model: nn.Module, plans: Sequence[Plan], check: Callable[[], None] = lambda: None) -> None:
    """Change ``model`` by all of ``plans``, or, when anything raises, ``check`` included, not at all."""
    undo: list[Callable[[], None]] = []
    try:
        for plan in plans:
            undo.append(partial(put_back, model, swap(model, plan.replacements)))
        for plan in plans:
            if plan.region is not None:
                undo.append(_install(model, plan.adaptation.names, plan.region))
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
    if isinstance(method, Inflation):
        return [_region(model, one, owners, example_input) for one in regions_of(model, method)]
    if not isinstance(method, LayerMethod):
        raise InputError(f"adapt takes methods such as Dilation(...), got {method!r}")
    layers = target_names(model, method)
    _claim(method, layers, owners)
    return [Plan(Adaptation(method, tuple(layers)), method.replacements(checked_layers(model, method, layers)))]


def _region(
    model: nn.Module, place: tuple[Inflation, tuple[str, str]], owners: dict[str, str], example_input: Tensor | None
) -> Plan:
    method, names = place
    _claim(method, names, owners)
    region = inflation_region(method, device_of(model))
    made = region_plan(model, Adaptation(method, names), region)
    region.values_per_position = check_region(model, *names, example_input)
    return made


def _claim(method: Method, names: Sequence[str], owners: dict[str, str]) -> None:
    for name in names:
        if name in owners:
            raise InputError(f"{method.method}: {name!r} is already a target of {owners[name]}")
    owners.update(dict.fromkeys(names, method.method))


def region_plan(model: nn.Module, adaptation: Adaptation, region: InflationRegion | ConstantRegion) -> Plan:
    """How to enclose a region, and dilate its first layer where the method says so.

    Raises:
        InputError: when the first layer cannot be dilated, or the region begins within the beginning of another.
    """
    method, start = adaptation.method, adaptation.names[0]
    assert isinstance(method, Inflation)
    replacements: Mapping[str, nn.Module] = {}
    if method.dilation is not None:
        manual = Dilation(targets=(start,), rate=method.dilation)
        replacements = manual.replacements(checked_layers(model, manual, (start,)))
    if hasattr(first_leaf(model.get_submodule(start)), "inflation"):
        raise InputError(f"inflation: another region begins at {start!r} too; regions may follow each other only")
    return Plan(adaptation, replacements, region.train(model.training))


def _install(model: nn.Module, names: tuple[str, ...], region: InflationRegion | ConstantRegion) -> Callable[[], None]:
    first, last = (model.get_submodule(name) for name in names)
    holder = first_leaf(first)
    holder.add_module("inflation", region)
    handles = [first.register_forward_pre_hook(EnterRegion(region)), last.register_forward_hook(LeaveRegion(region))]
    if region.fold:
        handles.append(model.register_forward_pre_hook(SeeImage(region), with_kwargs=True))

    def undo() -> None:
        for handle in handles:
            handle.remove()
        del holder.inflation

    return undo


def first_leaf(module: nn.Module) -> nn.Module:
    """The first layer inside ``module``: a place for a parameter that no container iterates over."""
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    if isinstance(module, nn.Conv2d | AdaptiveModule):
        return module
    leaves = (first_leaf(child) for child in module.children())
    return next((leaf for leaf in leaves if not isinstance(leaf, containers)), module)


def device_of(model: nn.Module) -> torch.device:
    """The device of the first parameter."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def adaptive_modules(model: nn.Module) -> dict[str, AdaptiveModule]:
    """The modules that methods put into ``model``, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AdaptiveModule)}
