"""Turn what a method learned into plain layers."""

from dataclasses import dataclass

from torch import nn

from autorf.methods.inflation import EnterRegion, InflationRegion, LeaveRegion
from autorf.surgery.adapt import adaptive_modules


@dataclass(frozen=True)
class Frozen:
    """What ``freeze`` folded into plain layers, and what it had to leave."""

    folded: tuple[str, ...]
    left: tuple[str, ...]


def freeze(model: nn.Module) -> Frozen:
    """Replace every adaptive module of ``model`` by a plain one with the same output, in place, where there is one.

    Returns:
        The names of the modules that were folded, and of those whose method has no plain form.
    """
    folded, left = [], []
    for name, module in adaptive_modules(model).items():
        plain = module.frozen()
        if plain is None:
            left.append(name)
            continue
        plain.train(module.training)
        if isinstance(module, InflationRegion):
            _rebind_hooks(model, module, plain)
        model.set_submodule(name, plain)
        folded.append(name)
    return Frozen(tuple(folded), tuple(left))


def _rebind_hooks(model: nn.Module, region: nn.Module, plain: nn.Module) -> None:
    for module in model.modules():
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
            if isinstance(hook, EnterRegion | LeaveRegion) and hook.region is region:
                hook.region = plain
