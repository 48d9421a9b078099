"""Optimizers that undo the scale of a gradient, for which a gradient that is scaled on purpose means nothing."""

import warnings

from torch import nn
from torch.optim import Optimizer

from autorf.methods.inflation import InflationRegion

_UNDO_SCALE = ("ada", "rmsprop", "rprop", "lion", "sign", "lamb", "lars", "muon", "prodigy", "sophia", "shampoo")
"""In the names of optimizers whose step is the same for a gradient of another scale; ``ada`` as in Adam, AdamW, RAdam,
Adagrad, Adafactor and DAdapt."""


def scale_caution(optimizer: str) -> str | None:
    """What is to be said of the paper's gradient of ``f`` under an optimizer of that name; None where it is heeded.

    >>> scale_caution("SGD") is None
    True
    """
    if not any(part in optimizer.lower() for part in _UNDO_SCALE):
        return None
    return (
        f"inflation's gradient: paper divides the gradient of f by numbers of pixels, which {optimizer} undoes, and a "
        "multiplier of 3e4 to 9e4 then throws f from bound to bound; use sgd, or gradient: exact"
    )


def check_gradient_scale(model: nn.Module, optimizer: Optimizer) -> None:
    """Warn where ``optimizer`` undoes the scale of the paper's gradient of an inflation factor in ``model``."""
    regions = [module for module in model.modules() if isinstance(module, InflationRegion)]
    caution = scale_caution(type(optimizer).__name__)
    if caution and any(region.method.gradient == "paper" for region in regions):
        warnings.warn(caution, RuntimeWarning, stacklevel=2)
