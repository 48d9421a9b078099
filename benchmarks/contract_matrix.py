"""What every method promises of the models it adapts, checked for each method on each family of models.

    python benchmarks/contract_matrix.py [--only REGEX] [--output FILE] [--resume]

Networks have random weights; nothing is downloaded. The checks are those of ``autorf.testing``; what a check says when
it fails is listed below the table and makes the exit code 1. The table is rewritten after every row; ``--resume``
keeps the rows without a failure that the file holds for these versions, so that a long run can be continued.
"""

import argparse
import platform
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

import autorf
from autorf.files import write_atomically
from autorf.methods import Dilation, Inflation, LearnedDilation, Method, PixelAdaptive, ScaleAdaptive
from autorf.networks import build
from autorf.testing.contract import CHECKS, Case, check_new_process

RESULT = Path(__file__).parent / "results" / "contract_matrix.md"
IMAGE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
ALL_CHECKS = {**CHECKS, "new process": check_new_process}


@dataclass(frozen=True)
class Family:
    """Models of one kind, the convolutions to adapt in them, and the first and last module of a region to inflate."""

    name: str
    make: Callable[[], nn.Module]
    targets: str | tuple[str, ...] | None
    region: tuple[str, str] | None


@dataclass(frozen=True)
class Row:
    method: str
    family: str
    failures: dict[str, str]
    seconds: str

    def __str__(self) -> str:
        marks = ("**no**" if check in self.failures else "yes" for check in ALL_CHECKS)
        return f"| {' | '.join([self.method, self.family, *marks, self.seconds])} |"


def recorded(path: Path) -> dict[tuple[str, str], Row]:
    """The rows of an earlier run with the same versions and checks in which nothing failed."""
    text = path.read_text() if path.exists() else ""
    if versions() not in text or columns() not in text:
        return {}
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    whole = [Row(method, family, {}, seconds) for method, family, *marks, seconds in cells if "**no**" not in marks]
    return {(row.method, row.family): row for row in whole}


def versions() -> str:
    """What a recorded row depends on."""
    return f"{platform.machine()}, autorf {autorf.__version__}, torch {torch.__version__.split('+')[0]}"


def columns() -> str:
    return f"| method | model | {' | '.join(ALL_CHECKS)} | s |"


def segformer() -> nn.Module:
    """A small SegFormer of transformers, whose answer is a mapping."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    sizes = {"hidden_sizes": [16, 16, 32, 32], "num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 32}
    config = SegformerConfig(depths=[1, 1, 1, 1], mlp_ratios=[2, 2, 2, 2], **sizes)
    return SegformerForSemanticSegmentation(config)


def families() -> list[Family]:
    unet = partial(smp.Unet, "resnet18", encoder_weights=None, decoder_channels=(32, 16, 16, 8, 8))
    small = {"encoder_weights": None, "decoder_pyramid_channels": 32}
    efficientnet = partial(smp.FPN, "efficientnet-b0", encoder_depth=4, **small)
    mobilenet = partial(smp.FPN, "mobilenet_v2", **small)
    same = partial(timm.create_model, "tf_mobilenetv3_small_minimal_100")
    lraspp = partial(lraspp_mobilenet_v3_large, weights=None, weights_backbone=None)
    return [
        Family("largefov (own head)", partial(build, "largefov:test_byobnet", 5), None, None),
        _family("smp Unet, resnet18", unet, r"encoder\.layer4\.1\.conv\d", "encoder.layer4.1"),
        _family("smp FPN, efficientnet-b0 (static same padding)", efficientnet, r".*_blocks\.7\._depthwise_conv",
                "encoder._blocks.7"),
        _family("smp FPN, mobilenet_v2 (depthwise)", mobilenet, r"encoder\.features\.1[56]\.conv\.1\.0",
                "encoder.features.15", "encoder.features.16"),
        _family("timm resnet", partial(timm.create_model, "test_resnet"), r"layer1\.0\.conv\d", "layer1.0"),
        _family("timm nfnet (scaled standardised)", partial(timm.create_model, "test_nfnet"), (".conv2b",),
                "stages.3.0.conv2b"),
        _family("timm convnext (7x7 depthwise)", partial(timm.create_model, "test_convnext"), r"stages\.3.*conv_dw",
                "stages.3.blocks.0"),
        _family("timm mobilenetv3 (Conv2dSame)", same, r"blocks\.4\.[12]\.conv_dw", "blocks.4.1", "blocks.4.2"),
        _family("torchvision lraspp", lraspp, r"backbone\.15\.block\.1\.0", "backbone.15"),
        _family("transformers SegFormer", segformer, r".*stages\.3.*dwconv\.dwconv", "decode_head.linear_fuse",
                "decode_head.classifier"),
    ]  # fmt: skip


def _family(
    name: str, make: Callable[[], nn.Module], targets: str | tuple[str, ...], start: str, end: str | None = None
) -> Family:
    return Family(name, make, targets, (start, end or start))


def methods(family: Family) -> list[Method]:
    """Every method on a family's layers or region, the ones with variants in one that exercises most."""
    where = {"targets": family.targets}
    region = {} if family.region is None else dict(zip(("start", "end"), family.region, strict=True))
    return [
        Dilation(**where, rate=2),
        Inflation(**region),
        LearnedDilation(**where),
        ScaleAdaptive(**where, share="stage"),
        PixelAdaptive(**where, aggregation="gated"),
    ]


def run(method: Method, family: Family) -> Row:
    case = Case(family.make, method, IMAGE)
    failures: dict[str, str] = {}
    start = time.perf_counter()
    for name, check in ALL_CHECKS.items():
        try:
            check(case)
        except Exception as error:  # a broken promise is a cell of the table, not the end of it
            failures[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return Row(method.method, family.name, failures, f"{time.perf_counter() - start:.0f}")


def table(rows: list[Row]) -> str:
    kept = sum(len(ALL_CHECKS) - len(row.failures) for row in rows)
    head = [
        "# The contract of adapting a model",
        "",
        f"Made by `benchmarks/contract_matrix.py` ({versions()}); random weights. What does not concern",
        "a method, such as identity at the start for a dilation set by hand or export of what will not freeze, passes.",
        "",
        f"{kept} of {len(rows) * len(ALL_CHECKS)} checks pass.",
        "",
        columns(),
        f"|{'---|' * (len(ALL_CHECKS) + 3)}",
    ]
    failed = [
        f"* {row.method} on {row.family}, {check}: {words}" for row in rows for check, words in row.failures.items()
    ]
    return "\n".join([*head, *map(str, rows), *(["", *failed] if failed else [])]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="regular expression over 'method on family'")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--resume", action="store_true", help="keep the rows that the file already holds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    kept = recorded(arguments.output) if arguments.resume else {}
    rows: list[Row] = []
    for family in families():
        for method in methods(family):
            row = kept.pop((method.method, family.name), None)
            if row is None and re.search(arguments.only, f"{method.method} on {family.name}"):
                row = run(method, family)
                print(row, *row.failures.items(), flush=True)
            if row is not None:
                rows.append(row)
                write_atomically(arguments.output, table([*rows, *kept.values()]))
    return 1 if any(row.failures for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
