"""The receptive field at every pixel, where per-pixel layers make it differ."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.fields.dilated import dilated
from autorf.fields.field import receptive_field
from autorf.ops._arguments import check_module, check_tensor


def field_map(model: nn.Module, image: Tensor) -> Tensor:
    """The side of the receptive field at every pixel of ``image``, in input pixels.

    The model is run once in evaluation mode. Where per-pixel layers follow one another the fields add up exactly, by
    each layer's dilation at that pixel; of parallel ones the field is a union, for which the sum is an upper bound.

    Args:
        model: with per-pixel layers in it (``autorf.ScaleAdaptive``, ``autorf.PixelAdaptive``).
        image: ``(N, 3, H, W)``.

    Returns:
        ``(N, 1, H, W)`` float32; the larger of both axes. Global paths are left out.

    Raises:
        InputError: when ``model`` has no per-pixel layer that ran, or as :func:`receptive_field`.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> from autorf.fields import field_map
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> model = autorf.adapt(model, autorf.PixelAdaptive(targets="1"))
        >>> autorf.advance(model, 0, 10)
        >>> field_map(model, torch.rand(1, 3, 16, 16)).shape
        torch.Size([1, 1, 16, 16])
    """
    check_module("field_map", model)
    check_tensor("field_map", "image", image, dims=4)
    layers = [module for module in model.modules() if hasattr(module, "dilation_map")]
    _run(model, image)
    maps = [layer.dilation_map for layer in layers]
    seen = [
        (layer, dilation_map)
        for layer, dilation_map in zip(layers, maps, strict=True)
        if isinstance(dilation_map, Tensor)
    ]
    if not seen:
        raise InputError(
            "field_map: the model has no per-pixel layer; put one in: autorf.adapt(model, ScaleAdaptive())"
        )
    size = (image.shape[2], image.shape[3])
    chosen = [layer for layer, _ in seen]
    with dilated(chosen, 1.0):
        least = max(receptive_field(model, size).size)
    total = torch.full((image.shape[0], 1, *size), least, dtype=torch.float32)
    for layer, dilation_map in seen:
        with dilated([other for other in chosen if other is not layer], 1.0), dilated([layer], 2.0):
            slope = max(receptive_field(model, size).size) - least
        reach = functional.interpolate(dilation_map.float().cpu(), size=size, mode="bilinear", align_corners=False)
        total += slope * (reach - 1)
    return total


def _run(model: nn.Module, image: Tensor) -> None:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            model(image)
    finally:
        for module in training:
            module.training = True
