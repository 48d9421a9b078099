"""How a region takes its place in a model: the modules at its ends become modules that resize.

A module at an end keeps its identity, its state's keys and its name in the model, and its class becomes a subclass of
what it was. A hook would do too, but compilers do not look at hooks: a graph of the network without the region would be
used for the one with it.
"""

import copyreg
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, wraps
from typing import Any

from torch import nn

from autorf.errors import InputError, a_type
from autorf.methods.passes import sides_of
from autorf.methods.region import Region


@dataclass(frozen=True)
class Ends:
    """What a module is to the regions around it.

    Attributes:
        sees: the regions that return to the size of this module's input, the whole model's.
        enters: the region that begins with this module.
        leaves: the region that ends with it.
    """

    sees: tuple[Region, ...] = ()
    enters: Region | None = None
    leaves: Region | None = None

    def replaced(self, old: nn.Module, new: Region) -> "Ends":
        """The same with the region ``new`` for ``old``."""
        sees = tuple(new if region is old else region for region in self.sees)
        enters, leaves = (new if region is old else region for region in (self.enters, self.leaves))
        return Ends(sees, enters, leaves)


class RegionEnd(nn.Module):
    """A module at which a region begins or ends, or that sees the image; of the class it was, and of this one."""

    region_ends: Ends
    plain_class: type[nn.Module]

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced: Any = super().__reduce_ex__(protocol)
        rebuild, arguments, *rest = reduced
        if rebuild is not copyreg.__newobj__ or arguments != (type(self),):  # type: ignore[attr-defined]
            raise InputError(
                f"{a_type(self)} at the end of a region cannot be copied or pickled, which it does in a way "
                "of its own; keep its state_dict instead"
            )
        return (_new, (self.plain_class,), *rest)

    def _replicate_for_data_parallel(self) -> nn.Module:
        raise InputError(
            "an inflated region cannot run in DataParallel on several devices; use DistributedDataParallel, one "
            "process a device"
        )


def place(region: Region, first: nn.Module, last: nn.Module, model: nn.Module) -> Callable[[], None]:
    """Have ``region`` begin with ``first`` and end with ``last``, two modules of ``model``; return how to undo it.

    Raises:
        InputError: when the forward of one of them has been replaced, so that it would not be called.
    """
    parts: list[tuple[nn.Module, dict[str, Any]]] = [(first, {"enters": region}), (last, {"leaves": region})]
    if region.sees_image:
        parts.append((model, {"sees": (*ends_of(model).sees, region)}))
    for module, _ in parts:
        if "forward" in vars(module):
            raise InputError(
                f"a region cannot begin or end with {a_type(module)} whose forward was replaced; adapt the "
                "model first, then wrap or prepare it"
            )
    before = [(module, ends_of(module)) for module, _ in parts]
    for module, change in parts:
        set_ends(module, replace(ends_of(module), **change))

    def undo() -> None:
        for module, ends in before:
            set_ends(module, ends)

    return undo


def ends_of(module: nn.Module) -> Ends:
    """What ``module`` is to the regions around it."""
    return module.region_ends if isinstance(module, RegionEnd) else Ends()


def set_ends(module: nn.Module, ends: Ends) -> None:
    """Make ``module`` be this to the regions around it."""
    # Typed loosely: a type checker takes no class of modules for hashable.
    plain: Any = module.plain_class if isinstance(module, RegionEnd) else type(module)
    if ends == Ends():
        with suppress(AttributeError):
            del module.region_ends
        module.__class__ = plain
    else:
        module.region_ends = ends  # type: ignore[assignment]
        module.__class__ = _end_class(plain)


def region_ends(model: nn.Module) -> Iterator[RegionEnd]:
    """Every module of ``model`` that is an end of a region."""
    return (module for module in model.modules() if isinstance(module, RegionEnd))


@cache
def _end_class(plain: Any) -> type[RegionEnd]:
    """The subclass of ``plain`` that resizes; under its name, by which models, records and exporters know it."""
    forward = plain.forward

    @wraps(forward)
    def resizing(self: RegionEnd, *arguments: Any, **named: Any) -> Any:
        ends = self.region_ends
        for region in ends.sees:
            _see(region, arguments, named)
        if ends.enters is not None:
            arguments = (ends.enters.enter(arguments[0]), *arguments[1:])
        output = forward(self, *arguments, **named)
        return output if ends.leaves is None else ends.leaves.leave(output)

    names = {"__module__": plain.__module__, "__qualname__": plain.__qualname__, "__doc__": plain.__doc__}
    body = {**names, "plain_class": plain, "forward": resizing}
    return types.new_class(plain.__name__, (RegionEnd, plain), exec_body=lambda namespace: namespace.update(body))


def _see(region: Region, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Note the size of the model's first argument."""
    image = next(iter((*arguments, *named.values())))
    region.image_size = sides_of(image)


def _new(plain: Any) -> RegionEnd:
    """An empty module of the subclass, for copies and pickles."""
    resizing = _end_class(plain)
    return resizing.__new__(resizing)
