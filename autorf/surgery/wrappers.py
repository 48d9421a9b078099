"""Wrappers around a model or a part of it: names without them, and what may still be changed inside."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import nn

from autorf.errors import InputError

Inside = Literal["anything", "no new state", "nothing"]


@dataclass(frozen=True)
class Wrapper:
    """A class of modules that hold another one.

    Attributes:
        attribute: under which it holds it; empty where it has become the wrapper itself.
        inside: what ``adapt`` may still change there.
        order: what to do instead.
    """

    attribute: str
    inside: Inside
    order: str


_WRAP_LATER = "adapt first, wrap then"
_SHARD_LATER = "adapt first, then shard"
_AVERAGE_LATER = "adapt the model first, then make its average"
_FLAT = Wrapper("_fsdp_wrapped_module", "nothing", "adapt first, then shard by torch.distributed.fsdp.fully_shard")

WRAPPERS = {
    "torch._dynamo.eval_frame.OptimizedModule": Wrapper("_orig_mod", "anything", ""),
    "torch.distributed.algorithms._checkpoint.checkpoint_wrapper.CheckpointWrapper": Wrapper(
        "_checkpoint_wrapped_module", "anything", ""
    ),
    "torch.nn.parallel.distributed.DistributedDataParallel": Wrapper("module", "no new state", _WRAP_LATER),
    "torch.nn.parallel.data_parallel.DataParallel": Wrapper(
        "module", "no new state", "wrap the adapted model in DistributedDataParallel instead, one process a device"
    ),
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": _FLAT,
    "torch.distributed.fsdp._fully_shard._fully_shard.FSDPModule": Wrapper("", "nothing", _SHARD_LATER),
    "torch.optim.swa_utils.AveragedModel": Wrapper("module", "nothing", _AVERAGE_LATER),
    "timm.utils.model_ema.ModelEmaV2": Wrapper("module", "nothing", _AVERAGE_LATER),
    "timm.utils.model_ema.ModelEmaV3": Wrapper("module", "nothing", _AVERAGE_LATER),
    "torch.jit._script.ScriptModule": Wrapper("", "nothing", "adapt and freeze it first, then script or trace it"),
}
"""By qualified name of a class, so that no library is imported; subclasses count."""


@cache
def _wrapper_of(kind: Any) -> Wrapper | None:
    names = (f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)
    return next((WRAPPERS[name] for name in names if name in WRAPPERS), None)


def _class(module: nn.Module) -> Any:
    # Typed loosely: a type checker takes no class of modules for hashable.
    return type(module)


def _attribute(module: nn.Module) -> str:
    wrapper = _wrapper_of(_class(module))
    return "" if wrapper is None else wrapper.attribute


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside all wrappers around ``model``; itself where there is none.

    Examples:
        >>> from torch import nn
        >>> net = nn.Conv2d(3, 3, 3)
        >>> unwrapped(nn.DataParallel(net)) is net
        True
    """
    while attribute := _attribute(model):
        model = model.get_submodule(attribute)
    return model


def all_modules(model: nn.Module) -> list[nn.Module]:
    """What ``model.modules()`` gives, in its order, in a fraction of its time: every step asks for it."""
    modules: dict[nn.Module, None] = {}
    waiting: list[nn.Module | None] = [model]
    while waiting:
        module = waiting.pop()
        if module is not None and module not in modules:
            modules[module] = None
            waiting.extend(reversed(module._modules.values()))
    return list(modules)


def named_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules of ``model`` by name, wrappers and their prefixes left out; the model itself under ``""``."""
    named = list(model.named_modules())
    if not any(_attribute(module) for _, module in named):
        return named
    clean = _cleaner(named)
    return [(clean(name), module) for name, module in named if not _attribute(module)]


def clean_names(model: nn.Module) -> Callable[[str], str]:
    """What takes the prefixes of wrappers out of the name of a module, or of a key of the state."""
    return _cleaner(list(model.named_modules()))


def submodule(model: nn.Module, name: str) -> nn.Module:
    """The module of that name, as :func:`named_modules` has it."""
    return _path(model, name)[-1]


def check_inside(model: nn.Module, name: str, method: str, *, new_state: bool) -> None:
    """Raise ``InputError`` where the module ``name`` lies inside a wrapper that forbids to change it.

    Args:
        model: that holds it, its wrappers included.
        name: as :func:`named_modules` has it.
        method: that would change it, for the message.
        new_state: whether the change brings parameters or buffers.
    """
    for module in _path(model, name):
        wrapper = _wrapper_of(_class(module))
        if wrapper is None or wrapper.inside == "anything" or (wrapper.inside == "no new state" and not new_state):
            continue
        raise InputError(f"{method}: {name!r} lies inside a {_kind(module)}: {wrapper.order}")


def refuse_flat(modules: Iterable[nn.Module]) -> None:
    """Raise ``InputError`` where one of a model's ``modules`` is a ``FullyShardedDataParallel``: it flattens others."""
    if any(_wrapper_of(kind) is _FLAT for kind in {_class(module) for module in modules}):
        raise InputError(
            "an adapted model cannot learn inside FullyShardedDataParallel, which cuts its parameters across; "
            "shard it by torch.distributed.fsdp.fully_shard"
        )


def _kind(module: nn.Module) -> str:
    if isinstance(module, torch.jit.ScriptModule):
        return "module compiled by torch.jit"
    return "module sharded by fully_shard" if not _attribute(module) else type(module).__name__


def _path(model: nn.Module, name: str) -> list[nn.Module]:
    """The modules from ``model`` to the one of that name, wrappers included."""
    path = [model]
    for part in name.split(".") if name else []:
        path.extend(_opened(path[-1]))
        # Not get_submodule, which compiled modules lack.
        inner = getattr(path[-1], part)
        assert isinstance(inner, nn.Module)
        path.append(inner)
    path.extend(_opened(path[-1]))
    return path


def _opened(module: nn.Module) -> list[nn.Module]:
    """What lies inside the wrappers that ``module`` is, one after the other."""
    inside: list[nn.Module] = []
    while attribute := _attribute(module):
        module = module.get_submodule(attribute)
        inside.append(module)
    return inside


def _cleaner(named: list[tuple[str, nn.Module]]) -> Callable[[str], str]:
    steps = {f"{name}.{attribute}".lstrip(".") for name, module in named if (attribute := _attribute(module))}
    if not steps:
        return lambda name: name

    def clean(name: str) -> str:
        parts = name.split(".")
        return ".".join(part for length, part in enumerate(parts, 1) if ".".join(parts[:length]) not in steps)

    return clean
