"""Modules whose gradient depends on the labels of the pixels, and how the labels reach them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.ops._arguments import check_module, check_tensor


class LabelAware(nn.Module):
    """A module that reads the labels of the batch while :func:`labels` provides them."""

    labels: Tensor | None = None

    def labels_at(self, size: tuple[int, int]) -> Tensor:
        """The labels ``(N, 1, H, W)`` of a map of ``size``: each of its pixels takes the nearest one's.

        Raises:
            InputError: when no labels are provided, which would silently train something else.
        """
        if self.labels is None:
            raise InputError(
                f"{type(self).__name__} needs the labels in training; run the forward pass within "
                "autorf.labels(model, target)"
            )
        return nearest(self.labels, size)[:, None]


def nearest(values: Tensor, size: Sequence[int]) -> Tensor:
    """``values (..., H, W)`` at another height and width, each pixel the nearest one's."""
    rows, columns = (
        ((torch.arange(length, device=values.device) + 0.5) * (whole / length)).long()
        for length, whole in zip(size, values.shape[-2:], strict=True)
    )
    return values[..., rows[:, None], columns]


@contextmanager
def labels(model: nn.Module, target: Tensor) -> Iterator[None]:
    """Provide a batch's labels to the layers of ``model`` that weight their gradient by them.

    Weighted-gradient layers and inflation's background weight need them; other models take no notice. The backward
    pass may run outside.

    Args:
        model: adapted or not.
        target: ``(N, H, W)``, integer classes, of the images that are passed through ``model`` meanwhile.

    Raises:
        InputError: for a target of another shape or type.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model, images = nn.Conv2d(3, 4, 1), torch.rand(2, 3, 8, 8)
        >>> target = torch.zeros(2, 8, 8, dtype=torch.long)
        >>> with autorf.labels(model, target):
        ...     loss = nn.functional.cross_entropy(model(images), target)
        >>> loss.backward()
    """
    check_module("labels", model)
    check_tensor("labels", "target", target)
    if target.dim() != 3 or target.is_floating_point():
        raise InputError(f"labels: expected integers (N, H, W), got {target.dtype} of shape {tuple(target.shape)}")
    aware = [module for module in model.modules() if isinstance(module, LabelAware)]
    for module in aware:
        module.labels = target
    try:
        yield
    finally:
        for module in aware:
            module.labels = None
