"""Models that ``fully_shard`` spreads over processes: making their parameters whole, and taking the sharding out."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from autorf.methods.gathered import gathered

ORIGIN = "torch.distributed.fsdp"
"""Where the hooks of ``fully_shard`` are defined."""

_FLAGS = ("_is_fsdp_managed_module", "_fsdp_use_orig_params")


def is_sharded(model: nn.Module) -> bool:
    """Whether every process holds a part of ``model``, as ``fully_shard`` leaves it."""
    # Between a forward pass and the next backward one its parameters may be whole.
    return any(True for _ in _sharded_modules(model)) or any(
        hasattr(parameter, "full_tensor") for parameter in model.parameters()
    )


def reshard(model: nn.Module) -> None:
    """Have each process hold its parts of ``model`` again, where a forward pass without gradients left it whole.

    What is written into whole parameters is lost, and an optimizer knows the parts alone.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for module in _sharded_modules(model):
            module.reshard()


def gather(model: nn.Module) -> None:
    """Give every process the whole of ``model``, which ``fully_shard`` had spread over them; all must ask for it."""
    reshard(model)
    _make_whole(model)
    for module in list(_sharded_modules(model)):
        # The class before, of which fully_shard made a subclass.
        module.__class__ = next(base for base in type(module).__mro__ if not base.__module__.startswith(ORIGIN))
    for module in model.modules():
        _take_out(module)


def _sharded_modules(model: nn.Module) -> Iterator[Any]:
    return (module for module in model.modules() if hasattr(type(module), "reshard") and _is_of_fsdp(type(module)))


def _is_of_fsdp(kind: type) -> bool:
    return any(base.__module__.startswith(ORIGIN) for base in kind.__mro__)


def _make_whole(model: nn.Module) -> None:
    whole: dict[nn.Parameter, nn.Parameter] = {}
    for module in model.modules():
        for name, part in module._parameters.items():
            if part is None or not hasattr(part, "full_tensor"):
                continue
            if part not in whole:
                # A copy: a parameter that one process holds alone is not copied by gathering it.
                values = gathered(part.detach()).clone()
                whole[part] = nn.Parameter(values, requires_grad=part.requires_grad)
            module._parameters[name] = whole[part]


def _take_out(module: nn.Module) -> None:
    """Remove what ``fully_shard`` left in ``module``: hooks, marks and its state, which holds the parts."""
    from torch.distributed._composable.contract import REGISTRY_KEY, STATE_KEY
    from torch.distributed._composable_state import _module_state_mapping

    every = (hooks for name, hooks in vars(module).items() if name.endswith("_hooks") and isinstance(hooks, dict))
    for hooks in every:
        for key in [key for key, hook in hooks.items() if str(getattr(hook, "__module__", "")).startswith(ORIGIN)]:
            del hooks[key]
    for flag in _FLAGS:
        vars(module).pop(flag, None)
    if any(getattr(shard, "__name__", "") == "fully_shard" for shard in vars(module).get(STATE_KEY, {})):
        del vars(module)[STATE_KEY], vars(module)[REGISTRY_KEY]
        _module_state_mapping.pop(module, None)
