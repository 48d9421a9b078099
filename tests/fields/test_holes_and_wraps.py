"""Fields of maps with positions that depend on no pixel, and of maps that wrap around the image."""

import pytest
import torch
from torch import Tensor, nn

from autorf.advice import tiling
from autorf.fields import receptive_field


def down(stride: int) -> nn.Conv2d:
    return nn.Conv2d(3, 4, 3, stride=stride, padding=1)


HOLES: dict[str, tuple[nn.Module, int, float]] = {
    "kernel 1, stride 2": (nn.Sequential(down(2), nn.ConvTranspose2d(4, 4, 1, 2, output_padding=1)), 3, 1),
    "kernel 2, stride 3": (nn.Sequential(down(3), nn.ConvTranspose2d(4, 4, 2, 3, output_padding=1)), 3, 1),
    "dilated": (nn.Sequential(down(2), nn.ConvTranspose2d(4, 4, 3, 2, 2, dilation=2)), 7, 1),
    "with a convolution behind": (
        nn.Sequential(down(2), nn.ConvTranspose2d(4, 4, 1, 2, output_padding=1), nn.Conv2d(4, 4, 3, padding=1)),
        5,
        1,
    ),
    "twice": (
        nn.Sequential(down(4), *(nn.ConvTranspose2d(4, 4, 1, 2, output_padding=1) for _ in range(2))),
        3,
        1,
    ),
    "under a pooling": (nn.Sequential(nn.ConvTranspose2d(3, 4, 1, 3), nn.MaxPool2d(2, 2)), 1, 2 / 3),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", HOLES)
def test_positions_that_depend_on_no_pixel_count_in_no_number(name: str) -> None:
    model, side, stride = HOLES[name]
    field = receptive_field(model, (60, 60))
    assert field.size == (side, side)
    assert field.stride == pytest.approx((stride, stride), abs=0.02)
    assert all(layer.stride is not None and layer.stride[0] > 0 for layer in field.layers)


def circular(kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(3, 3, kernel, stride, padding=padding, dilation=dilation, padding_mode="circular")


class AcrossTheSeam(nn.Module):
    """A panorama: columns wrap around by concatenation, rows are padded by zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 5, padding=(2, 0))

    def forward(self, x: Tensor) -> Tensor:
        wrapped: Tensor = self.convolution(torch.cat([x[..., -2:], x, x[..., :2]], -1))
        return wrapped


WRAPS: dict[str, tuple[nn.Module, int]] = {
    "one": (circular(5), 5),
    "dilated": (circular(3, 1, 4), 9),
    "deep and strided": (
        nn.Sequential(circular(3), circular(3, 2), circular(3), circular(3, 2), circular(5)),
        29,
    ),
    "concatenated": (AcrossTheSeam(), 5),
}


@pytest.mark.parametrize("name", WRAPS)
@pytest.mark.parametrize("side", [16, 64])
def test_what_wraps_around_has_the_kernels_field_away_from_the_border(name: str, side: int) -> None:
    model, size = WRAPS[name]
    field = receptive_field(model, side)
    assert field.size == (size, size)
    assert field.exact == (True, True)
    assert field.rnorm == pytest.approx(size / side)


def test_no_halo_makes_tiles_exact_where_the_border_reads_the_opposite_one() -> None:
    assert not tiling(receptive_field(circular(5), 64)).exact
    assert tiling(receptive_field(nn.Conv2d(3, 3, 5, padding=2), 64)).exact


def test_reflected_borders_do_not_pass_for_wrapped_ones() -> None:
    field = receptive_field(nn.Conv2d(3, 3, 9, padding=4, padding_mode="reflect"), 16)
    assert (field.size, field.wraps) == ((9, 9), False)


def test_a_field_larger_than_the_image_is_none_that_wraps() -> None:
    model = nn.Sequential(*(nn.Conv2d(3, 3, 9, padding=4) for _ in range(6)))
    field = receptive_field(model, 16)
    assert (field.size, field.wraps) == ((49, 49), False)
