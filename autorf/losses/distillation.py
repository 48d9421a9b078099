"""What a student loses by scoring pixels otherwise than its teacher.

Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, section V, on the distillation of Hinton,
Vinyals, Dean, *Distilling the knowledge in a neural network*, 2015.

Shapes: scores ``(N, C, H, W)`` of student and teacher, whose gradient is cut; ``labels`` ``(N, H, W)``, classes or
``ignored``.
"""

import torch
from torch import Tensor
from torch.nn import functional

from autorf.errors import InputError
from autorf.ops.weighted_gradient import weight_gradient


def distillation_sum(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    ignored: int,
    *,
    temperature: float = 4.0,
    top_k: int = 0,
    class_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The divergence of the student from its teacher as a sum over pixels, and how many pixels these are.

    A pixel adds ``T² KL(softmax(teacher / T), softmax(student / T))``; with the square, as Hinton et al. have it, a
    gradient is of one size whatever the temperature is. Left out are pixels without a label and, of each image, the
    ``top_k`` on which the teacher itself is most at odds with the labels, see :func:`hardest`. The weight of a pixel's
    class multiplies its gradient, not the loss.

    Args:
        student, teacher, labels, ignored: see :mod:`autorf.losses.distillation`.
        temperature: ``T``, above 0.
        top_k: pixels of each image that are left out, at most as many as it has.
        class_weights: ``(C,)``, by which gradients are multiplied; None for none.

    Raises:
        InputError: for scores that do not fit each other, a temperature that is not above 0, or a ``top_k`` that an
            image does not have.

    Examples:
        >>> student, teacher = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(2, 3, 8, 8)
        >>> total, count = distillation_sum(student, teacher, teacher.argmax(1), 255, top_k=4)
        >>> count.item()
        120.0
        >>> (total / count).backward()
    """
    _check(student, teacher, temperature)
    with torch.autocast(student.device.type, enabled=False):
        # Sums over all pixels of a batch need more than half precision.
        student, teacher = _precise(student), _precise(teacher.detach())
        labelled = labels != ignored
        taught = labelled & ~hardest(teacher, labels, ignored, top_k) if top_k else labelled
        if class_weights is not None:
            of_pixel = class_weights.to(student)[labels.where(labelled, 0)]
            student = weight_gradient(student, of_pixel[:, None])
        known = functional.log_softmax(teacher / temperature, 1)
        learned = functional.log_softmax(student / temperature, 1)
        each = functional.kl_div(learned, known, reduction="none", log_target=True).sum(1)
        return temperature**2 * (each * taught).sum(), taught.sum().to(each.dtype)


def hardest(teacher: Tensor, labels: Tensor, ignored: int, top_k: int) -> Tensor:
    """Which ``top_k`` pixels of each image have the highest cross-entropy of the teacher with the labels.

    Args:
        teacher, labels, ignored: see :mod:`autorf.losses.distillation`.
        top_k: how many of each image; where fewer have a label, all that have one.

    Returns:
        ``(N, H, W)`` bool.

    Raises:
        InputError: for more pixels than an image has.

    >>> teacher = torch.tensor([[[[2.0, 0.0, -3.0]], [[0.0, 1.0, 0.0]]]])
    >>> hardest(teacher, torch.tensor([[[0, 0, 0]]]), 255, 2)
    tensor([[[False,  True,  True]]])
    """
    pixels = labels[0].numel()
    if not 0 <= top_k <= pixels:
        height, width = labels.shape[1:]
        raise InputError(
            f"distill.top_k: {top_k} pixels are to be left out of an image of {height} x {width} = {pixels}; "
            f"give 0 to {pixels}"
        )
    labelled = labels != ignored
    losses = functional.cross_entropy(teacher, labels.where(labelled, 0), reduction="none")
    # What is no number ranks first: nothing is to be learned of it.
    ranked = losses.nan_to_num(torch.inf, torch.inf).masked_fill(~labelled, -torch.inf).flatten(1)
    highest = torch.zeros_like(ranked, dtype=torch.bool)
    return highest.scatter_(1, ranked.topk(top_k).indices, True).view_as(labels) & labelled


def estimated_labels(teacher: Tensor, mask: Tensor, ignored: int) -> Tensor:
    """The teacher's predictions as labels ``(N, H, W)``, where ``mask`` does not say that a pixel is ``ignored``.

    Of the mask no class is read: it may say only what augmentation has filled.
    """
    return teacher.detach().argmax(1).where(mask != ignored, ignored)


def _precise(scores: Tensor) -> Tensor:
    """Sums over all pixels of a batch need more than half precision."""
    return scores if scores.dtype == torch.float64 else scores.float()


def _check(student: Tensor, teacher: Tensor, temperature: float) -> None:
    if student.shape != teacher.shape:
        raise InputError(
            f"distill: the student's scores are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}; both "
            "must score the same classes at the same pixels"
        )
    if not temperature > 0:
        raise InputError(f"distill.temperature: must be above 0, got {temperature:g}; the paper has 4")
