from pathlib import Path

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
