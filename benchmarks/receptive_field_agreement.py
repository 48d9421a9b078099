"""Receptive fields of many networks: the engine against gradient probing.

    python benchmarks/receptive_field_agreement.py [--only REGEX] [--output FILE] [--resume]

Networks have random weights; nothing is downloaded. A row that does not agree is printed as it is and makes the exit
code 1. The table is rewritten after every network; ``--resume`` keeps the rows that the file holds for these versions
and this list of networks, and measures the others only, so that a long run can be continued.
"""

import argparse
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.files import write_atomically
from autorf.testing.probe import probed_size

RESULT = Path(__file__).parent / "results" / "receptive_field_agreement.md"


@dataclass(frozen=True)
class Case:
    """A network, the image it is analysed on, and how to probe it: the least width and the coarsest stride."""

    name: str
    build: Callable[[], nn.Module]
    image_size: int = 256
    width: int = 32
    period: int = 32
    output: int | str | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: the network, what the engine and the probe say, and how long each took."""

    name: str
    engine: str
    probe: str
    seconds: tuple[str, str]
    global_context: bool

    @property
    def agrees(self) -> bool:
        return self.engine == self.probe

    def __str__(self) -> str:
        equal, whole = "yes" if self.agrees else "**no**", "yes" if self.global_context else "no"
        return f"| {' | '.join([self.name, self.engine, self.probe, equal, *self.seconds, whole])} |"


def recorded(path: Path) -> dict[str, Row]:
    """The rows of an earlier run with the same versions, by network."""
    text = path.read_text() if path.exists() else ""
    if versions() not in text:
        return {}
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    rows = [Row(name, engine, probe, (one, other), last == "yes") for name, engine, probe, _, one, other, last in cells]
    return {row.name: row for row in rows}


def versions() -> str:
    """What a recorded row depends on."""
    return f"{platform.machine()}, autorf {autorf.__version__}, torch {torch.__version__.split('+')[0]}"


def smp_case(arch: str, encoder: str, label: str = "", width: int = 32, period: int = 32, **options: Any) -> Case:
    def build() -> nn.Module:
        import segmentation_models_pytorch as smp

        return getattr(smp, arch)(encoder, encoder_weights=None, **options)

    return Case(f"smp:{arch}:{encoder}{label}", build, width=width, period=period)


def timm_case(name: str, label: str = "", size: int = 256, width: int = 32, period: int = 32, **options: Any) -> Case:
    def build() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, features_only=True, **options)

    return Case(f"timm:{name}{label}", build, size, width, period, output=-1)


def torchvision_case(name: str, period: int) -> Case:
    def build() -> nn.Module:
        import torchvision

        return getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None)

    return Case(f"torchvision:{name}", build, period=period, output="out")


def cases() -> list[Case]:
    small = ("resnet18", "mobilenet_v2", "tu-convnext_atto")
    found = [smp_case(a, e) for a in ("Unet", "UnetPlusPlus", "Linknet", "FPN", "UPerNet", "Segformer") for e in small]
    found += [smp_case("MAnet", e) for e in ("resnet18", "efficientnet-b0")]
    found += [smp_case("PSPNet", e) for e in (*small, "tu-densenet121")]
    found += [smp_case("Unet", e) for e in ("efficientnet-b0", "tu-densenet121", "timm-regnetx_002", "mit_b0")]
    found += [smp_case(a, "mit_b0") for a in ("FPN", "UPerNet", "Segformer")]
    for stride in (8, 16):
        options = {"label": f" (output stride {stride})", "period": 16, "encoder_output_stride": stride}
        found += [smp_case(a, e, **options) for a in ("DeepLabV3", "DeepLabV3Plus") for e in small[:2]]
        found += [smp_case("DeepLabV3Plus", "tu-convnext_atto", **options)]
    pan = {"width": 128, "encoder_output_stride": 16, "label": " (output stride 16)", "period": 32}
    found += [smp_case("PAN", e, **pan) for e in small[:2]]
    vision = ("tu-vit_tiny_patch16_224", "tu-vit_tiny_r_s16_p8_224")
    found += [smp_case("DPT", e, dynamic_img_size=True) for e in vision]
    found += [torchvision_case(n, 8) for n in ("deeplabv3_resnet50", "fcn_resnet50")]
    found += [torchvision_case(n, 16) for n in ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")]
    found += timm_cases()
    return found


def timm_cases() -> list[Case]:
    plain = (
        "resnet18 resnet34 resnet50 seresnet50 resnetv2_50 res2net50_26w_4s skresnet18 nf_resnet50 eca_resnet33ts "
        "regnety_002 "
        "efficientnet_b0 mobilenetv2_100 mobilenetv3_small_100 mobilenetv4_conv_small mixnet_s convnext_atto "
        "inception_next_atto densenet121 vgg11 xception41 cspresnet50 dpn68 hrnet_w18_small dla34 repvgg_a0 "
        "ghostnet_100 "
        "poolformer_s12 vovnet39a hgnet_tiny starnet_s1 tresnet_m gernet_s selecsls42"
    )
    found = [timm_case(name) for name in plain.split()]
    found += [timm_case("inception_v3", width=96), timm_case("pvt_v2_b0"), timm_case("efficientvit_b0")]
    for stride in (8, 16):
        for name in ("resnet18", "efficientnet_b0", "regnety_002", "convnext_atto"):
            found.append(timm_case(name, f" (output stride {stride})", output_stride=stride, period=16))
    return found


def run(case: Case) -> Row:
    torch.manual_seed(0)
    model = case.build().eval()
    start = time.perf_counter()
    engine, global_context = measured(case, model)
    between = time.perf_counter()
    probe = probed(case, model)
    seconds = f"{between - start:.1f}", f"{time.perf_counter() - between:.1f}"
    return Row(case.name, engine, probe, seconds, global_context)


def measured(case: Case, model: nn.Module) -> tuple[str, bool]:
    try:
        rf = receptive_field(model, case.image_size, output=case.output)
    except InputError as error:
        return f"error: {error}", False
    size = f"{rf.size[0]:g}, {rf.size[1]:g}"
    return size if all(rf.exact) else f"at least {size}", rf.global_context


def probed(case: Case, model: nn.Module) -> str:
    output = None if case.output is None else lambda result: result[case.output]
    try:
        sizes = [probed_size(model, axis, case.width, period=case.period, output=output) for axis in (0, 1)]
    except Exception as error:  # a network the probe cannot run is a row of the table, not the end of it
        return f"error: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return f"{sizes[0]:g}, {sizes[1]:g}"


def large_network() -> str:
    """Seconds and memory of the engine alone on a large network, in a process of its own."""
    code = (
        "import resource, time, torch, segmentation_models_pytorch as smp\n"
        "from autorf.fields import receptive_field\n"
        "torch.set_num_threads(1)\n"
        "receptive_field(torch.nn.Conv2d(3, 3, 3), 32)\n"
        "model = smp.DeepLabV3Plus('resnet101', encoder_weights=None, classes=19)\n"
        "before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()\n"
        "rf = receptive_field(model, 512)\n"
        "seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(f'{rf.size[0]} pixels in {seconds:.1f} s, peak memory +{(after - before) / 1024:.0f} MiB')"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def table(rows: list[Row], large: str) -> str:
    agreeing = sum(row.agrees for row in rows)
    head = [
        "# Receptive field: engine against gradient probing",
        "",
        "Made by `benchmarks/receptive_field_agreement.py`; random weights, both axes, seconds on one shared CPU core"
        f" ({versions()}), so only roughly comparable.",
        "Global paths (last column) are left out by the engine and cut, by other means, in the probe.",
        "",
        f"{agreeing} of {len(rows)} agree exactly.",
        "",
        f"ResNet-101 DeepLabV3+ at 512x512, engine alone, first call included: {large}.",
        "",
        "| model | engine (h, w) | probe (h, w) | equal | engine s | probe s | global context |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(str, rows)]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="regular expression over the networks' names")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--resume", action="store_true", help="keep the rows that the file already holds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [case for case in cases() if re.search(arguments.only, case.name)]
    kept = recorded(arguments.output) if arguments.resume else {}
    large = large_network()
    rows = {case.name: kept[case.name] for case in chosen if case.name in kept}
    for case in chosen:
        if case.name not in kept:
            rows[case.name] = run(case)
            print(rows[case.name], flush=True)
        write_atomically(arguments.output, table([rows[one.name] for one in chosen if one.name in rows], large))
    disagreeing = [name for name, row in rows.items() if not row.agrees]
    print(
        f"{len(rows) - len(disagreeing)} of {len(rows)} agree{': not ' if disagreeing else ''}{', '.join(disagreeing)}"
    )
    return 1 if disagreeing else 0


if __name__ == "__main__":
    sys.exit(main())
