"""Inference in tiles equals inference on the whole image."""

import segmentation_models_pytorch as smp
import torch
from torch import nn

from autorf.advice import tiling
from autorf.fields import receptive_field


def test_tiles_with_their_halo_cut_off_equal_the_whole_image() -> None:
    torch.manual_seed(0)
    model = smp.Unet("mobilenet_v2", encoder_weights=None, encoder_depth=3, decoder_channels=(16, 8, 8)).double().eval()
    tiles = tiling(receptive_field(model, 64))
    assert tiles.exact
    halo, tile = tiles.halo[0], tiles.tile[0]
    image = torch.rand(1, 3, tile + tiles.multiple[0], tile + 5 * tiles.multiple[1], dtype=torch.float64)
    with torch.no_grad():
        whole = model(image)
        for top, left in ((0, 0), (tiles.multiple[0], 3 * tiles.multiple[1])):
            part = model(image[:, :, top : top + tile, left : left + tile])
            inner = slice(halo, tile - halo)
            expected = whole[:, :, top + halo : top + tile - halo, left + halo : left + tile - halo]
            torch.testing.assert_close(part[:, :, inner, inner], expected, rtol=0, atol=1e-12)


def test_a_smaller_halo_would_not_do() -> None:
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(4))).double()
    for convolution in model:
        nn.init.ones_(convolution.weight)
    halo = tiling(receptive_field(model, 64, in_channels=1)).halo[0]
    image = torch.rand(1, 1, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        whole, part = model(image), model(image[:, :, 10:30])
    torch.testing.assert_close(part[:, :, halo:-halo], whole[:, :, 10 + halo : 30 - halo])
    assert (part[:, :, halo - 1] - whole[:, :, 10 + halo - 1]).abs().max() > 1e-3


def test_halo_and_tile_are_multiples_of_the_coarsest_stride() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 3, 3, 4, 1), nn.Conv2d(3, 3, 3, 2, 1), nn.Upsample(scale_factor=8, mode="bilinear")
    )
    tiles = tiling(receptive_field(model, 64))
    assert tiles.multiple == (8, 8)
    assert tiles.halo[0] % 8 == tiles.tile[0] % 8 == 0
    assert tiles.tile[0] == 4 * tiles.halo[0]


def test_a_global_path_makes_tiles_inexact() -> None:
    model = smp.PSPNet("resnet18", encoder_weights=None, encoder_depth=3)
    assert not tiling(receptive_field(model, 64)).exact
