"""What surgery does for methods that change layers one by one, and for those that enclose a region."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from autorf.errors import InputError, a_type
from autorf.methods.base import LayerMethod, Method, RegionMethod
from autorf.methods.convolutions import PLAIN, class_name, plain_convolution
from autorf.methods.modules import AdaptiveModule, AdaptiveRegion
from autorf.methods.region import ConstantRegion, Region
from autorf.surgery.forms import Form, FrozenConvolution, FrozenRegion
from autorf.surgery.region import check_region, regions_of
from autorf.surgery.swap import first_leaf, region_at
from autorf.surgery.targets import checked_layers, target_names
from autorf.surgery.wrappers import named_modules, submodule

Names = tuple[str, ...]
AnyMethod = TypeVar("AnyMethod", bound=Method)


@dataclass(frozen=True)
class Exchange:
    """What an adaptation puts into a model: other modules in the place of its own, and a region around some."""

    replacements: Mapping[str, nn.Module]
    region: Region | None = None


class Scope(ABC, Generic[AnyMethod]):
    """What a method changes of a model: layers, or a region. It has no state."""

    @abstractmethod
    def places(self, model: nn.Module, method: AnyMethod) -> list[tuple[AnyMethod, Names]]:
        """What ``method`` changes; each place with a method that names it.

        Raises:
            InputError: when the model has nothing of that name.
        """

    @abstractmethod
    def exchange(self, model: nn.Module, method: AnyMethod, names: Names, example_input: Tensor | None) -> Exchange:
        """How to change the modules of these names.

        Raises:
            InputError: when ``method`` cannot change one of them.
        """

    @abstractmethod
    def restored(
        self, model: nn.Module, method: AnyMethod, names: Names, frozen: Mapping[str, Form], measured: float
    ) -> Exchange:
        """How to change the modules of these names as a saved model had them.

        Args:
            model: not changed.
            method: that had changed them.
            names: of the modules.
            frozen: the plain forms of those that are frozen.
            measured: what the record keeps, see :meth:`measured`.

        Raises:
            InputError: when a form is of the other scope, or ``method`` cannot change a module.
        """

    @abstractmethod
    def measured(self, model: nn.Module, names: Names) -> float:
        """What only a dry run knows and a record must keep, 0 for nothing."""

    @abstractmethod
    def values(self, model: nn.Module, names: Names) -> dict[str, tuple[str, dict[str, float]]]:
        """By a title, what was changed: the name it is frozen under, and what was set or learned there."""

    @abstractmethod
    def frozen(self, model: nn.Module, names: Names, folded: Collection[str]) -> Names:
        """Those of ``names`` that are frozen, where the modules ``folded`` were."""

    @abstractmethod
    def form(self, name: str, module: nn.Module) -> Form:
        """The plain form of what is frozen under ``name``.

        Raises:
            InputError: when it cannot be rebuilt.
        """

    @abstractmethod
    def plain(self, model: nn.Module, name: str, form: Form) -> dict[str, nn.Module]:
        """By the name of the adaptive module, what takes its place when ``name`` is frozen in that form.

        Raises:
            InputError: when the form is of the other scope.
        """


class Layers(Scope[LayerMethod]):
    """Convolutions, one by one."""

    def places(self, model: nn.Module, method: LayerMethod) -> list[tuple[LayerMethod, Names]]:
        """All targets together."""
        return [(method, tuple(target_names(model, method)))]

    def exchange(self, model: nn.Module, method: LayerMethod, names: Names, example_input: Tensor | None) -> Exchange:
        """The method's modules instead of the layers."""
        return Exchange(method.replacements_in(model, checked_layers(model, method, names)))

    def restored(
        self, model: nn.Module, method: LayerMethod, names: Names, frozen: Mapping[str, Form], measured: float
    ) -> Exchange:
        """The method's modules, and plain convolutions for those that are frozen."""
        layers = checked_layers(model, method, names)
        modules = method.replacements_in(model, {name: layer for name, layer in layers.items() if name not in frozen})
        for name, form in frozen.items():
            modules[name] = _frozen_convolution(name, layers[name], form)
        return Exchange(modules)

    def measured(self, model: nn.Module, names: Names) -> float:
        """Nothing."""
        return 0.0

    def values(self, model: nn.Module, names: Names) -> dict[str, tuple[str, dict[str, float]]]:
        """Of each layer."""
        return {name: (name, _layer_values(submodule(model, name))) for name in names}

    def frozen(self, model: nn.Module, names: Names, folded: Collection[str]) -> Names:
        """The layers among those that were folded."""
        return tuple(name for name in names if name in folded)

    def form(self, name: str, module: nn.Module) -> Form:
        """A plain convolution's dilation."""
        if class_name(module) != PLAIN:
            raise InputError(f"save: the frozen layer {name!r} is {a_type(module)}; only nn.Conv2d can be rebuilt")
        assert isinstance(module, nn.Conv2d)
        return FrozenConvolution(dilation=(module.dilation[0], module.dilation[1]))

    def plain(self, model: nn.Module, name: str, form: Form) -> dict[str, nn.Module]:
        """A convolution of the form's dilation."""
        return {name: _frozen_convolution(name, submodule(model, name), form)}


class Regions(Scope[RegionMethod]):
    """Regions, each known by its first and its last module, and frozen under the first one's name."""

    def places(self, model: nn.Module, method: RegionMethod) -> list[tuple[RegionMethod, Names]]:
        """Every region."""
        return [(region, names) for region, names in regions_of(model, method)]

    def exchange(self, model: nn.Module, method: RegionMethod, names: Names, example_input: Tensor | None) -> Exchange:
        """The method's region, after two dry runs that prove that nothing goes around it."""
        region = method.region(device_of(model))
        exchange = self._around(model, method, names, region)
        region.values_per_position = check_region(model, method, (names[0], names[1]), example_input)
        return exchange

    def restored(
        self, model: nn.Module, method: RegionMethod, names: Names, frozen: Mapping[str, Form], measured: float
    ) -> Exchange:
        """The method's region, or one of a constant factor."""
        form = frozen.get(names[0]) if names else None
        if len(names) != 2 or (frozen and not isinstance(form, FrozenRegion)):
            raise InputError(f"{method.method} needs two names, and a factor where it is frozen")
        if isinstance(form, FrozenRegion):
            return self._around(model, method, names, method.constant(form.pair))
        region = method.region(device_of(model))
        region.values_per_position = measured
        return self._around(model, method, names, region)

    def measured(self, model: nn.Module, names: Names) -> float:
        """How many numbers an adaptive region computes for each position of its map."""
        region = region_at(submodule(model, names[0]))
        return region.values_per_position if isinstance(region, AdaptiveRegion) else 0.0

    def values(self, model: nn.Module, names: Names) -> dict[str, tuple[str, dict[str, float]]]:
        """Of the region."""
        return {" to ".join(names): (names[0], region_at(submodule(model, names[0])).values())}

    def frozen(self, model: nn.Module, names: Names, folded: Collection[str]) -> Names:
        """The first module's name, once the region is no longer the method's."""
        return () if isinstance(region_at(submodule(model, names[0])), AdaptiveModule) else names[:1]

    def form(self, name: str, module: nn.Module) -> Form:
        """The region's constant factor."""
        region = region_at(module)
        if not isinstance(region, ConstantRegion):
            raise InputError(
                f"save: the frozen region at {name!r} is {a_type(region)}; only a ConstantRegion can be rebuilt"
            )
        height, width = region.factor
        return FrozenRegion(factor=height if height == width else (height, width))

    def plain(self, model: nn.Module, name: str, form: Form) -> dict[str, nn.Module]:
        """A region of the form's factor."""
        region = region_at(submodule(model, name))
        if not isinstance(form, FrozenRegion):
            raise InputError(f"the frozen form of {name!r} is no factor")
        names = (inner for inner, module in named_modules(model) if module is region)
        return {next(names): ConstantRegion(form.pair, fold=region.fold).train(region.training)}

    def _around(self, model: nn.Module, method: RegionMethod, names: Sequence[str], region: Region) -> Exchange:
        """A region, and what becomes of its first layer.

        Raises:
            InputError: when the first layer cannot be changed, or another region begins there too.
        """
        start = names[0]
        replacements: Mapping[str, nn.Module] = {}
        if (layer_method := method.first_layer(start)) is not None:
            replacements = layer_method.replacements(checked_layers(model, layer_method, (start,)))
        if any(isinstance(child, Region) for child in first_leaf(submodule(model, start)).children()):
            raise InputError(
                f"{method.method}: another region begins at {start!r} too; regions may follow each other only"
            )
        return Exchange(replacements, region.train(model.training))


SCOPES: Mapping[str | None, Scope[Any]] = {"layers": Layers(), "region": Regions()}
"""By what a method's ``scope`` says."""


def device_of(model: nn.Module) -> torch.device:
    """The device of the first parameter."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _frozen_convolution(name: str, layer: nn.Module, form: Form) -> nn.Conv2d:
    if not isinstance(form, FrozenConvolution):
        raise InputError(f"the frozen form of {name!r} is no convolution")
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert bias is None or isinstance(bias, Tensor)
    return plain_convolution(layer, weight, bias, form.dilation)


def _layer_values(module: nn.Module) -> dict[str, float]:
    if isinstance(module, AdaptiveModule):
        return module.values()
    return {"dilation": float(module.dilation[0])} if isinstance(module, nn.Conv2d) else {}
