"""Every method on three models, exported and run by onnxruntime and by torch.export at three sizes.

    python benchmarks/export_table.py [--only REGEX] [--output FILE]

Weights are random; what the methods learn was moved by a training step, so that no layer is idle. Each file is
compared with its model by the export itself: on three images of the training size, and on one of each of two sizes
that the exporter did not see. ``frozen`` is the largest difference between the adapted model and its frozen form.
A file beyond 1e-4 of the largest score, or a frozen form beyond 1e-6 of it, makes the exit code 1.
"""

import argparse
import copy
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnxruntime
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torchvision.models.segmentation import fcn_resnet50

import autorf
from autorf.deployment.export_axes import TOLERANCE
from autorf.deployment.export_model import Exported, Scores, export_model
from autorf.errors import InputError
from autorf.files import write_atomically
from autorf.methods import Dilation, Inflation, LearnedDilation, Method, PixelAdaptive, ScaleAdaptive
from autorf.networks import ModelSpec, build
from autorf.testing.case import Case

RESULT = Path(__file__).parent / "results" / "export.md"
SIZE = (96, 128)
IMAGE = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
FROZEN_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Network:
    """A model, the layers to adapt in it, and the first and last module of a region to inflate."""

    name: str
    make: Callable[[], nn.Module]
    targets: str | tuple[str, ...]
    region: tuple[str, str]


NETWORKS = (
    Network("largefov, resnet18", partial(build, ModelSpec(name="largefov:resnet18", stage=2), 5), ("head.conv6",),
            ("head.conv6", "head.output")),
    Network("smp Unet, resnet18", partial(smp.Unet, "resnet18", encoder_weights=None, classes=5),
            r"encoder\.layer3\..*\.conv2", ("encoder.layer3.1", "encoder.layer3.1")),
    Network("torchvision fcn_resnet50", partial(fcn_resnet50, weights=None, weights_backbone=None, num_classes=5),
            r"backbone\.layer4\..*\.conv2", ("backbone.layer4.0", "backbone.layer4.2")),
)  # fmt: skip


def methods(network: Network) -> dict[str, Method]:
    """Every method, and the variant of inflation that returns to another size."""
    layers = {"targets": network.targets}
    region = dict(zip(("start", "end"), network.region, strict=True))
    methods: dict[str, Method] = {
        "dilation": Dilation(**layers, rate=3),
        "learned_dilation": LearnedDilation(**layers),
        "inflation": Inflation(**region, factor=1.3),
        "scale_adaptive": ScaleAdaptive(**layers),
        "pixel_adaptive": PixelAdaptive(**layers),
    }
    if network.name.startswith("largefov"):
        methods["inflation, folded"] = Inflation(**region, factor=1.3, fold=True)
    return methods


@dataclass(frozen=True)
class Row:
    method: str
    network: str
    format: str
    exported: Exported | None
    frozen: float
    seconds: float
    failure: str = ""

    @property
    def holds(self) -> bool:
        if self.exported is None or self.frozen > FROZEN_TOLERANCE * max(1.0, self.exported.agreement.largest):
            return False
        return self.exported.agreement.holds

    def __str__(self) -> str:
        if self.exported is None:
            return f"| {self.method} | {self.network} | {self.format} | {self.failure} |"
        agreement, axes = self.exported.agreement, ("batch", "height", "width")
        closed = [f"{axis}: {self.exported.fixed[axis]}" for axis in axes if axis in self.exported.fixed]
        sizes = ", ".join(f"{n}x{height}x{width}" for n, height, width in agreement.sizes)
        cells = (
            self.method, self.network, self.format, "; ".join(closed) or "all", f"{agreement.step}", sizes,
            f"{self.frozen:.1g}", f"{agreement.difference:.1g}", f"{agreement.largest:.3g}", f"{self.seconds:.0f}",
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


def rows(method: str, network: Network) -> Iterator[Row]:
    """Export one method on one network to both formats."""
    model = Case(network.make, methods(network)[method], IMAGE).trained(1.0)
    frozen = copy.deepcopy(model)
    with torch.no_grad():
        autorf.freeze(frozen)
        apart = (Scores(model)(IMAGE) - Scores(frozen)(IMAGE)).abs().max().item()
    for format in ("onnx", "torch"):
        start = time.perf_counter()
        exported, failure = None, ""
        with tempfile.TemporaryDirectory() as folder:
            try:
                exported = export_model(model, Path(folder) / "model", SIZE, format=format)
            except InputError as error:
                failure = str(error)
        yield Row(method, network.name, format, exported, apart, time.perf_counter() - start, failure)


def table(done: list[Row]) -> str:
    versions = f"torch {torch.__version__.split('+')[0]}, onnxruntime {onnxruntime.__version__}"
    head = f"""# Exported models against their originals

Made by `benchmarks/export_table.py` ({platform.machine()}, autorf {autorf.__version__}, {versions}). Images of three
sizes (N x height x width), the first that of training, the others not seen by the exporter. `frozen` is the largest
difference between the adapted model's scores and those of its frozen form, `file` that between the model's and the
file's; beside it the largest score. Within {TOLERANCE:g} of the largest score and a frozen form within
{FROZEN_TOLERANCE:g} of it: {sum(row.holds for row in done)} of {len(done)}.

| method | model | format | open axes | step of sides | sizes compared | frozen | file | largest score | s |
|---|---|---|---|---|---|---|---|---|---|"""
    return "\n".join([head, *map(str, done)]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="regular expression over 'method on model'")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    done: list[Row] = []
    for network in NETWORKS:
        for method in methods(network):
            if re.search(arguments.only, f"{method} on {network.name}"):
                for row in rows(method, network):
                    print(row, flush=True)
                    done.append(row)
                    # A long run that is stopped leaves what it has.
                    write_atomically(arguments.output, table(done))
    return 0 if all(row.holds for row in done) else 1


if __name__ == "__main__":
    sys.exit(main())
