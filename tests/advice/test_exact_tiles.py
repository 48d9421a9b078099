"""Where tiles are said to be exact they are, measured; and what keeps them from it is found in the graph and named."""

from collections.abc import Callable

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import autorf
from autorf.advice import tiling
from autorf.advice.in_tiles import output_in_tiles, tiles_along
from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.fields.graph import pick_output

ROUNDING = 1e-5


class Around(nn.Module):
    """A stride-2 convolution and something after it that is written as a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.function = stem(), function

    def forward(self, image: Tensor) -> Tensor:
        return self.function(self.stem(image))


class Attention(nn.Module):
    """Every position asks every other, beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        answers = self.asked(tokens, tokens, tokens)[0]
        return x + answers.transpose(1, 2).reshape(x.shape)


class UNet(nn.Module):
    """An own one: two levels, a transposed convolution, a shortcut."""

    def __init__(self, norm: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm(), nn.ReLU())
        self.coarse = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), norm(), nn.ReLU())
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.head = nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        fine = self.fine(image)
        scores: Tensor = self.head(torch.cat([fine, self.up(self.coarse(fine))], 1))
        return scores


class TwoStrides(nn.Module):
    """Branches of stride 2 and 3, whose phases repeat after 6 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.two, self.three = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 8, 3, 3)

    def forward(self, image: Tensor) -> Tensor:
        return F.interpolate(self.two(image), scale_factor=2) + F.interpolate(self.three(image), scale_factor=3)


def stem(stride: int = 2) -> nn.Conv2d:
    return nn.Conv2d(3, 8, 3, stride, 1)


def between(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(stem(), *layers, nn.Conv2d(8, 8, 3, padding=1))


def with_rows(x: Tensor) -> Tensor:
    rows = torch.linspace(0, 1, x.shape[2]).view(1, 1, -1, 1)
    return x + rows


def response(x: Tensor) -> Tensor:
    """Global response normalisation (ConvNeXt V2)."""
    norm = x.norm(p=2, dim=(2, 3), keepdim=True)
    return x * norm / (norm.mean(1, keepdim=True) + 1e-6)


def binned(x: Tensor) -> Tensor:
    return x + F.interpolate(F.adaptive_avg_pool2d(x, 4), size=x.shape[2:])


def growing(x: Tensor) -> Tensor:
    quarters = F.avg_pool2d(x, (x.shape[2] // 4, x.shape[3] // 4))
    return x + F.interpolate(quarters, size=x.shape[2:])


EXACT: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: between(nn.BatchNorm2d(8), nn.ReLU()),
    "instance norm with stored statistics": lambda: between(nn.InstanceNorm2d(8, track_running_stats=True)),
    "layer norm over channels": lambda: between(timm.layers.LayerNorm2d(8)),
    "local response over channels": lambda: between(nn.LocalResponseNorm(3)),
    "up-sampling twice": lambda: between(nn.Upsample(scale_factor=2, mode="bilinear")),
    "up-sampling to the image": lambda: Around(lambda x: F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]))),
    "a transposed convolution": lambda: between(nn.Conv2d(8, 8, 3, 2, 1), nn.ConvTranspose2d(8, 8, 4, 4)),
    "a pixel shuffle": lambda: nn.Sequential(stem(), nn.Conv2d(8, 32, 3, padding=1), nn.PixelShuffle(2)),
    "layer norm over windows": lambda: nn.Sequential(
        nn.PixelUnshuffle(4), timm.layers.LayerNorm2d(48), nn.Conv2d(48, 8, 3, padding=1)
    ),
    "reflected borders": lambda: between(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")),
    "a constant that is the same everywhere": lambda: Around(lambda x: x * torch.ones(1, 1, *x.shape[2:])),
    "PReLU": lambda: between(nn.PReLU(8)),
    "softmax over channels": lambda: between(nn.Softmax(1)),
    "strides 2 and 3": TwoStrides,
    "a U-Net with batch norm": lambda: UNet(lambda: nn.BatchNorm2d(8)),
    "dilation": lambda: autorf.adapt(between(nn.Conv2d(8, 8, 3, padding=1)), autorf.Dilation(targets="1", rate=3)),
}

INEXACT: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "group norm": (lambda: between(nn.GroupNorm(2, 8)), "1", "normalises over the whole map"),
    "instance norm": (lambda: between(nn.InstanceNorm2d(8)), "1", "normalises over the whole map"),
    "batch norm that estimates": (
        lambda: between(nn.BatchNorm2d(8, track_running_stats=False)),
        "1",
        "normalises over the whole map",
    ),
    "timm's group norm": (lambda: between(timm.layers.GroupNorm1(8)), "1", "normalises over the whole map"),
    "functional group norm": (lambda: Around(lambda x: F.group_norm(x, 4)), "", "normalises over the whole map"),
    "functional instance norm": (lambda: Around(F.instance_norm), "", "normalises over the whole map"),
    "layer norm over the map": (
        lambda: Around(lambda x: F.layer_norm(x, x.shape[1:])),
        "",
        "normalises over the whole map",
    ),
    "layer norm over columns": (
        lambda: Around(lambda x: F.layer_norm(x, x.shape[-1:])),
        "",
        "normalises over the whole map",
    ),
    "squeeze and excite": (lambda: between(timm.layers.SEModule(8)), "1", "mixes the whole map"),
    "response normalisation": (lambda: Around(response), "", "mixes the whole map"),
    "attention": (lambda: between(Attention()), "1.asked", "attends over the whole map"),
    "a maximum over all": (lambda: Around(lambda x: x / x.amax()), "", "mixes the whole map"),
    "global pooling": (lambda: Around(lambda x: x + F.adaptive_avg_pool2d(x, 1)), "", "pools over the whole map"),
    "a window as large as the map": (
        lambda: Around(lambda x: x + F.avg_pool2d(x, x.shape[2:])),
        "",
        "pools over the whole map",
    ),
    "bins": (lambda: Around(binned), "", "pools over the whole map"),
    "windows that grow": (lambda: Around(growing), "", "windows that grow with the image"),
    "aligned corners": (lambda: between(nn.UpsamplingBilinear2d(scale_factor=2)), "1", "aligned corners"),
    "rows as a channel": (lambda: Around(with_rows), "", "differs from place to place"),
    "circular padding": (
        lambda: between(nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")),
        "1",
        "pads with the opposite border",
    ),
    "a U-Net with group norm": (lambda: UNet(lambda: nn.GroupNorm(2, 8)), "fine.1", "and 1 more layer like it"),
    "inflation": (
        lambda: autorf.adapt(between(nn.Conv2d(8, 8, 3, padding=1)), autorf.Inflation(start="1", end="1", factor=2.0)),
        "1.inflation",
        "resamples by 2",
    ),
}


def error_in_tiles(model: nn.Module, image_size: int = 48) -> float:
    """The largest difference between tiles with their halo and the whole image, over the largest score."""
    tiles = tiling(receptive_field(model, image_size))
    tile = tuple(2 * (halo + step) for halo, step in zip(tiles.halo, tiles.multiple, strict=True))
    sides = [side + 3 * step for side, step in zip(tile, tiles.multiple, strict=True)]
    image = torch.randn(1, 3, *sides) + torch.linspace(0, 2, sides[0]).view(1, 1, -1, 1)
    with torch.no_grad():
        whole = model(image)
    parts = output_in_tiles(model, image, (tile[0], tile[1]), tiles.halo, tiles.multiple)
    return float((whole - parts).abs().max() / whole.abs().max())


@pytest.mark.parametrize("name", EXACT)
def test_tiles_that_are_said_to_be_exact_are(name: str) -> None:
    torch.manual_seed(0)
    model = EXACT[name]().eval()
    tiles = tiling(receptive_field(model, 48))
    assert (tiles.exact, tiles.reason, tiles.layers) == (True, None, ())
    assert error_in_tiles(model) <= ROUNDING


@pytest.mark.parametrize("name", INEXACT)
def test_what_makes_tiles_inexact_is_said_with_its_layer(name: str) -> None:
    torch.manual_seed(0)
    build, layer, reason = INEXACT[name]
    model = build().eval()
    tiles = tiling(receptive_field(model, 48))
    assert not tiles.exact
    assert layer in tiles.layers
    assert reason in (tiles.reason or "")
    assert error_in_tiles(model) > 100 * ROUNDING


def test_what_differs_from_pixel_to_pixel_or_is_not_settled_has_no_exact_halo() -> None:
    for method, reason in (
        (autorf.PixelAdaptive(targets="1"), "reads as far as each pixel asks for"),
        (autorf.ScaleAdaptive(targets="1"), "reads as far as each pixel asks for"),
        (autorf.LearnedDilation(targets="1", rates=(1, 2, 4)), "is still searching"),
    ):
        model = autorf.adapt(between(nn.Conv2d(8, 8, 3, padding=1)), method)
        autorf.advance(model, 1, 10)
        tiles = tiling(receptive_field(model, 48))
        assert not tiles.exact, method
        assert reason in (tiles.reason or "")
        assert tiles.layers[0].startswith("1")


@pytest.mark.parametrize("size", [nn.Upsample(size=(64, 64)), nn.AdaptiveAvgPool2d(64)])
def test_a_resize_to_a_fixed_size_is_seen_though_one_image_does_not_show_it(size: nn.Module) -> None:
    tiles = tiling(receptive_field(between(size), 32))
    assert not tiles.exact
    assert tiles.layers == ("1",)
    assert "64 positions whatever the image's size" in (tiles.reason or "")


def test_a_resize_by_a_broken_ratio_is_named_with_it() -> None:
    tiles = tiling(receptive_field(between(nn.Upsample(scale_factor=1.5)), 64))
    assert not tiles.exact
    assert "resizes by 1.5" in (tiles.reason or "")


def test_a_ratio_that_only_the_images_size_breaks_is_said_with_a_size_that_may_not() -> None:
    model = Around(lambda x: x + F.interpolate(F.max_pool2d(x, 2, ceil_mode=True), size=x.shape[2:]))
    broken = tiling(receptive_field(model, 50))
    assert not broken.exact
    assert "at 50x50: try sides that are multiples of 4 px" in (broken.reason or "")
    assert tiling(receptive_field(model, 52)).exact


def test_tiles_off_the_stride_are_not_exact() -> None:
    torch.manual_seed(0)
    model = EXACT["a U-Net with batch norm"]().eval()
    tiles = tiling(receptive_field(model, 48))
    assert tiles.multiple == (2, 2)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        whole, shifted = model(image), model(image[:, :, 1:63])
    halo = tiles.halo[0]
    assert (whole[:, :, 1 + halo : 63 - halo] - shifted[:, :, halo:-halo]).abs().max() > 1e-2


def test_strides_of_parallel_branches_repeat_after_their_common_multiple() -> None:
    assert tiling(receptive_field(TwoStrides(), 48)).multiple == (6, 6)


REAL: dict[str, tuple[str, bool, str]] = {
    "a U-Net": ("smp:Unet:resnet18", True, ""),
    "the papers' head": ("largefov:resnet18", True, ""),
    "FCN": ("torchvision:fcn_resnet50", True, ""),
    "FPN": ("smp:FPN:resnet18", False, "normalises over the whole map"),
    "DeepLabV3+": ("smp:DeepLabV3Plus:resnet18", False, "pools over the whole map"),
    "DeepLabV3": ("torchvision:deeplabv3_mobilenet_v3_large", False, "pools over the whole map"),
    "LR-ASPP": ("torchvision:lraspp_mobilenet_v3_large", False, "pools over the whole map"),
}


@pytest.mark.parametrize("name", REAL)
def test_library_networks_are_exact_in_tiles_where_it_is_said(name: str) -> None:
    torch.manual_seed(0)
    network, exact, reason = REAL[name]
    model = autorf.build(network, 4).eval()
    tiles = tiling(receptive_field(model, 128))
    assert (tiles.exact, reason in (tiles.reason or "")) == (exact, True)
    if not exact:
        return
    step, halo = tiles.multiple, tiles.halo[0]
    image = torch.randn(1, 3, 2 * halo + 4 * step[0], max(64, step[1]))
    # Tiles in rows only: a strip as wide as the tile shows as much at a fraction of the cost.
    image[:, :, image.shape[2] // 2 :] *= 3
    tile = 2 * halo + 2 * step[0], image.shape[3]
    with torch.no_grad():
        whole = pick_output(model, model(image), None)
    parts = output_in_tiles(model, image, tile, (halo, 0), step)
    error = float((whole - parts).abs().max() / whole.abs().max())
    assert error <= ROUNDING


def test_unet_with_a_smaller_halo_differs() -> None:
    torch.manual_seed(0)
    model = smp.Unet("resnet18", encoder_weights=None, encoder_depth=3, decoder_channels=(32, 16, 8)).eval()
    image = torch.randn(1, 3, 128, 64)
    with torch.no_grad():
        whole = model(image)
    parts = output_in_tiles(model, image, (64, 64), (8, 0), (8, 8))
    assert (whole - parts).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ((90, 32, 8, 8), "the image's side must be a multiple of 8 pixels, got 90"),
        ((96, 30, 8, 8), "the tile must be a multiple of 8 pixels, got 30"),
        ((96, 32, 16, 8), "a halo of 16 pixels leaves no output of a tile of 32"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(sides: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiles_along(*sides)


def test_an_output_that_is_not_in_proportion_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3))
    with pytest.raises(InputError, match="not padded to keep the size"):
        output_in_tiles(model, torch.rand(1, 3, 32, 32), (16, 16), (4, 4), (1, 1))
