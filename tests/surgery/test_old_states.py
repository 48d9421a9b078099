"""States as they were written before what a module remembers became one tensor of whole numbers."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from autorf.methods import Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive
from autorf.methods.base import Method
from autorf.methods.bookkeeping import Phase, encoded
from autorf.surgery import adapt, advance, learned_values, parameter_groups
from autorf.surgery.learning import in_present_format

RATES = (1, 2, 4)
DILATION = LearnedDilation(targets=("0",), rates=RATES)
PROFILE = torch.tensor([[3.0, 1.0], [-0.5, 0.25]], dtype=torch.float64)


def adapted(method: Method) -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1))
    adapt(model, method)
    return model


def old_state(method: Method, **own: Any) -> dict[str, torch.Tensor]:
    """A state of the model whose own entries are those of the first layout."""
    state = {name: value for name, value in adapted(method).state_dict().items() if name[2:] in ("weight", "bias")}
    return {**state, **{f"0.{name.replace('__', '.')}": torch.as_tensor(value) for name, value in own.items()}}


def dilation_state(sigma: float, rate: float, mu: float, progress: float) -> dict[str, torch.Tensor]:
    numbers = torch.tensor([sigma, rate, mu, progress], dtype=torch.float64)
    return old_state(DILATION, profile=PROFILE, window_state=numbers)


@pytest.mark.parametrize(
    ("numbers", "phase", "dilation"),
    [
        ((0.0, 1, math.log(2), 0.0), Phase.IDLE, 1.0),
        ((1.5, 1, math.log(3), 0.4), Phase.SEARCHING, 3.0),
        ((0.0, 4, math.log(4), 1.0), Phase.FIXED, 4.0),
    ],
)
def test_a_learned_dilation_goes_on_in_its_phase(
    numbers: tuple[float, float, float, float], phase: Phase, dilation: float
) -> None:
    model = adapted(DILATION)
    model.load_state_dict(dilation_state(*numbers), strict=True)
    record = model[0].record
    assert record.phase is phase
    assert learned_values(model) == {"dilation": pytest.approx(dilation)}
    assert torch.equal(model[0].profile[:2], PROFILE)
    assert not model[0].profile[2:].any()
    assert record.progress == numbers[3]


def test_a_searched_factor_goes_on_in_its_phase() -> None:
    method = Inflation(start="0", end="0", search=0.5)
    profile = torch.ones(2, 16, dtype=torch.float64)
    for sigma, progress, phase in ((1.0, 0.3, Phase.SEARCHING), (0.0, 1.2, Phase.FIXED)):
        numbers = torch.tensor([sigma, progress], dtype=torch.float64)
        own = {
            "inflation__profile": profile,
            "inflation__window_state": numbers,
            "inflation__factor": torch.tensor(1.5),
        }
        model = adapted(method)
        model.load_state_dict(old_state(method, **own), strict=True)
        assert model[0].inflation.record.phase is phase
        assert learned_values(model) == {"f": 1.5}


@pytest.mark.parametrize("method", [ScaleAdaptive(targets=("0",)), PixelAdaptive(targets=("0",), rates=RATES)])
@pytest.mark.parametrize("progress", [-1.0, 0.25])
def test_maps_keep_their_statistics_and_whether_training_had_begun(method: Method, progress: float) -> None:
    state = adapted(method).state_dict()
    del state["0.bookkeeping"]
    statistics = torch.arange(1.0, 1 + state["0.map_state"].numel())
    state["0.map_state"] = torch.cat([torch.tensor([progress]), statistics])
    model = adapted(method)
    model.load_state_dict(state, strict=True)
    assert model[0].idle == (progress < 0)
    assert model[0].record.progress == max(progress, 0.0)
    assert torch.equal(model[0].map_state, statistics)


def with_two_rows(model: nn.Sequential) -> dict[str, torch.Tensor]:
    """The model's state as it was before a profile kept the squares of what was measured."""
    module, state = model[0], model.state_dict()
    record = module.record
    narrow = replace(record, profile=record.profile[: len(record.profile) // 2])
    return {**state, "0.bookkeeping": torch.tensor(encoded(narrow, module.method.rates))}


def test_a_search_whose_profile_kept_no_squares_goes_on() -> None:
    source, model = adapted(DILATION), adapted(DILATION)
    for step in range(6):
        advance(source, step, 50)
        source(torch.rand(4, 3, 12, 12)).square().mean().backward()
    state = with_two_rows(source)
    assert len(state["0.bookkeeping"]) < len(source.state_dict()["0.bookkeeping"])
    model.load_state_dict(state, strict=True)
    assert torch.equal(model[0].profile[:2], source[0].profile[:2])
    assert model[0].record.centre == source[0].record.centre
    assert model[0].record.whole
    advance(model, 6, 50)
    assert model[0].losses() == pytest.approx(source[0].losses(), nan_ok=True)
    assert len(model[0].alike()) == 1


def test_an_average_of_such_states_stays_one() -> None:
    source, model = adapted(DILATION), adapted(DILATION)
    advance(source, 5, 50)
    state = with_two_rows(source)
    state["0.bookkeeping"][-1] += 1
    model.load_state_dict(state, strict=True)
    assert not model[0].record.whole
    assert model[0].record.phase is Phase.SEARCHING


@pytest.mark.parametrize("method", [DILATION, Inflation(start="0", end="0"), ScaleAdaptive(targets=("0",))])
def test_a_state_without_milestones_loads(method: Method) -> None:
    source, model = adapted(method), adapted(method)
    advance(source, 10, 10)
    state = {name: value for name, value in source.state_dict().items() if not name.endswith(".milestones")}
    assert len(state) < len(source.state_dict())
    model.load_state_dict(state, strict=True)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_factor_without_axes_loads_and_so_does_its_optimizers_state() -> None:
    method = Inflation(start="0", end="0")
    model = adapted(method)
    model.load_state_dict(old_state(method, inflation__factor=1.25), strict=True)
    assert learned_values(model) == {"f": 1.25}
    optimizer = torch.optim.AdamW(parameter_groups(model, lr=0.1))
    advance(model, 0, 10)
    model(torch.rand(1, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    stored = optimizer.state_dict()
    (last,) = [state for state in stored["state"].values() if state["exp_avg"].shape == (1,)]
    last.update(exp_avg=last["exp_avg"][0], exp_avg_sq=last["exp_avg_sq"][0])
    optimizer.load_state_dict(stored)
    before = learned_values(model)
    optimizer.step()
    assert learned_values(model) != before


def test_a_saved_folders_weights_are_brought_to_the_present_names() -> None:
    model = adapted(DILATION)
    state = in_present_format(model, dilation_state(0.0, 4, math.log(4), 1.0))
    assert set(state) == set(model.state_dict())


def test_a_checkpoint_of_the_model_before_it_was_adapted_still_loads() -> None:
    for method in (DILATION, Inflation(start="0", end="0", search=0.2), ScaleAdaptive(targets=("0",))):
        adapted(method).load_state_dict(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)).state_dict(), strict=True)
