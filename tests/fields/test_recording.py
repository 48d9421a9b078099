"""A recording is the graph that torch.export makes, where it is one at all, and leaves no trace in the model."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import Tensor, nn

import autorf
from autorf.fields import graph, receptive_field
from autorf.fields.recording import UnrecordableError, record
from autorf.networks import ModelSpec


def largefov(name: str) -> nn.Module:
    return autorf.build(ModelSpec(name=f"largefov:{name}", stage=1, channels=(8, 8)), 3)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "smp Unet": lambda: smp.Unet("resnet18", encoder_weights=None, classes=3),
    "smp FPN, squeeze and excite": lambda: smp.FPN("tu-mobilenetv3_small_100", encoder_weights=None, classes=3),
    "torchvision LR-ASPP": lambda: torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    ),
    "largefov": lambda: largefov("test_byobnet"),
    "largefov, dilated": lambda: autorf.adapt(largefov("resnet18"), autorf.Dilation(rate=3)),
    "learned dilation": lambda: autorf.adapt(largefov("resnet18"), autorf.LearnedDilation()),
    "inflation": lambda: autorf.adapt(largefov("resnet18"), autorf.Inflation(dilation=4)),
    "weights that are computed": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3))),
}


def without_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise UnrecordableError

    monkeypatch.setattr(graph, "record", refuse)


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_fields_are_those_of_an_exported_graph(build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    recorded = receptive_field(model, 64).to_dict()
    without_recording(monkeypatch)
    assert recorded == receptive_field(model, 64).to_dict()


@pytest.mark.parametrize("build", list(NETWORKS.values())[:4], ids=list(NETWORKS)[:4])
def test_networks_are_recorded_and_not_exported(
    build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("exported")

    monkeypatch.setattr(torch.export, "export", refuse)
    receptive_field(build(), 64)


class Keeping(nn.Module):
    """Keeps what it made of an image in all the places that a module has."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3)
        self.cache: dict[str, dict[int, Tensor]] = {"grids": {}}
        self.seen: list[Tensor] = []
        self.register_buffer("last", torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        self.grid = torch.arange(image.shape[-1] - 2, device=image.device)
        self.cache["grids"][image.shape[-1]] = self.grid
        self.seen.append(image)
        self.last = image.mean().reshape(1)
        return self.layer(image) + self.grid


def test_a_model_keeps_nothing_of_the_recording() -> None:
    model = Keeping().eval()
    before = {name: copy.copy(value) for name, value in model.__dict__.items()}
    record(model, torch.zeros(1, 3, 8, 8))
    assert not hasattr(model, "grid")
    assert model.cache == {"grids": {}}
    assert model.seen == []
    assert torch.equal(model.last, torch.zeros(1))
    assert before.keys() == model.__dict__.keys()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    model(torch.zeros(1, 3, 8, 8))


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.function = function

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(self.function(image))


def test_a_tensor_that_no_operator_made_is_no_constant() -> None:
    """Indexing with a list passes every mode by; taken for a constant the output would not depend on the image."""
    model = Function(lambda image: image[:, :, ::2][:, [0, 1, 2]]).eval()
    with pytest.raises(UnrecordableError):
        record(model, torch.zeros(1, 3, 8, 8))
    assert receptive_field(model, 16).size == (5, 3)


@pytest.mark.parametrize(
    "function",
    [
        lambda image: image + torch.zeros(16, device=image.device),
        lambda image: image + torch.arange(16, device=image.device),
        lambda image: torch.cat(image.relu_().chunk(3, 1), 1),
    ],
    ids=["zeros", "places", "parts"],
)
def test_what_is_made_on_the_way_is_what_it_is(
    function: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of zeros is alike everywhere, a row of numbers is not: tiles tell them apart."""
    model = Function(function).eval()
    graph_nodes = record(model, torch.zeros(1, 3, 16, 16)).nodes
    assert not [node for node in graph_nodes if node.target == "constant"]
    recorded = receptive_field(model, 16).to_dict()
    without_recording(monkeypatch)
    assert recorded == receptive_field(model, 16).to_dict()


def test_data_of_a_tensor_is_the_tensor() -> None:
    """``torch.export`` refuses it."""
    assert receptive_field(Function(lambda image: image.data), 16).size == (3, 3)


def test_values_that_are_read_are_left_to_the_export() -> None:
    model = Function(lambda image: image * 2 if image.shape[0] * torch.tensor(1.0).item() else image).eval()
    assert receptive_field(model, 16).size == (3, 3)
    with pytest.raises(autorf.InputError, match="cannot be traced"):
        receptive_field(Function(lambda image: image * 2 if image.sum() > 0 else image).eval(), 16)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
@pytest.mark.parametrize("wrap", [torch.compile, torch.jit.script], ids=["compiled", "scripted"])
def test_compiled_and_scripted_modules_are_not_recorded(wrap: Callable[[nn.Module], Any]) -> None:
    with pytest.raises(UnrecordableError, match="compiled"):
        record(nn.Sequential(wrap(nn.Conv2d(3, 3, 3))).eval(), torch.zeros(1, 3, 8, 8))
