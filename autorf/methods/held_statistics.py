"""Keeping what a trained network knows of its maps: batch norm, and whatever else changes buffers by itself."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


class HoldEvaluation:
    """Forward pre-hook: runs a module in evaluation mode, whatever mode the model is in."""

    def __call__(self, module: nn.Module, arguments: Any) -> None:
        """Leave the training mode."""
        if module.training:
            module.training = False


def hold_evaluation(module: nn.Module) -> None:
    """Have ``module`` itself, not what is inside it, run in evaluation mode from now on."""
    if not any(isinstance(hook, HoldEvaluation) for hook in module._forward_pre_hooks.values()):
        module.register_forward_pre_hook(HoldEvaluation())


def hold_batch_norm(model: nn.Module) -> None:
    """Keep every batch norm of ``model`` as it is: its statistics, and its weights, which no longer learn."""
    for module in batch_norms(model).values():
        hold_evaluation(module)
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)


def batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    """The normalisations of ``model`` that keep statistics of what they have seen, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _NormBase) and module.running_mean is not None
    }


def never_seen_data(norm: nn.Module) -> bool:
    """Whether the statistics of a batch norm are those it begins with: mean 0 and variance 1."""
    assert isinstance(norm, _NormBase)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return bool((norm.running_mean == 0).all()) and bool((norm.running_var == 1).all())
