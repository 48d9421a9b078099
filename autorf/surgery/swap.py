"""Exchanging modules of a model for others, reversibly."""

from collections.abc import Mapping

from torch import nn

from autorf.methods.modules import AdaptiveModule
from autorf.methods.region import Region
from autorf.methods.region_ends import ends_of, region_ends, set_ends
from autorf.surgery.record import CHANGED
from autorf.surgery.wrappers import submodule

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

    The names of ``replacements`` are without prefixes of wrappers, those of what is returned with them.

    Hooks go over to the replacement, and so do regions that the replaced module holds, begins or ends.
    """
    aliases: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        aliases.setdefault(id(module), []).append(name)
    before: dict[str, nn.Module] = {}
    for name, replacement in replacements.items():
        original = submodule(model, name)
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
    """Give ``replacement`` the hooks of ``original``, the region it holds, and its place at a region's ends."""
    for attribute in HOOKS:
        # The dictionaries themselves: handles that users keep refer to them, and must still remove their hook.
        setattr(replacement, attribute, getattr(original, attribute))
    for name, child in original.named_children():
        if isinstance(child, Region):
            replacement.add_module(name, child)
    set_ends(replacement, ends_of(original))
    if CHANGED in vars(original):
        setattr(replacement, CHANGED, vars(original)[CHANGED])


def region_at(start: nn.Module) -> Region:
    """The region that begins with the module ``start``."""
    region = ends_of(start).enters
    assert region is not None, "no region begins here"
    return region


def first_leaf(module: nn.Module) -> nn.Module:
    """The first layer inside ``module``: a place for a parameter that no container iterates over."""
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    if isinstance(module, nn.Conv2d | AdaptiveModule):
        return module
    leaves = (first_leaf(child) for child in module.children())
    return next((leaf for leaf in leaves if not isinstance(leaf, containers)), module)


def rebind(model: nn.Module, old: nn.Module, new: Region) -> None:
    """Let the modules at the ends of the region ``old`` use ``new`` instead."""
    for module in region_ends(model):
        set_ends(module, module.region_ends.replaced(old, new))
