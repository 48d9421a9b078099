"""Exchanging modules of a model for others, reversibly."""

from collections.abc import Mapping

from torch import nn

from autorf.methods.base import AdaptiveModule
from autorf.methods.region import EnterRegion, LeaveRegion, Region, SeeImage

HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
)


def swap(model: nn.Module, replacements: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Put ``replacements`` into ``model`` under every name the replaced module has there; return what was there before.

    Hooks go over to the replacement, and so does a region that the replaced module holds.
    """
    aliases: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        aliases.setdefault(id(module), []).append(name)
    before: dict[str, nn.Module] = {}
    for name, replacement in replacements.items():
        original = model.get_submodule(name)
        carry(original, replacement)
        for alias in aliases[id(original)]:
            before[alias] = original
            model.set_submodule(alias, replacement)
    return before


def put_back(model: nn.Module, before: Mapping[str, nn.Module]) -> None:
    """Undo :func:`swap`."""
    for name, module in before.items():
        model.set_submodule(name, module)


def carry(original: nn.Module, replacement: nn.Module) -> None:
    """Give ``replacement`` the hooks of ``original``, and the region it holds."""
    for attribute in HOOKS:
        # The dictionaries themselves: handles that users keep refer to them, and must still remove their hook.
        setattr(replacement, attribute, getattr(original, attribute))
    for name, child in original.named_children():
        if isinstance(child, Region):
            replacement.add_module(name, child)


def region_at(start: nn.Module) -> Region:
    """The region that begins with the module ``start``."""
    return next(hook.region for hook in start._forward_pre_hooks.values() if isinstance(hook, EnterRegion))


def first_leaf(module: nn.Module) -> nn.Module:
    """The first layer inside ``module``: a place for a parameter that no container iterates over."""
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    if isinstance(module, nn.Conv2d | AdaptiveModule):
        return module
    leaves = (first_leaf(child) for child in module.children())
    return next((leaf for leaf in leaves if not isinstance(leaf, containers)), module)


def rebind_hooks(model: nn.Module, old: nn.Module, new: Region) -> None:
    """Let the hooks around a region call ``new`` instead of ``old``."""
    for module in model.modules():
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
            if isinstance(hook, EnterRegion | LeaveRegion | SeeImage) and hook.region is old:
                hook.region = new
