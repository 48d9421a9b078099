"""What ``autorf check`` says of five models on street scenes and faces, held against measurements of its own kind.

Where it says that tiles are exact, a mosaic of the pictures, large enough for two tiles, is predicted whole and in
tiles. Where it states an error, the same tiles are measured on another picture. The memory of a forward pass is
foretold from two sizes of tile and measured at a third.

Run: ``python benchmarks/check_models.py --camvid DIR --faces DIR [--write]``
"""

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from unet_of_depth import build as own_unet

import autorf
from autorf.advice.in_tiles import output_in_tiles
from autorf.advice.model_check import ModelCheck
from autorf.advice.peak_memory import memory_model, peak_memory
from autorf.advice.samples import FolderSamples, Samples
from autorf.advice.tile_check import scored_output, tile_check
from autorf.fields.graph import pick_output

RESULTS = Path(__file__).parent / "results" / "check_models.md"
EXACT, FACTOR, MEMORY = 1e-5, 2.0, 0.2
"""What is held: the error of exact tiles, how far a stated error is off, and a foretold memory."""
THIRD = 448

MODELS: dict[str, Callable[[], nn.Module]] = {
    **{
        name: lambda name=name: autorf.build(name, 11)
        for name in (
            "smp:Unet:resnet34",
            "smp:DeepLabV3Plus:resnet50",
            "torchvision:deeplabv3_resnet50",
            "largefov:resnet18",
        )
    },
    "a U-Net of one's own, depth 3": lambda: own_unet(11, depth=3, width=8),
}


def picture(samples: Samples, index: int, size: tuple[int, int]) -> Tensor:
    return samples.normalisation(samples.read(index, size).image)[None]


def mosaic(picture: Tensor, sides: tuple[int, int]) -> Tensor:
    """The picture repeated to at least ``sides``, cut to them."""
    repeats = [-(-side // own) for side, own in zip(sides, picture.shape[-2:], strict=True)]
    return picture.repeat(1, 1, *repeats)[..., : sides[0], : sides[1]]


def error_of_exact(model: nn.Module, checked: ModelCheck, picture: Tensor) -> float:
    """The largest difference of a score, in single precision."""
    tiles = checked.tiles.tiling
    tile = tuple(2 * halo + 2 * step for halo, step in zip(tiles.halo, tiles.multiple, strict=True))
    image = mosaic(picture, (tile[0] + 2 * tiles.multiple[0], tile[1] + 2 * tiles.multiple[1]))
    output = scored_output(checked.field)
    with torch.no_grad():
        whole = pick_output(model, model(image), output)
    parts = output_in_tiles(model, image, (tile[0], tile[1]), tiles.halo, tiles.multiple, output=output)
    return float((whole - parts).abs().max())


def worst_factor(stated: Any, elsewhere: Any) -> float:
    """By how much the mean error on another picture is off from what was stated, either way."""
    factors = [1.0]
    for here, there in zip(stated, elsewhere, strict=True):
        if max(here.mean, there.mean) > EXACT:
            factors += [here.mean / there.mean, there.mean / here.mean]
    return max(factors)


def row(name: str, build: Callable[[], nn.Module], data: str, samples: Samples, size: tuple[int, int]) -> str:
    torch.manual_seed(0)
    model = build().eval()
    begin = time.process_time()
    checked = autorf.check(model, samples=samples, image_size=size, memory="1GB")
    seconds = time.process_time() - begin
    tiles = checked.tiles
    other = tile_check(model, checked.field, memory=tiles.memory, picture=picture(samples, 1, size))
    factor = worst_factor(tiles.errors, other.errors)
    exact = error_of_exact(model, checked, picture(samples, 0, size)) if tiles.tiling.exact else None
    foretold = memory_model(model, 3, max(tiles.tiling.multiple)).at(THIRD)
    with torch.no_grad():
        memory = foretold / peak_memory(model, torch.randn(1, 3, THIRD, THIRD))
    held = (exact is None or exact <= EXACT) and factor <= FACTOR and abs(memory - 1) <= MEMORY
    said = "exact" if tiles.tiling.exact else f"not exact: {tiles.tiling.reason}"
    of_exact = "" if exact is None else f"{exact:.1e}"
    figures = f"{seconds:.0f} | {said} | {of_exact} | {factor:.2f} | {memory:.2f} | {'yes' if held else 'NO'}"
    return f"| {name} | {data} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data = {
        "CamVid, 352x480": (FolderSamples(given.camvid / "val", given.camvid / "valannot"), (352, 480)),
        "FASSEG, 512x352": (FolderSamples(given.faces / "train/images", given.faces / "train/labels"), (512, 352)),
    }
    lines = [
        "# `autorf check` held against measurements",
        "",
        f"`python benchmarks/check_models.py`, torch {torch.__version__}, {platform.machine()}, one thread, random",
        "weights. Error of exact tiles: the largest difference of a score between tiles and the whole mosaic, in",
        "single precision. Stated error: by what factor the mean error of the same tiles and halos on another picture",
        f"is off, the worst of all halos. Memory: foretold from two sizes over measured at {THIRD} px. Held: at most",
        f"{EXACT:g}, within {FACTOR:g}x, within {MEMORY:.0%}.",
        "",
        "| model | pictures | CPU-s | tiles | error of exact tiles | stated error | memory | held |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for words, (samples, size) in data.items():
        for name, build in MODELS.items():
            lines.append(row(name, build, words, samples, size))
            print(lines[-1], flush=True)
    if given.write:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
