"""Losses over the labelled pixels of a batch.

Shapes: ``scores`` ``(N, C, H, W)``, of softmax over classes, or ``(N, 1, H, W)`` of one sigmoid that tells class 1 from
class 0; ``target`` ``(N, H, W)``, whose pixels are 0 to C - 1 or ``ignored``; ``weights`` ``(C,)`` or None. All return
a number without a unit. The definitions are those of segmentation-models-pytorch 0.6, with three differences: pixels
without a label count nowhere, also not in the number that a mean is divided by; sums that hold few of many pixels are
added up as they are instead of being taken as a difference of large ones; and nothing waits for the device.
"""

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-7
"""What denominators are at least."""

_SMALLEST = 1e-12
"""What a power is taken of at least: a power below 1 has no gradient at 0."""


def cross_entropy(
    scores: Tensor,
    target: Tensor,
    ignored: int,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy, a mean over pixels weighted by their classes' weights.

    Args:
        scores, target, ignored, weights: see :mod:`autorf.losses.functions`.
        label_smoothing: the share of a pixel's label that is spread over all classes.
        reduction: ``mean``, or ``sum`` for the mean's numerator.
    """
    if scores.shape[1] == 1:
        # The softmax of (0, z) is the sigmoid of z.
        scores = torch.cat([torch.zeros_like(scores), scores], 1)
    return functional.cross_entropy(
        scores, target, weights, ignore_index=ignored, label_smoothing=label_smoothing, reduction=reduction
    )


def focal(scores: Tensor, target: Tensor, ignored: int, weights: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Each class against the rest by its own sigmoid, pixels that are right already counting less.

    Of a class it is the mean over pixels of ``-(1 - p) ** gamma * log(p)``, ``p`` the probability of what is true; of
    all the mean over classes.
    Paper: Lin et al., *Focal loss for dense object detection*, ICCV 2017, Eq. 4.
    """
    members, kept = _labels(scores, target, ignored)
    entropy = functional.binary_cross_entropy_with_logits(scores, members.to(scores), reduction="none")
    wrong = -torch.expm1(-entropy)
    each = wrong.clamp(min=_SMALLEST) ** gamma * entropy
    pixels = kept.sum().clamp(min=1)
    return _mean((each * kept).sum((0, 2, 3)) / pixels, weights)


def dice(scores: Tensor, target: Tensor, ignored: int, weights: Tensor | None = None) -> Tensor:
    """:func:`tversky` with equal costs: of every class one less its Dice coefficient.

    Paper: Milletari, Navab, Ahmadi, *V-Net*, 3DV 2016.
    """
    return tversky(scores, target, ignored, weights)


def tversky(
    scores: Tensor,
    target: Tensor,
    ignored: int,
    weights: Tensor | None = None,
    alpha: float = 0.5,
    beta: float = 0.5,
    gamma: float = 1.0,
) -> Tensor:
    """Of every class ``1 - hits / (hits + alpha * false + beta * missed)`` over the whole batch; of all the mean.

    A class without a labelled pixel in the batch has no loss; the mean is over all classes.
    Paper: Salehi, Erdogmus, Gholipour, *Tversky loss function for image segmentation*, 2017, Eq. 3.
    """
    members, kept = _labels(scores, target, ignored)
    p = _probabilities(scores)
    hits = p.masked_fill(~members, 0).sum((0, 2, 3))
    false = p.masked_fill(~kept | members, 0).sum((0, 2, 3))
    missed = (1 - p).masked_fill(~members, 0).sum((0, 2, 3))
    index = hits / (hits + alpha * false + beta * missed).clamp(min=EPSILON)
    present = members.any(3).any(2).any(0)
    return _mean((1 - index) * present, weights) ** gamma


def lovasz(scores: Tensor, target: Tensor, ignored: int, weights: Tensor | None = None) -> Tensor:
    """The Lovasz extension of one less the IoU, a mean over the classes with a labelled pixel in the batch.

    One sigmoid has the hinge of its score as a pixel's error, several classes one less the probability of what is true.
    Paper: Berman, Triki, Blaschko, *The Lovasz-Softmax loss*, CVPR 2018, Eqs. 8, 9 and 13.
    """
    members, kept = _labels(scores, target, ignored)
    if scores.shape[1] == 1:
        errors = 1 - scores * torch.where(members, 1.0, -1.0).to(scores)
    else:
        errors = (members.to(scores) - _probabilities(scores)).abs()
    # Ignored pixels come last, where what they would add is taken off.
    last = errors.masked_fill(~kept, -torch.inf)
    order = _by_class(last).argsort(1, descending=True)
    ordered = _by_class(errors.masked_fill(~kept, 0)).gather(1, order).clamp(min=0)
    truth = _by_class(members).gather(1, order)
    losses = (ordered * _slopes(truth, ordered.dtype)).sum(1)
    present = truth.any(1).to(losses)
    share = present if weights is None else present * weights
    return (losses * share).sum() / share.sum().clamp(min=EPSILON)


def _slopes(truth: Tensor, dtype: torch.dtype) -> Tensor:
    """What each pixel ``(C, P)``, the worst first, adds to one less the IoU.

    As a difference of two IoUs it would be lost in their rounding, where there are millions of pixels.
    """
    pixels = truth.sum(1, keepdim=True)
    missed, union = (count.to(dtype) for count in (pixels - truth.cumsum(1), pixels + (~truth).cumsum(1)))
    one_less = (union - 1).clamp(min=1)
    return torch.where(truth, 1 / union.clamp(min=1), missed / union.clamp(min=1) / one_less)


def _labels(scores: Tensor, target: Tensor, ignored: int) -> tuple[Tensor, Tensor]:
    """Which pixels are of which class ``(N, C, H, W)``, and which have a label ``(N, 1, H, W)``."""
    n_classes = scores.shape[1]
    numbers = torch.arange(n_classes, device=target.device) + (n_classes == 1)
    kept = (target != ignored)[:, None]
    return (target[:, None] == numbers[:, None, None]) & kept, kept


def _probabilities(scores: Tensor) -> Tensor:
    return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(1)


def _by_class(values: Tensor) -> Tensor:
    """``(N, C, H, W)`` as ``(C, N * H * W)``."""
    return values.movedim(1, 0).flatten(1)


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """The mean over classes, by their weights."""
    return losses.mean() if weights is None else (losses * weights).sum() / weights.sum()
