"""The callback of transformers, called as its Trainer calls it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError

transformers = pytest.importorskip("transformers")


class Arguments:
    def __init__(self, folder: Path) -> None:
        self.output_dir = str(folder)


def state(step: int, steps: int = 60) -> Any:
    return transformers.TrainerState(global_step=step, max_steps=steps)


def adapted() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1))
    return autorf.adapt(model, autorf.LearnedDilation(targets="1", search=0.5), autorf.Inflation(start="0", end="0"))


def test_it_moves_the_method_logs_what_was_learned_and_saves_the_record(tmp_path: Path) -> None:
    model, callback, arguments = adapted(), autorf.TransformersCallback(), Arguments(tmp_path)
    optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-2))
    callback.on_train_begin(arguments, state(0), None, model=model, optimizer=optimizer)
    for at in range(60):
        callback.on_step_begin(arguments, state(at), None, model=model)
        optimizer.zero_grad()
        model(torch.rand(2, 3, 12, 12)).square().mean().backward()
        optimizer.step()
        callback.on_step_end(arguments, state(at + 1), None, model=model)
    logs: dict[str, float] = {"loss": 1.0}
    callback.on_log(arguments, state(60), None, logs=logs, model=model)
    assert set(logs) == {"loss", "dilation", "f"}
    callback.on_save(arguments, state(60), None, model=model)
    record = json.loads((tmp_path / "checkpoint-60" / "autorf_record.json").read_text())
    assert (record["step"], record["total_steps"]) == (60, 60)
    assert [method["method"] for method in record["methods"]] == ["learned_dilation", "inflation"]
    callback.on_train_end(arguments, state(60), None, model=model)
    autorf.freeze(model)


def test_an_optimizer_without_our_group_is_refused_with_the_line_that_makes_one(tmp_path: Path) -> None:
    model, callback = adapted(), autorf.TransformersCallback()
    plain = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with pytest.raises(InputError, match=r"optimizers=\(torch.optim.AdamW\(autorf.parameter_groups\(model, lr\)\)"):
        callback.on_train_begin(Arguments(tmp_path), state(0), None, model=model, optimizer=plain)


def test_a_callback_added_after_the_training_began_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="added after the training began"):
        autorf.TransformersCallback().on_step_begin(Arguments(tmp_path), state(3), None, model=adapted())
    with pytest.raises(InputError, match="is not adapted"):
        autorf.TransformersCallback().on_train_begin(Arguments(tmp_path), state(0), None, model=nn.Conv2d(3, 3, 3))
