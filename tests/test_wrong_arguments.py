"""Public functions that are given something else say in one line what they take."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import autorf
from autorf import advice, fields, ops
from autorf.errors import InputError

library_calls = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "fuzz_calls.py"))["library_calls"]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1))


SGD = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)

OF_MODELS: dict[str, Callable[[Any], Any]] = {
    "adapt": lambda model: autorf.adapt(model, autorf.Dilation(targets="1", rate=2)),
    "adaptations": autorf.adaptations,
    "advance": lambda model: autorf.advance(model, 0, 1),
    "describe": autorf.describe,
    "effective_receptive_field": lambda model: fields.effective_receptive_field(model, torch.rand(1, 3, 8, 8)),
    "field_map": lambda model: fields.field_map(model, torch.rand(1, 3, 8, 8)),
    "freeze": autorf.freeze,
    "labels": lambda model: autorf.labels(model, torch.zeros(1, 4, 4, dtype=torch.long)).__enter__(),
    "learned_values": autorf.learned_values,
    "parameter_groups": lambda model: autorf.parameter_groups(model, 0.1),
    "plain_state_dict": autorf.plain_state_dict,
    "receptive_field": lambda model: autorf.receptive_field(model, 16),
    "save": lambda model: autorf.save(model, "nowhere"),
    "search_again": autorf.search_again,
    "verify": lambda model: autorf.verify(model, SGD),
}

NO_MODELS: dict[str, Any] = {
    "None": None,
    "the class Conv2d": nn.Conv2d,
    "a str": "largefov:resnet18",
    "a Tensor": torch.zeros(3),
    "an OrderedDict": network().state_dict(),
}


@pytest.mark.parametrize("what", NO_MODELS)
@pytest.mark.parametrize("name", OF_MODELS)
def test_what_is_no_model_is_named(name: str, what: str) -> None:
    with pytest.raises(
        InputError, match=f"^{name} takes a torch.nn.Module that is not compiled by torch.jit, got {what}$"
    ):
        OF_MODELS[name](NO_MODELS[what])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", OF_MODELS)
def test_a_scripted_model_is_refused(name: str) -> None:
    scripted = torch.jit.script(network())  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match=r"not compiled by torch\.jit, got a module compiled by torch.jit"):
        OF_MODELS[name](scripted)


@pytest.mark.parametrize(
    "size", [None, 16.5, "16", True, 0, -16, (16,), (16, 16, 16), (16, 0.5), [], 10**9, (None, 16)]
)
@pytest.mark.parametrize("function", [autorf.receptive_field, lambda m, s: advice.advise(m, s, object_size=9)])
def test_an_image_size_is_whole_positive_and_of_bounded_area(function: Callable[..., Any], size: Any) -> None:
    with pytest.raises(InputError, match=r"image_size must be a positive side or \(height, width\) in pixels"):
        function(network(), size)


def test_whole_numbers_of_other_libraries_are_taken() -> None:
    field = autorf.receptive_field(network(), (np.int64(16), np.int32(32)), in_channels=np.int64(3))  # type: ignore[arg-type]
    assert field.image_size == (16, 32)
    assert type(field.image_size[0]) is int
    advance = [np.int64(1), np.float64(1)]
    for step in advance:
        autorf.advance(network(), step, 2)  # type: ignore[arg-type]


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a step": (lambda: autorf.advance(network(), "a", 3), "step must lie in 0..total_steps, got step 'a' of 3"),  # type: ignore[arg-type]
    "a rate": (lambda: autorf.parameter_groups(network(), float("nan")), "lr must be positive, got nan"),
    "a decay": (lambda: autorf.parameter_groups(network(), 1, weight_decay=None), "weight_decay must be"),  # type: ignore[arg-type]
    "a folder": (lambda: autorf.save(network(), None), "folder must be a path, got None"),  # type: ignore[arg-type]
    "a builder": (lambda: autorf.load(network().state_dict(), "x"), "build must be a function"),  # type: ignore[arg-type]
    "a method": (lambda: autorf.adapt(network(), "dilation"), "adapt takes methods such as"),  # type: ignore[arg-type]
    "an example": (
        lambda: autorf.adapt(network(), autorf.Dilation(targets="1", rate=2), example_input=[1]),  # type: ignore[arg-type]
        "example_input must be a tensor, got a list",
    ),
    "an output": (lambda: autorf.receptive_field(network(), 16, output=1.5), "output must be a key"),  # type: ignore[arg-type]
    "channels": (lambda: autorf.receptive_field(network(), 16, in_channels=0), "in_channels must be a whole number"),
    "a target": (lambda: autorf.labels(network(), [1]).__enter__(), "target must be a tensor"),  # type: ignore[arg-type]
    "classes": (lambda: autorf.build("largefov:test_resnet", 2.5), "classes must be a whole number"),  # type: ignore[arg-type]
    "class names": (lambda: autorf.build("largefov:test_resnet", [1, 2]), "classes must be a number or names"),  # type: ignore[list-item]
    "a spec": (lambda: autorf.build(None), "build takes a model's name or a ModelSpec, got None"),  # type: ignore[arg-type]
    "scales": (lambda: autorf.MultiScale(network(), scales=1.0), "scales must be a list"),  # type: ignore[arg-type]
    "a scale": (lambda: autorf.MultiScale(network(), scales=["a"]), "scales must be positive"),  # type: ignore[list-item]
    "steps": (lambda: autorf.ReceptiveFieldCallback(steps=0), "steps must be a whole number from 1"),
    "a callback's method": (lambda: autorf.ReceptiveFieldCallback("inflation"), "takes methods such as"),  # type: ignore[arg-type]
    "a kernel": (lambda: fields.inflated_kernel(3.5, 1, 2.0), "kernel must be a whole number"),  # type: ignore[arg-type]
    "a field": (lambda: advice.tiling(None), "tiling takes what autorf.receptive_field gives, got None"),  # type: ignore[arg-type]
    "images": (lambda: fields.effective_receptive_field(network(), None), "images must be tensors"),  # type: ignore[arg-type]
    "object size": (lambda: advice.advise(network(), 32, object_size="9"), "object_size must be positive"),  # type: ignore[arg-type]
    "a map": (lambda: ops.inflate(None, 2.0), "input must be a tensor, got None"),  # type: ignore[arg-type]
    "a size": (lambda: ops.interpolate(torch.rand(1, 1, 4, 4), 1.0, (2.5, 2)), "size must be two positive integers"),  # type: ignore[arg-type]
    "a weight": (
        lambda: ops.scale_adaptive_conv2d(torch.rand(1, 3, 4, 4), None, None, torch.ones(1, 1, 4, 4)),  # type: ignore[arg-type]
        "weight must be a tensor, got None",
    ),
    "groups": (
        lambda: ops.windowed_dilated_conv2d(
            torch.rand(1, 3, 4, 4), torch.rand(2, 3, 3, 3), None, torch.ones(1), (1,), groups=1.5  # type: ignore[arg-type]
        ),
        "groups must be a whole number",
    ),
    "an enormous map": (lambda: ops.inflate(torch.rand(1, 1, 9, 9), 1e9), "has more than 134217728 pixels"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_of_another_kind_is_told_with_what_is_taken(what: str) -> None:
    call, said = WRONG[what]
    with pytest.raises(InputError, match=said.replace("(", r"\(")) as refused:
        call()
    assert str(refused.value).isprintable()


def test_calls_with_odd_arguments_are_answered_in_one_line(tmp_path: Path) -> None:
    wrong = [f"{call.given}: {call.problem}: {call.text}" for call in library_calls(150, 21, tmp_path) if not call.ok]
    assert wrong == []


def test_the_calls_of_a_seed_are_always_the_same(tmp_path: Path) -> None:
    first, second = ([call.given for call in library_calls(5, 3, tmp_path)] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (lambda: fields.effective_receptive_field(network().to("meta"), torch.rand(1, 3, 16, 16)), "the model"),
        (lambda: fields.effective_receptive_field(network(), torch.rand(1, 3, 16, 16, device="meta")), "an image"),
        (lambda: autorf.freeze(network(), torch.rand(1, 3, 16, 16, device="meta")), "example_input"),
    ],
)
def test_what_has_no_values_is_refused_where_values_are_needed(call: Callable[[], Any], given: str) -> None:
    with pytest.raises(InputError, match=f": {given} is on the meta device and has no values"):
        call()
