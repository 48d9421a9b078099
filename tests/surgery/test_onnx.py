"""Adapted models as ONNX, run by onnxruntime: frozen ones, and those whose receptive field differs by pixel."""

import io
import warnings

import onnxruntime
import pytest
import torch
from torch import nn

from autorf.deployment.export_axes import captured
from autorf.deployment.export_model import Scores
from autorf.methods import Dilation, Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive
from autorf.surgery import freeze
from autorf.testing.case import Case

BATCH, ROWS, COLUMNS = 0, 2, 3
LARGER = torch.randn(3, 3, 20, 14, generator=torch.Generator().manual_seed(1))


def make() -> nn.Module:
    convolutions = (nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
    return nn.Sequential(*convolutions, nn.Conv2d(4, 2, 1))


def exported(model: nn.Module, dynamic: tuple[int, ...]) -> onnxruntime.InferenceSession:
    # Of a part of a larger image the program would say where it begins, for which ONNX has no words.
    image = LARGER[:2, :, :16, :12].contiguous()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # onnxscript's own
        program = torch.onnx.export(captured(Scores(model), image, dynamic), (), verbose=False)
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("method", "dynamic"),
    [
        (Dilation(targets=("2",), rate=3), (BATCH, ROWS, COLUMNS)),
        (LearnedDilation(targets=("2",)), (BATCH, ROWS, COLUMNS)),
        (Inflation(start="2", end="3"), (BATCH, ROWS, COLUMNS)),
        (Inflation(start="2", end="3", fold=True), (BATCH, ROWS, COLUMNS)),
        (ScaleAdaptive(targets=("2",)), (BATCH, ROWS, COLUMNS)),
        (PixelAdaptive(targets=("2",)), (BATCH, ROWS, COLUMNS)),
    ],
    ids=lambda value: getattr(value, "method", ""),
)
def test_onnxruntime_gives_the_same_output(method, dynamic) -> None:
    model = Case(make, method, LARGER).trained(1.0)
    left = freeze(model, LARGER).left
    assert bool(left) == (method.method in ("scale_adaptive", "pixel_adaptive"))
    session = exported(model, dynamic)
    image = LARGER[: None if BATCH in dynamic else 2]
    image = image if ROWS in dynamic else image[:, :, :16, :12]
    (output,) = session.run(None, {session.get_inputs()[0].name: image.contiguous().numpy()})
    torch.testing.assert_close(torch.from_numpy(output), model(image), rtol=1e-4, atol=1e-5)
