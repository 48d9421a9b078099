from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autorf.errors import InputError
from autorf.networks import ModelSpec, build
from autorf.networks.checkpoint import load_weights

NAME = "largefov:test_byobnet"


def network(**fields: object) -> nn.Module:
    return build(ModelSpec(name=NAME, stage=1, channels=(8, 8), **fields), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("file", ["a.safetensors", "a.pth", "nested.pth"])
def test_a_trained_baseline_is_what_a_model_begins_with(tmp_path: Path, file: str) -> None:
    trained = network().state_dict()
    if file.endswith(".safetensors"):
        save_file(trained, tmp_path / file)
    else:
        torch.save({"state_dict": trained, "epoch": 3} if "nested" in file else trained, tmp_path / file)
    found = network(weights=tmp_path / file).state_dict()
    assert all(torch.equal(found[key], value) for key, value in trained.items())


def test_other_weights_are_refused_and_the_model_stays(tmp_path: Path) -> None:
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    weights = dict(before)
    weights["head.output.bias"] = torch.zeros(7)
    save_file(weights, tmp_path / "shape.safetensors")
    del weights["head.output.bias"]
    save_file(weights, tmp_path / "missing.safetensors")
    save_file({**before, "extra": torch.zeros(1)}, tmp_path / "extra.safetensors")
    for name, said in (("shape", "other shapes of 'head.output.bias'"), ("missing", "lacks"), ("extra", "unknown")):
        with pytest.raises(InputError, match=said):
            load_weights(model, tmp_path / f"{name}.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_file_with_code_in_it_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "whole.pth")
    with pytest.raises(InputError, match="save them as safetensors"):
        load_weights(network(), tmp_path / "whole.pth")
    with pytest.raises(InputError, match="no such file"):
        load_weights(network(), tmp_path / "nothing.pth")


WRAPPED: dict[str, Any] = {
    "data parallel": lambda weights: prefixed(weights, "module."),
    "compiled": lambda weights: prefixed(weights, "_orig_mod."),
    "compiled inside data parallel, in Lightning": lambda weights: {
        "state_dict": prefixed(weights, "model.module._orig_mod.")
    },
    "with a loss beside the network": lambda weights: {
        "state_dict": {**prefixed(weights, "model."), "criterion.weight": torch.ones(3)}
    },
    "under another prefix": lambda weights: prefixed(weights, "segmenter."),
    "averaged": lambda weights: {"state_dict_ema": weights},
    "an average by torch": lambda weights: {"n_averaged": torch.tensor(3), **prefixed(weights, "module.")},
    "in a net": lambda weights: {"net": weights, "acc": 71.0},
    "with the arguments of a command line": lambda weights: {"model": weights, "args": Namespace(lr=0.1)},
    "with an epoch beside the tensors": lambda weights: {**prefixed(weights, "module."), "epoch": 7},
    "one part compiled": lambda weights: {key.replace("head.", "head._orig_mod."): v for key, v in weights.items()},
}


def prefixed(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in weights.items()}


@pytest.mark.filterwarnings("ignore:model.weights:UserWarning")
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=list(WRAPPED))
def test_what_trainers_wrap_around_names_is_taken_off(tmp_path: Path, wrap: Any) -> None:
    trained = network().state_dict()
    torch.save(wrap(trained), tmp_path / "a.pth")
    loaded = network(weights=tmp_path / "a.pth").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in trained.items())


def test_one_line_says_what_was_taken_off(tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    torch.save({"state_dict": {**prefixed(network().state_dict(), "model."), "loss.weight": torch.ones(1)}}, file)
    with pytest.warns(UserWarning, match=r"a.pth: stripped 'model.'; left out 'loss.weight'$"):
        network(weights=file)
    network(weights=file)


def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    trained = network().state_dict()
    file = tmp_path / "a.safetensors"
    save_file({key: value for key, value in trained.items() if not key.endswith("num_batches_tracked")}, file)
    with pytest.warns(UserWarning, match="had no num_batches_tracked"):
        loaded = network(weights=file).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in trained.items())


def test_trained_weights_go_before_averaged_ones_which_are_named(tmp_path: Path) -> None:
    trained, file = network().state_dict(), tmp_path / "a.pth"
    torch.save({"state_dict_ema": {key: value * 0 for key, value in trained.items()}, "state_dict": trained}, file)
    with pytest.warns(UserWarning, match="left 'state_dict_ema', which fits too"):
        loaded = network(weights=file).state_dict()
    assert torch.equal(loaded["head.output.weight"], trained["head.output.weight"])


def test_of_two_networks_that_fit_none_is_guessed(tmp_path: Path) -> None:
    trained = network().state_dict()
    torch.save({**prefixed(trained, "student."), **prefixed(trained, "teacher.")}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"under 'student.', 'teacher.'; keep the weights of one"):
        network(weights=tmp_path / "a.pth")


def test_what_does_not_fit_is_named_by_its_first_names(tmp_path: Path) -> None:
    weights = network().state_dict()
    weights["other.weight"] = weights.pop("head.output.weight")
    torch.save({"optimizer": {"state": {}}, "state_dict": weights}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"lacks 'head.output.weight' and has unknown 'other.weight'; it must be"):
        network(weights=tmp_path / "a.pth")


def test_a_file_with_code_in_it_names_the_code_and_nothing_of_trusting_it(tmp_path: Path) -> None:
    torch.save({"state_dict": network().state_dict(), "path": Path()}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="it holds pathlib") as refused:
        network(weights=tmp_path / "a.pth")
    assert "trust" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
