"""Receptive fields by gradient probing: the judge of the receptive-field engine, independent of it.

The network runs on a long thin image with every weight 1 and each non-linearity, gate and normalisation replaced by a
positive linear stand-in. What one output row depends on is then the set of image rows with a non-zero gradient, found
by autograd through the real convolutions, resizes, views and paddings. Nothing of ``autorf.fields`` is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from autorf.errors import InputError
from autorf.testing.stand_ins import MIXING, STAND_INS

Pick = Callable[[Any], Tensor]

_THRESHOLD = 1e-4
"""Gradients become 0 or 1 after every function, so none fades away: weights are 1, interpolation weights far above."""
_MULTIPLE = 256
"""Sides tried are multiples of it, for networks that halve the image and for windows of a power of two."""
_ROOMY_FRACTION = 0.75
"""A field has room on an image whose side it fills to at most this fraction."""


@dataclass(frozen=True)
class ProbedField:
    """The image rows (or columns) that each probed output position depends on.

    ``size`` is the largest ``last - first + 1`` in input pixels, None where the image was too short to tell; probing
    stops at the first position that shows it.
    """

    positions: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    size: int | None


def probe(
    model: nn.Module,
    axis: int,
    length: int,
    width: int = 32,
    *,
    period: int = 32,
    output: Pick | None = None,
    in_channels: int = 3,
) -> ProbedField:
    """Measure the receptive field of ``model`` along one axis of one image.

    Args:
        model: copied, not changed.
        axis: 0 for rows, 1 for columns.
        length: side of the image along ``axis`` in pixels, well above the field.
        width: side along the other axis; the least that the model accepts is enough.
        period: input pixels after which the field's phases repeat, a multiple of the coarsest stride; the outputs
            of one period at the centre are probed.
        output: picks the map ``(N, C, H, W)`` out of what the model returns; the first by default.
        in_channels: channels of the image ``(1, in_channels, H, W)``.

    Raises:
        InputError: for an output that is no 4-d map.

    Note:
        Global paths are cut: adaptive pooling into fewer bins, and what else mixes positions (a mean, softmax,
        matrix product, attention) where one of its values depends on image rows near both ends.
    """
    image = torch.ones((1, in_channels, length, width) if axis == 0 else (1, in_channels, width, length))
    image.requires_grad_()
    positive = _positive(model)
    with _Dependence(image, 2 + axis):
        result = positive(image)
    outputs = (output or _first_map)(result)
    if not isinstance(outputs, Tensor) or outputs.dim() != 4:
        raise InputError(f"expected a map (N, C, H, W), got {getattr(outputs, 'shape', type(outputs).__name__)}")
    positions = _central(outputs.shape[2 + axis], length, period)
    first: list[int] = []
    last: list[int] = []
    for position in positions:
        touched = _touched(outputs.select(2 + axis, position).sum(), image, 2 + axis).nonzero().flatten().tolist()
        first.append(touched[0] if touched else 0)
        last.append(touched[-1] if touched else -1)
        if first[-1] <= 0 or last[-1] >= length - 1 or last[-1] - first[-1] >= _ROOMY_FRACTION * length:
            return ProbedField(tuple(positions[: len(first)]), tuple(first), tuple(last), None)
    size = max(b - a + 1 for a, b in zip(first, last, strict=True))
    return ProbedField(tuple(positions), tuple(first), tuple(last), size)


def probed_size(
    model: nn.Module,
    axis: int,
    width: int = 32,
    *,
    start: int = 512,
    limit: int = 16384,
    period: int = 32,
    output: Pick | None = None,
    in_channels: int = 3,
) -> int:
    """The size :func:`probe` finds on the first image with room for the field; each is half as long again.

    Raises:
        InputError: if no image up to ``limit`` pixels has.
    """
    length = start
    while length <= limit:
        probed = probe(model, axis, length, width, period=period, output=output, in_channels=in_channels)
        if probed.size is not None:
            return probed.size
        length = -(-length * 3 // 2 // _MULTIPLE) * _MULTIPLE
    raise InputError(f"the field along axis {axis} does not fit into {limit} pixels; raise limit")


def _positive(model: nn.Module) -> nn.Module:
    positive = copy.deepcopy(model).float().eval()
    for parameter in positive.parameters():
        parameter.requires_grad_(False).fill_(1)
    return positive


def _central(size: int, length: int, period: int) -> Sequence[int]:
    count = max(1, min(size, round(period * size / length)))
    start = (size - count) // 2
    return range(start, start + count)


def _touched(value: Tensor, image: Tensor, dim: int) -> Tensor:
    """For each row of the image along ``dim`` whether ``value`` depends on it."""
    if not value.requires_grad:
        return torch.zeros(image.shape[dim], dtype=torch.bool)
    # Branches that end before the image have no gradient; zeros stand for it.
    (gradient,) = torch.autograd.grad(value, image, retain_graph=True, materialize_grads=True)
    return gradient.abs().amax([d for d in range(4) if d != dim]) > _THRESHOLD


def _first_map(result: Any) -> Any:
    if isinstance(result, dict):
        return result.get("out", next(iter(result.values())))
    return result[0] if isinstance(result, (list, tuple)) else result


class _Dependence(TorchFunctionMode):
    """Runs tensor functions so that gradients say, by 0 and 1, what depends on what."""

    def __init__(self, image: Tensor, dim: int) -> None:
        super().__init__()
        self._image = image
        self._dim = dim

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        result = STAND_INS.get(name, func)(*args, **(kwargs or {}))
        if name in MIXING and isinstance(result, Tensor) and self._is_global(result):
            return result.detach()
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, Tensor) and tensor.requires_grad and not tensor.is_leaf:
                tensor.register_hook(_as_zero_or_one)
        return result

    def _is_global(self, value: Tensor) -> bool:
        """Whether one element reads the image near both ends; a local path cannot, the image is longer."""
        touched = _touched(value.flatten()[value.numel() // 2], self._image, self._dim)
        end = max(1, len(touched) // 10)
        return bool(touched[:end].any() and touched[-end:].any())


def _as_zero_or_one(gradient: Tensor | None) -> Tensor | None:
    return None if gradient is None else (gradient.abs() > _THRESHOLD).to(gradient.dtype)
