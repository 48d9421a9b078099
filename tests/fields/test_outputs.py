"""The field of every output of a model that returns several."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autorf.errors import InputError
from autorf.fields import effective_receptive_field, receptive_field


class Several(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.convolution(x))


def pyramid(x: Tensor) -> list[Tensor]:
    return [x, F.avg_pool2d(x, 5, 2, 2), F.avg_pool2d(x, 3, 1, 1)]


def test_a_backbone_is_asked_about_its_deepest_map_and_lists_all() -> None:
    field = receptive_field(timm.create_model("repvgg_a0", features_only=True), 64)
    assert field.size == (535, 535)
    assert [output.size for output in field.outputs] == [(s, s) for s in (3, 15, 71, 503, 535)]
    assert [output.stride for output in field.outputs] == [(s, s) for s in (2, 4, 8, 16, 32)]
    assert "5 maps; measured is the one with the widest field, '4'" in str(field.note)


def test_the_widest_need_not_be_the_first_or_the_last() -> None:
    field = receptive_field(Several(pyramid), 64)
    assert field.size == (7, 7)
    assert field.stride == (2, 2)
    assert [(output.name, output.size) for output in field.outputs] == [("0", (3, 3)), ("1", (7, 7)), ("2", (5, 5))]


def test_names_without_a_scored_one_are_asked_about_the_widest() -> None:
    model = Several(lambda x: {"low": x, "high": F.avg_pool2d(x, 7, 1, 3)})
    assert receptive_field(model, 64).size == (9, 9)


def test_the_scored_output_stays_the_one_that_is_measured() -> None:
    model = Several(lambda x: {"aux": F.avg_pool2d(x, 7, 1, 3), "out": x})
    field = receptive_field(model, 64)
    assert field.size == (3, 3)
    assert {output.name: output.size for output in field.outputs} == {"aux": (9, 9), "out": (3, 3)}
    assert [output["rf"] for output in field.to_dict()["outputs"]] == [[9, 9], [3, 3]]


def test_of_a_single_output_none_is_listed() -> None:
    assert receptive_field(Several(lambda x: x), 64).outputs == ()
    assert receptive_field(Several(pyramid), 64, output=0).outputs == ()


def test_of_several_outputs_one_that_cannot_be_traced_is_no_reason_to_take_a_narrower_one() -> None:
    model = Several(lambda x: [x, torch.fft.fft(x).real])
    with pytest.raises(InputError, match=r"aten\.fft_fft"):
        receptive_field(model, 32)
    assert receptive_field(model, 32, output=0).size == (3, 3)


def test_the_effective_field_is_of_the_same_output() -> None:
    model, images = Several(pyramid), torch.rand(1, 3, 32, 32)
    widest, first = (effective_receptive_field(model, images, output=output) for output in (None, 0))
    assert widest.sides[0.99] > first.sides[0.99]
    assert widest.sides == effective_receptive_field(model, images, output=1).sides
