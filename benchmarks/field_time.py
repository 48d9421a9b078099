"""How long a receptive field takes at 512 px: the recorded graph against ``torch.export``'s, in one run.

First both must give the same answer, layer by layer, on networks of many kinds; then the two take turns on five.
Processor seconds of the second call on, since the first one imports.

Run: ``python benchmarks/field_time.py [--write]``.
"""

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import nn
from unet_of_depth import build as own_unet

import autorf
from autorf.fields import graph
from autorf.networks import ModelSpec

RESULTS = Path(__file__).parent / "results" / "field_time.md"
ROUNDS = 7


def from_smp(architecture: str, encoder: str) -> Callable[[], nn.Module]:
    return lambda: smp.create_model(architecture, encoder, encoder_weights=None, classes=11)


def of(name: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: autorf.build(ModelSpec(name=name, **settings), 11)


TIMED: dict[str, Callable[[], nn.Module]] = {
    "smp:Unet:resnet34": from_smp("unet", "resnet34"),
    "smp:DeepLabV3Plus:resnet50": from_smp("deeplabv3plus", "resnet50"),
    "torchvision deeplabv3_resnet50": lambda: torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=11
    ),
    "largefov:resnet18, stage 2": of("largefov:resnet18", stage=2),
    "a U-Net of one's own, depth 4": lambda: own_unet(11, depth=4, width=8),
}
ARCHITECTURES = (
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3",
    "deeplabv3plus",
    "pan",
    "upernet",
)
ALIKE: dict[str, Callable[[], nn.Module]] = {
    **{f"smp:{architecture}:resnet18": from_smp(architecture, "resnet18") for architecture in ARCHITECTURES},
    **{
        f"smp:unet:{encoder}": from_smp("unet", encoder)
        for encoder in ("mobilenet_v2", "efficientnet-b0", "vgg11_bn", "densenet121", "mit_b0", "tu-convnext_atto")
    },
    **{f"largefov:{name}": of(f"largefov:{name}") for name in ("mobilenetv3_small_100", "regnetx_002", "test_vit")},
    **{f"torchvision:{name}": of(f"torchvision:{name}") for name in ("fcn_resnet50", "lraspp_mobilenet_v3_large")},
    "paper:drn_d_54": of("paper:drn_d_54"),
}


def exporting() -> AbstractContextManager[Any]:
    """The fields as they are without a recording."""
    return patch.object(graph, "record", side_effect=NotImplementedError)


def answer(model: nn.Module, context: AbstractContextManager[Any]) -> tuple[Any, float]:
    with context:
        begin = time.process_time()
        try:
            field: Any = autorf.receptive_field(model, 512).to_dict()
        except autorf.InputError as error:
            field = str(error)
        return field, time.process_time() - begin


def check(networks: dict[str, Callable[[], nn.Module]]) -> list[str]:
    """The networks on which both agree; ends the run at the first on which they do not."""
    agreed = []
    for name, build in networks.items():
        try:
            model = build().eval()
        except autorf.InputError as error:
            print(f"{name}: {error}")
            continue
        if answer(model, nullcontext())[0] != answer(model, exporting())[0]:
            raise SystemExit(f"{name}: the recorded graph gives another field")
        agreed.append(name)
        print(f"{name}: same", flush=True)
    return agreed


def row(name: str, build: Callable[[], nn.Module]) -> str:
    model = build().eval()
    pairs = [(answer(model, exporting())[1], answer(model, nullcontext())[1]) for _ in range(ROUNDS + 1)][1:]
    export, recorded = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    return f"| {name} | {export:.2f} | {recorded:.2f} | {median(b / a for a, b in pairs):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    write = parser.parse_args().write
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    agreed = check(ALIKE | TIMED)
    lines = [
        "# How long a receptive field takes",
        "",
        f"`python benchmarks/field_time.py --write`, torch {torch.__version__}, {platform.machine()}, one thread.",
        f"Processor seconds of `autorf.receptive_field(model, 512)`, medians of {ROUNDS} turns, from the graph that",
        "`torch.export` makes and from a recording of the operators; the field engine behind them is the same. The",
        "ratio is the median of the turns'.",
        "",
        "| network | torch.export | recorded | ratio |",
        "|---|---|---|---|",
        *(row(name, build) for name, build in TIMED.items()),
        "",
        f"Both gave the same field, stride, offset, obstacles and layers on {len(agreed)} networks:",
        f"{', '.join(agreed)}.",
    ]
    print("\n".join(lines))
    if write:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
