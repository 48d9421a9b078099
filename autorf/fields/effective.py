"""The effective receptive field: which pixels' changes move the output, measured on the user's own images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.fields.field import receptive_field, widest
from autorf.fields.graph import Output, explained, main_key, output_maps, pick_output
from autorf.ops._arguments import check_module, check_tensor, check_values, kind_of, whole_number

ENERGIES = (0.2, 0.3, 0.5, 0.99)
"""Shares of the gradient's energy whose areas are reported."""


@dataclass(frozen=True)
class EffectiveField:
    """Where the gradient of the central output lies, averaged over images.

    ``map`` ``(H, W)`` is the mean absolute gradient at every input pixel, its sum 1. ``sides`` gives for each share of
    that energy the side in input pixels of the smallest square around the centre that holds it, ``areas`` the square's
    share of the image. ``per_class`` holds the same for each class's own score where asked for.
    """

    map: np.ndarray[Any, Any]
    areas: dict[float, float]
    sides: dict[float, int]
    n_images: int
    per_class: tuple[EffectiveField, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the map."""
        return {
            "image_size": list(self.map.shape),
            "n_images": self.n_images,
            "areas": {str(energy): area for energy, area in self.areas.items()},
            "sides": {str(energy): side for energy, side in self.sides.items()},
            "per_class": [field.to_dict() for field in self.per_class],
        }


def effective_receptive_field(
    model: nn.Module,
    images: Iterable[Tensor],
    *,
    output: Output = None,
    classes: Sequence[int] | None = None,
    centre: int = 1,
) -> EffectiveField:
    """Average the gradient of the central outputs with respect to the image.

    Args:
        model: any segmentation network, run in evaluation mode where its parameters are; left as it was.
        images: batches ``(N, C, H, W)``, or single images ``(C, H, W)``, all of one size, normalised as for training.
        output: as for :func:`receptive_field`.
        classes: channels of the output to report separately too, such as every class of interest.
        centre: side of the square of central output positions whose scores are summed, at least 1.

    Raises:
        InputError: without images, for images of differing size or that hold a non-finite value, for a class that
            the output does not have, images that the model refuses, or an output that does not depend on the image.

    Papers: Luo et al., *Understanding the effective receptive field in deep convolutional neural networks*, 2016; the
    squares' areas as in Ding et al., *Scaling up your kernels to 31x31*, 2022.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from autorf.fields import effective_receptive_field
        >>> model = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4)))
        >>> field = effective_receptive_field(model, torch.rand(2, 3, 32, 32))
        >>> field.n_images, field.sides[0.99] <= 9  # at most the receptive field
        (2, True)
    """
    name = "effective_receptive_field"
    check_module(name, model)
    check_values(name, "the model", (*model.parameters(), *model.buffers()))
    centre = whole_number(name, "centre", centre)
    if not isinstance(classes, Sequence | None) or isinstance(classes, str | bytes):
        raise InputError(f"{name}: classes must be a list of the output's channels, got {kind_of(classes)}")
    if not isinstance(images, Iterable):
        raise InputError(f"{name}: images must be tensors (N, C, H, W), got {kind_of(images)}")
    channels: list[int | None] = [None, *(whole_number(name, "classes", index, 0) for index in classes or ())]
    totals: list[Tensor] | None = None
    n_images = 0
    with _frozen_evaluation(model):
        for batch in _batches(model, images):
            output = _widest(model, batch[:1]) if output is None and not n_images else output
            maps = _gradients(model, batch, output, channels, centre)
            if totals is not None and totals[0].shape != maps[0].shape:
                raise InputError(f"images differ in size: {tuple(totals[0].shape)} and {tuple(maps[0].shape)}")
            totals = maps if totals is None else [total + new for total, new in zip(totals, maps, strict=True)]
            n_images += len(batch)
    if totals is None:
        raise InputError("images: none given")
    fields = [_measured(total, n_images) for total in totals]
    return EffectiveField(fields[0].map, fields[0].areas, fields[0].sides, n_images, tuple(fields[1:]))


def _widest(model: nn.Module, image: Tensor) -> Output:
    """The output that :func:`receptive_field` measures, where a model returns several maps and scores none of them."""
    with torch.no_grad():
        maps = output_maps(_run(model, image))
    if len(maps) < 2 or main_key(maps) is not None:
        return None
    name = widest(receptive_field(model, (image.shape[2], image.shape[3]), in_channels=image.shape[1]).outputs)
    return next(key for key in maps if str(key) == name)


def _gradients(
    model: nn.Module, batch: Tensor, output: Output, channels: Sequence[int | None], centre: int
) -> list[Tensor]:
    image = batch.clone().requires_grad_()
    scores = pick_output(model, _run(model, image), output)
    if scores.dim() != 4 or not scores.requires_grad:
        raise InputError(f"expected a map (N, C, H, W) that depends on the image, got shape {tuple(scores.shape)}")
    rows, columns = (_central(length, centre) for length in scores.shape[-2:])
    middle = scores[:, :, rows, columns]
    maps = []
    for channel in channels:
        if channel is not None and not 0 <= channel < scores.shape[1]:
            raise InputError(f"classes: {channel} is none of the output's {scores.shape[1]} channels")
        score = middle.sum() if channel is None else middle[:, channel].sum()
        (gradient,) = torch.autograd.grad(score, image, retain_graph=True)
        maps.append(gradient.abs().sum((0, 1)).double().cpu())
    return maps


def _run(model: nn.Module, image: Tensor) -> Any:
    try:
        return model(image)
    except Exception as error:
        raise explained(model, image.shape, error) from error


def _central(length: int, width: int) -> slice:
    start = max(0, (length - width + 1) // 2)
    return slice(start, start + width)


def _measured(total: Tensor, n_images: int) -> EffectiveField:
    if not torch.isfinite(total).all() or total.sum() <= 0:
        raise InputError("the gradient at the image is zero or not finite: no pixel moves the central output")
    share = (total / total.sum()).numpy()
    height, width = share.shape
    rows, columns = np.abs(np.arange(height) - height // 2), np.abs(np.arange(width) - width // 2)
    rings = np.maximum(rows[:, None], columns[None]).ravel()
    energy, area = np.cumsum(np.bincount(rings, share.ravel())), np.cumsum(np.bincount(rings)) / share.size
    # Ring r of pixels around the centre belongs to the square of side 2 r + 1; summed outwards, rings fill squares.
    radii = {level: int(np.searchsorted(energy, level - 1e-12)) for level in ENERGIES}
    areas = {level: float(area[radius]) for level, radius in radii.items()}
    return EffectiveField(share, areas, {level: 2 * radius + 1 for level, radius in radii.items()}, n_images)


def _batches(model: nn.Module, images: Iterable[Tensor]) -> Iterator[Tensor]:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    for batch in images:
        check_tensor("effective_receptive_field", "an image", batch)
        check_values("effective_receptive_field", "an image", [batch])
        if not batch.is_floating_point():
            raise InputError(f"effective_receptive_field: an image must be floating-point, got {batch.dtype}")
        stacked = batch[None] if batch.dim() == 3 else batch
        if stacked.dim() != 4:
            raise InputError(f"images: expected (N, C, H, W) or (C, H, W), got shape {tuple(batch.shape)}")
        if not torch.isfinite(stacked).all():
            raise InputError("images: a value is not finite")
        yield stacked.to(like.device, like.dtype)


@contextmanager
def _frozen_evaluation(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    model.requires_grad_(False)
    try:
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in learning:
            parameter.requires_grad_(True)
