from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.networks import ModelSpec, build
from autorf.networks.first_convolution import for_channels
from autorf.own_code.code import read_code
from autorf.own_code.importing import importable
from autorf.own_code.reference import parse_reference
from autorf.surgery.dry_run import input_channels
from autorf.surgery.sidecar import read_sidecar

NET = """
from torch import nn

def build(n_classes, width=4, deep=False):
    if width < 1:
        raise ValueError("width must be positive")
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, n_classes, 1))

def anything(n_classes, **given):
    return build(n_classes, **given)

def nothing(n_classes):
    return {"model": n_classes}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "own_net.py").write_text(NET)
    with importable(read_code([parse_reference("python:./own_net.py:build")], tmp_path)):
        yield tmp_path


def own(function: str = "build", **fields: Any) -> nn.Module:
    return build(ModelSpec(name=f"python:./own_net.py:{function}", **fields), classes=5)


def test_a_network_of_the_users_own_gets_the_number_of_classes_and_its_arguments(folder: Path) -> None:
    assert own(args={"width": 7})(torch.zeros(1, 3, 8, 8)).shape == (1, 5, 8, 8)
    assert own("anything", args={"width": 7})[0].out_channels == 7


def test_its_saved_folder_says_whose_code_it_is_and_holds_none_of_it(folder: Path) -> None:
    saved = autorf.save(own(), folder / "saved")
    builder = read_sidecar(saved / "autorf.json").builder
    assert builder is not None
    assert builder.reference == "python:./own_net.py:build"
    assert len(builder.digest) == 16
    assert all("width must be" not in file.read_text(errors="replace") for file in saved.iterdir())
    assert autorf.load(own, saved)[0].out_channels == 4
    library = autorf.save(build("largefov:test_byobnet", 3), folder / "library")
    assert "builder" not in (library / "autorf.json").read_text()


@pytest.mark.parametrize(
    ("function", "fields", "message"),
    [
        ("build", {"args": {"widht": 3}}, r"model\.args\.widht: .* has no such argument; did you mean width"),
        ("nothing", {"args": {"width": 3}}, r"model\.args\.width: .* has no such argument; it takes none"),
        ("build", {"args": {"width": 0}}, r"failed: ValueError: width must be positive \(.*own_net\.py, line 6\)"),
        ("nothing", {}, r"returned a dict; a model is a torch\.nn\.Module"),
        ("buld", {}, "the module has no 'buld'; did you mean build"),
        ("build", {"pretrained": True}, r"model\.pretrained: .* is your own; have it load its weights"),
        ("build", {"output_stride": 8}, r"model\.output_stride: .* is your own; give what it takes in model\.args"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(function: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        own(function, **fields)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(
    "name",
    ["largefov:test_byobnet", "smp:Unet:resnet18", "timm:test_byobnet", "torchvision:lraspp_mobilenet_v3_large"],
)
def test_a_librarys_network_is_built_for_images_of_any_number_of_channels(name: str, channels: int) -> None:
    model = build(name, classes=2, channels=channels).eval()
    assert input_channels(model) == channels
    with torch.no_grad():
        model(torch.zeros(1, channels, 64, 64))


def test_a_kernel_that_is_published_is_repeated_and_another_drawn_anew() -> None:
    kernel = torch.ones(4, 3, 3, 3)

    def network() -> nn.Module:
        model = nn.Sequential(nn.Conv2d(3, 4, 3))
        model[0].weight.data.copy_(kernel)  # type: ignore[union-attr, operator]
        return model

    published, drawn = (for_channels(network(), 6, published=way)[0].weight for way in (True, False))
    torch.testing.assert_close(published.sum(1), kernel.sum(1))
    assert float(drawn.detach().std()) > 0


@pytest.mark.parametrize("channels", [0, 2.5, True])
def test_a_number_of_channels_that_is_none_is_refused(channels: Any) -> None:
    with pytest.raises(InputError, match="channels"):
        build("largefov:test_byobnet", 3, channels)
