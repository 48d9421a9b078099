"""Code without autorf loads a frozen model by five lines, or is not promised that it can."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import autorf
from autorf.deployment.plain_loading import PLAIN_WEIGHTS, plain_lines, write_plain
from autorf.methods.base import Method
from autorf.study.spec import parse_study
from tests.tiny import TINY

BLOCKED = "import sys\nsys.modules['autorf'] = None\n"
USE = "import torch\nout = model.eval()(torch.load({input!r}))\ntorch.save(out['out'] if isinstance(out, dict) else out, {output!r})\n"  # noqa: E501


def written(folder: Path, name: str, method: Method, **more: Any) -> tuple[torch.nn.Module, bool]:
    spec = parse_study({**TINY, "model": {"name": name, **more}}, "tiny.yaml")
    torch.manual_seed(0)
    model = autorf.build(spec.model, 5)
    for parameter in model.buffers():
        # Statistics other than those that a fresh model has too.
        if parameter.is_floating_point():
            parameter.add_(0.1 * torch.rand_like(parameter))
    autorf.adapt(model, method)
    autorf.advance(model, 10, 10)
    folder.mkdir()
    return model.eval(), write_plain(folder, model, spec, 5)


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("smp:Unet:resnet18", r"encoder\.layer4\..*conv2"),
        ("torchvision:deeplabv3_resnet50", r"backbone\.layer4\..*conv2"),
        ("timm:test_resnet", r"layer4\..*conv2"),
    ],
)
@pytest.mark.parametrize("kind", [autorf.Dilation, autorf.LearnedDilation])
def test_the_lines_give_the_same_scores_where_autorf_cannot_be_imported(
    name: str, targets: str, kind: Any, tmp_path: Path
) -> None:
    method = kind(targets=targets, rate=3) if kind is autorf.Dilation else kind(targets=targets, start=3)
    model, loads = written(tmp_path / "model", name, method)
    assert loads
    lines = plain_lines(autorf.ModelSpec(name=name), 5, 3, str(tmp_path / "model"))
    assert lines is not None
    image = torch.rand(1, 3, 64, 64)
    torch.save(image, tmp_path / "image.pt")
    use = USE.format(input=str(tmp_path / "image.pt"), output=str(tmp_path / "out.pt"))
    done = subprocess.run([sys.executable, "-c", BLOCKED + lines + use], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = model(image)
    expected = expected["out"] if isinstance(expected, dict) else expected
    assert torch.allclose(torch.load(tmp_path / "out.pt"), expected, atol=1e-6)
    # Behind the imports: the model, three lines for its rates, and its weights.
    assert len(lines.splitlines()) == 2 + 5


@pytest.mark.parametrize(
    ("name", "method"),
    [
        # It pads itself: set as the lines do, it would pad twice.
        ("smp:Unet:efficientnet-b0", autorf.Dilation(targets=r"encoder\._blocks\.15\._depthwise_conv", rate=2)),
        ("largefov:test_byobnet", autorf.Dilation(rate=2)),
    ],
)
def test_what_the_lines_cannot_load_is_not_promised(name: str, method: Method, tmp_path: Path) -> None:
    _, loads = written(tmp_path / "model", name, method)
    assert not loads
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["pattern.json"]
    assert PLAIN_WEIGHTS == "plain.safetensors"


def test_a_field_that_differs_from_pixel_to_pixel_has_no_pattern(tmp_path: Path) -> None:
    method = autorf.PixelAdaptive(targets="encoder.layer4.1.conv2")
    assert not written(tmp_path / "model", "smp:Unet:resnet18", method)[1]
    assert list((tmp_path / "model").iterdir()) == []
