"""Exchanging modules of a model for others, reversibly."""

from collections.abc import Mapping

from torch import nn

from autorf.methods.inflation import InflationRegion
from autorf.methods.region import ConstantRegion, EnterRegion, LeaveRegion, SeeImage

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

    Hooks go over to the replacement, and so does an inflation factor that the replaced module holds.
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
    """Give ``replacement`` the hooks of ``original``, and the inflation factor it holds."""
    for attribute in HOOKS:
        # The dictionaries themselves: handles that users keep refer to them, and must still remove their hook.
        setattr(replacement, attribute, getattr(original, attribute))
    for name, child in original.named_children():
        if isinstance(child, InflationRegion | ConstantRegion):
            replacement.add_module(name, child)


def region_at(start: nn.Module) -> InflationRegion | ConstantRegion:
    """The region that begins with the module ``start``."""
    region = next(hook.region for hook in start._forward_pre_hooks.values() if isinstance(hook, EnterRegion))
    assert isinstance(region, InflationRegion | ConstantRegion)
    return region


def rebind_hooks(model: nn.Module, old: nn.Module, new: InflationRegion | ConstantRegion) -> None:
    """Let the hooks around a region call ``new`` instead of ``old``."""
    for module in model.modules():
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
            if isinstance(hook, EnterRegion | LeaveRegion | SeeImage) and hook.region is old:
                hook.region = new
