"""Put methods into a model."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autorf.errors import InputError, near_names
from autorf.methods.base import AdaptiveModule, LayerMethod, Method
from autorf.methods.dilation import Dilation
from autorf.methods.inflation import EnterRegion, Inflation, InflationRegion, LeaveRegion
from autorf.surgery.targets import matched_layers

RECORD = "autorf_adaptations"
"""The attribute of an adapted model that says what was done to it."""


@dataclass(frozen=True)
class Adaptation:
    """One method and the modules of the model it changed."""

    method: Method
    names: tuple[str, ...]


def adapt(model: nn.Module, *methods: Method, example_input: Tensor | None = None) -> nn.Module:
    """Make ``model``'s receptive field adjustable by ``methods``, in place, and return it.

    Weights, ``state_dict`` keys and, for methods that learn, the output stay as they are. Everything is checked before
    the first layer is swapped, so the model is untouched after an error.

    Args:
        model: any module; convolutions of timm and segmentation-models-pytorch are known.
        methods: specifications on disjoint targets, applied in order.
        example_input: ``(N, C, H, W)``; if given, the adapted model is run once without gradients to check shapes.

    Raises:
        InputError: when a target matches nothing, a matched layer cannot be treated, targets overlap each other or an
            earlier adaptation, or the dry run changes the output's shape.
    """
    if not methods:
        raise InputError("adapt needs at least one method")
    plans = [_plan(model, method) for method in methods]
    _check_disjoint(plans, adaptations(model))
    before = None if example_input is None else _shape(model, example_input)
    undo = [_apply(model, plan) for plan in plans]
    try:
        if example_input is not None and (after := _shape(model, example_input)) != before:
            raise InputError(f"the adapted model's output has shape {after} instead of {before}")
    except BaseException:
        for step in reversed(undo):
            step.undo()
        raise
    done = tuple(Adaptation(plan.method, plan.names) for plan in plans)
    setattr(model, RECORD, (*getattr(model, RECORD, ()), *done))
    return model


def adaptations(model: nn.Module) -> tuple[Adaptation, ...]:
    """What ``adapt`` did to ``model`` or to modules inside it, names as ``model`` sees them."""
    return tuple(
        Adaptation(one.method, tuple(f"{prefix}.{name}" if prefix else name for name in one.names))
        for prefix, module in model.named_modules()
        for one in getattr(module, RECORD, ())
    )


@dataclass(frozen=True)
class _Plan:
    method: Method
    names: tuple[str, ...]
    replacements: Mapping[str, nn.Module]


@dataclass
class _Undo:
    """How to take one applied plan back."""

    model: nn.Module
    originals: Mapping[str, nn.Module]
    region: "tuple[nn.Module, list[torch.utils.hooks.RemovableHandle]] | None" = None

    def undo(self) -> None:
        for name, module in self.originals.items():
            self.model.set_submodule(name, module)
        if self.region is not None:
            holder, handles = self.region
            del holder.inflation
            for handle in handles:
                handle.remove()


def _plan(model: nn.Module, method: Method) -> _Plan:
    if isinstance(method, Inflation):
        return _plan_region(model, method)
    if not isinstance(method, LayerMethod):
        raise InputError(f"adapt takes methods such as Dilation(...), got {method!r}")
    layers = matched_layers(model, method)
    return _Plan(method, tuple(layers), method.replacements(layers))


def _plan_region(model: nn.Module, method: Inflation) -> _Plan:
    start, end = region_of(model, method)
    replacements: Mapping[str, nn.Module] = {}
    if method.dilation is not None:
        manual = Dilation(targets=(start,), rate=method.dilation)
        replacements = manual.replacements(matched_layers(model, manual))
    return _Plan(method, (start, end), replacements)


def region_of(model: nn.Module, method: Inflation) -> tuple[str, str]:
    """Names of the first and last module of the region, the network's own where ``method`` names none.

    Raises:
        InputError: when the network offers no region, or a name does not exist.
    """
    named = dict(model.named_modules())
    offered = getattr(model, "receptive_field_region", None)
    start, end = (method.start, method.end) if method.start and method.end else offered or (None, None)
    if start is None or end is None:
        raise InputError(f"inflation: start and end are required for a {type(model).__name__}: two module names")
    for field, name in (("start", start), ("end", end)):
        if name not in named:
            raise InputError(f"inflation: {field} {name!r} is no module of the model{near_names(name, named)}")
    return start, end


def _check_disjoint(plans: list[_Plan], earlier: tuple[Adaptation, ...]) -> None:
    owners: dict[str, str] = {name: f"the earlier {one.method.method}" for one in earlier for name in one.names}
    for plan in plans:
        for name in plan.names:
            if name in owners:
                raise InputError(f"{plan.method.method}: {name!r} is already a target of {owners[name]}")
        owners.update(dict.fromkeys(plan.names, plan.method.method))


def _apply(model: nn.Module, plan: _Plan) -> _Undo:
    originals = {name: model.get_submodule(name) for name in plan.replacements}
    for name, module in plan.replacements.items():
        model.set_submodule(name, module)
    if not isinstance(plan.method, Inflation):
        return _Undo(model, originals)
    first, last = (model.get_submodule(name) for name in plan.names)
    holder = first_leaf(first)
    device = next(model.parameters()).device
    region = InflationRegion(plan.method, device).train(model.training)
    holder.add_module("inflation", region)
    handles = [first.register_forward_pre_hook(EnterRegion(region)), last.register_forward_hook(LeaveRegion(region))]
    return _Undo(model, originals, (holder, handles))


def first_leaf(module: nn.Module) -> nn.Module:
    """The first module inside ``module`` without children: a place for a parameter that no container iterates over."""
    for child in module.children():
        return first_leaf(child)
    return module


def _shape(model: nn.Module, example_input: Tensor) -> object:
    training = model.training
    try:
        with torch.no_grad():
            output = model.eval()(example_input)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"the dry run on an input of shape {tuple(example_input.shape)} failed: {error}") from error
    finally:
        model.train(training)
    return tuple(output.shape) if isinstance(output, Tensor) else type(output)


def adaptive_modules(model: nn.Module) -> dict[str, AdaptiveModule]:
    """The modules that methods put into ``model``, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AdaptiveModule)}
