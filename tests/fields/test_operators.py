"""Every operator's rule against autograd: the pixels each output row and column depends on, borders included."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autorf.errors import InputError
from autorf.fields.engine import trace
from autorf.fields.graph import capture
from autorf.fields.measure import bounds

SIZE = (13, 10)
CHANNELS = 4

Function = Callable[[Tensor], Tensor]


class Wrapped(nn.Module):
    """A function as a network, so that it can be captured."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.precision = nn.Parameter(ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.float64)


Bounds = list[tuple[int, int] | None]


def engine_bounds(function: Function) -> list[Bounds]:
    field = trace(capture(Wrapped(function), SIZE, None, CHANNELS)).output
    spans = [bounds(field, axis)[:2] for axis in (0, 1)]
    return [[(int(a), int(b)) if a <= b else None for a, b in zip(lo, hi, strict=True)] for lo, hi in spans]


def autograd_bounds(function: Function, repeats: int = 1) -> list[Bounds]:
    """Repeats with other images find every pixel that a maximum may take."""
    torch.manual_seed(0)
    images = [torch.rand(1, CHANNELS, *SIZE, dtype=torch.float64, requires_grad=True) for _ in range(repeats)]
    return [autograd_bounds_along(function, axis, images) for axis in (0, 1)]


def autograd_bounds_along(function: Function, axis: int, images: list[Tensor]) -> Bounds:
    found: dict[int, set[int]] = {}
    for image in images:
        outputs = function(image)
        for i in range(outputs.shape[2 + axis]):
            row = outputs.select(2 + axis, i).sum()
            (gradient,) = torch.autograd.grad(row, image, retain_graph=True, materialize_grads=True)
            touched = gradient.abs().amax((0, 1, 3 - axis)) > 1e-9
            found.setdefault(i, set()).update(touched.nonzero().flatten().tolist())
    return [(min(pixels), max(pixels)) if pixels else None for pixels in found.values()]


def windows(x: Tensor) -> Tensor:
    """Swin's partition into windows of 5 by 2, mixed inside and put back."""
    n, c, h, w = x.shape
    x = F.pad(x, (0, 0, 0, 2)).permute(0, 2, 3, 1)
    parts = x.view(n, 3, 5, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 10, c)
    mixed = parts + parts.mean(1, keepdim=True)
    back = mixed.view(n, 3, w // 2, 5, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, 15, w, c)
    return back[:, :h].permute(0, 3, 1, 2).contiguous()


def window_attention(x: Tensor) -> Tensor:
    parts = x[:, :, :12].view(1, 4, 3, 4, 2, 5).permute(0, 2, 4, 3, 5, 1).reshape(6, 20, 4)
    mixed = F.scaled_dot_product_attention(parts, parts, parts)
    return mixed.view(1, 3, 2, 4, 5, 4).permute(0, 5, 1, 3, 2, 4).reshape(1, 4, 12, 10)


def in_place(x: Tensor) -> Tensor:
    y = F.conv2d(x, ones(4, 4, 1, 1))
    y += F.conv2d(x, ones(4, 4, 3, 1), padding=(1, 0))
    return y.relu_() * 2


def uneven_channels(x: Tensor) -> Tensor:
    """Channels of different fields stay apart through a depthwise and a grouped convolution."""
    near, far = x.chunk(2, 1)
    mixed = torch.cat([near, F.avg_pool2d(far, 5, 1, 2)], 1)
    deep = F.conv2d(mixed, ones(4, 1, 3, 1), padding=(1, 0), groups=4)
    return F.conv2d(deep, ones(2, 2, 1, 1), groups=2)[:, :1]


def pooled(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 2)


FUNCTIONS: dict[str, Function] = {
    "convolution": lambda x: F.conv2d(x, ones(2, 4, 3, 3), padding=1),
    "strided convolution": lambda x: F.conv2d(x, ones(2, 4, 3, 2), stride=(2, 3), padding=(1, 0)),
    "dilated convolution": lambda x: F.conv2d(x, ones(2, 4, 3, 3), padding=(4, 2), dilation=(4, 2)),
    "convolution with same padding": lambda x: F.conv2d(x, ones(2, 4, 4, 3), padding="same", dilation=2),
    "convolution without padding": lambda x: F.conv2d(x, ones(2, 4, 5, 4)),
    "depthwise convolution": lambda x: F.conv2d(x, ones(4, 1, 5, 3), padding=(2, 1), groups=4),
    "channels of different fields": uneven_channels,
    "transposed convolution": lambda x: F.conv_transpose2d(x, ones(4, 2, 3, 2), stride=2),
    "transposed convolution with gaps": lambda x: F.conv_transpose2d(x, ones(4, 2, 2, 1), stride=(3, 2)),
    "padded transposed convolution": lambda x: F.conv_transpose2d(
        x, ones(4, 2, 4, 3), stride=(2, 3), padding=(1, 2), output_padding=(1, 0), dilation=(2, 1)
    ),
    "average pooling": lambda x: F.avg_pool2d(x, (3, 2), stride=2, ceil_mode=True),
    "padded average pooling": lambda x: F.avg_pool2d(x, 3, stride=2, padding=1),
    "adaptive pooling to more bins": lambda x: F.adaptive_avg_pool2d(x, (17, 23)),
    "nearest resize": lambda x: F.interpolate(x, scale_factor=2),
    "nearest resize to a size": lambda x: F.interpolate(x, size=(30, 7)),
    "nearest-exact resize": lambda x: F.interpolate(x, size=(30, 7), mode="nearest-exact"),
    "bilinear resize": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear resize with aligned corners": lambda x: F.interpolate(
        x, size=(25, 28), mode="bilinear", align_corners=True
    ),
    "bilinear resize by an odd factor": lambda x: F.interpolate(x, scale_factor=(3, 0.5), mode="bilinear"),
    "bilinear resize by a kept factor": lambda x: F.interpolate(
        x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=False
    ),
    "bilinear resize by a recomputed factor": lambda x: F.interpolate(
        x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True
    ),
    "bicubic resize": lambda x: F.interpolate(x, size=(26, 33), mode="bicubic"),
    "bicubic resize by an odd factor": lambda x: F.interpolate(x, scale_factor=3, mode="bicubic"),
    "bicubic resize with aligned corners": lambda x: F.interpolate(x, size=(25, 5), mode="bicubic", align_corners=True),
    "antialiased bilinear resize": lambda x: F.interpolate(x, size=(5, 24), mode="bilinear", antialias=True),
    "antialiased bicubic resize": lambda x: F.interpolate(x, size=(4, 23), mode="bicubic", antialias=True),
    "pixel shuffle": lambda x: F.pixel_shuffle(F.conv2d(x, ones(8, 4, 3, 1)), 2),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :12], 2),
    "zero padding": lambda x: F.pad(x, (2, 1, 0, 3)),
    "cropping by negative padding": lambda x: F.pad(x, (-2, 1, -3, -1)),
    "reflection padding": lambda x: F.conv2d(F.pad(x, (3, 2, 1, 4), mode="reflect"), ones(1, 4, 3, 3)),
    "replication padding": lambda x: F.conv2d(F.pad(x, (3, 2, 1, 4), mode="replicate"), ones(1, 4, 3, 3)),
    "circular padding": lambda x: F.conv2d(F.pad(x, (1, 1, 2, 2), mode="circular"), ones(1, 4, 5, 3)),
    "slicing": lambda x: x[:, 1:, 2:-1:3, -7:-2],
    "narrowing and selecting": lambda x: x.narrow(2, 3, 6).select(1, 2).unsqueeze(1),
    "flip": lambda x: F.conv2d(x.flip(2, 3), ones(1, 4, 3, 3)),
    "roll": lambda x: F.conv2d(x.roll((2, -3), (2, 3)), ones(1, 4, 2, 2)),
    "concatenation of channels": lambda x: torch.cat([x, F.avg_pool2d(x, 5, 1, 2)], 1),
    "concatenation along the rows": lambda x: torch.cat([x[:, :, :4], F.avg_pool2d(x, 3, 1, 1)], 2),
    "stacking and summing": lambda x: torch.stack([x, F.avg_pool2d(x, 3, 1, 1)]).sum(0),
    "residual branch": lambda x: x + F.conv2d(x, ones(4, 4, 3, 5), padding=(1, 2)),
    "parallel branches": lambda x: (
        F.conv2d(x, ones(1, 4, 3, 3), padding=1) * F.conv2d(x, ones(1, 4, 5, 1), padding=(2, 0))
    ),
    "in-place addition": in_place,
    "transposition": lambda x: F.conv2d(x.transpose(2, 3), ones(1, 4, 3, 2)).mT,
    "channels last and linear": lambda x: F.linear(pooled(x).permute(0, 2, 3, 1), ones(6, 4)).permute(0, 3, 1, 2),
    "flatten and unflatten": lambda x: (
        F.avg_pool2d(x, 3, 1).flatten(2).transpose(1, 2).reshape(1, 11, 8, 4).permute(0, 3, 1, 2)
    ),
    "windows": windows,
    "attention inside windows": window_attention,
    "channel shuffle": lambda x: F.channel_shuffle(torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1), 2)[:, :2],
    "repetition": lambda x: x.repeat(1, 2, 2, 1),
    "repeat interleave": lambda x: x.repeat_interleave(3, 2),
    "einsum over channels": lambda x: torch.einsum("nchw,dc->ndhw", pooled(x), ones(5, 4)),
    "matrix product over channels": lambda x: (ones(3, 4) @ pooled(x).flatten(2)).view(1, 3, 6, 4),
    "maximum over channels": lambda x: pooled(x).mean(1, keepdim=True) + pooled(x).amax(1, keepdim=True),
    "unfolded windows": lambda x: F.unfold(x, (3, 2), dilation=2, stride=(1, 2)).sum(1).view(1, 1, 9, 4),
    "gated linear unit": lambda x: F.glu(torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1), 1),
    "softmax over channels": lambda x: F.softmax(pooled(x), 1)[:, :2],
    "split by sizes": lambda x: torch.cat([part * 2 for part in F.avg_pool2d(x, 3, 1).split([1, 3], 1)], 1),
    "unbind": lambda x: torch.cat([part[:, None] for part in x.unbind(1)], 1),
    "channels in another order": lambda x: F.conv2d(x[:, [2, 0, 1]], ones(2, 3, 3, 3)),
    "chosen channels": lambda x: pooled(x).index_select(1, torch.tensor([3, 1])),
    "movedim": lambda x: F.conv2d(x.movedim(3, 2), ones(1, 4, 3, 2)).movedim((2, 3), (3, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_rule_gives_the_pixels_that_autograd_finds(name: str) -> None:
    assert engine_bounds(FUNCTIONS[name]) == autograd_bounds(FUNCTIONS[name])


@pytest.mark.parametrize("dilation", [1, 2])
def test_max_pooling_reads_its_whole_window(dilation: int) -> None:
    def function(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, 1, dilation, ceil_mode=True)

    assert engine_bounds(function) == autograd_bounds(function, repeats=60)


def test_a_map_one_pixel_high_keeps_its_rows_and_columns_apart() -> None:
    def function(x: Tensor) -> Tensor:
        return F.interpolate(F.conv2d(x, ones(2, 4, 13, 3)), size=SIZE, mode="bilinear")

    assert engine_bounds(function) == autograd_bounds(function)


@pytest.mark.parametrize("choose", [lambda x: x[:, :, [1, 3]], lambda x: x.index_select(3, torch.tensor([1, 3]))])
def test_rows_and_columns_picked_by_an_index_are_refused(choose: Function) -> None:
    with pytest.raises(InputError, match=r"aten.index.* has no rule for an index that is not known before"):
        engine_bounds(choose)
