import copy
import math

import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import Inflation, inflation_search
from autorf.methods.inflation_search import SearchedInflationRegion
from autorf.specification import parse
from autorf.surgery import adapt, advance, freeze, learned_values, parameter_groups, search_states


def adapted(**fields: object) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False))
    adapt(model, Inflation(start="0", end="0", **{"search": 0.3, **fields}))  # type: ignore[arg-type]
    return model


def region_of(model: nn.Module) -> SearchedInflationRegion:
    region = model.get_submodule("0.inflation")
    assert isinstance(region, SearchedInflationRegion)
    return region


def smooth(n_images: int) -> torch.Tensor:
    return nn.functional.avg_pool2d(torch.randn(n_images, 1, 26, 26), 3, 1)


def target(model: nn.Module, image: torch.Tensor, factor: float) -> torch.Tensor:
    """What the model gives in evaluation mode with ``f`` set to ``factor``."""
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        twin.get_submodule("0.inflation").factor.fill_(factor)  # type: ignore[operator, union-attr]
        output: torch.Tensor = twin(image)
    return output


def inner(map: torch.Tensor) -> torch.Tensor:
    """Without the border, where the loss jumps as the resized map gains a row; a gradient sees no jumps."""
    return map[..., 4:-4, 4:-4]


def test_before_the_first_step_the_output_is_the_same_to_the_last_bit() -> None:
    model = adapted()
    image = smooth(2)
    assert torch.equal(model(image), nn.functional.conv2d(image, model[0].weight, padding=1))  # type: ignore[arg-type]


def test_the_profile_is_the_loss_of_every_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WINDOW", 30.0), ("FINAL_WINDOW", 30.0), ("MEMORY", 1e6), ("HOLD", 0.99)):
        monkeypatch.setattr(inflation_search, name, value)
    model = adapted(low=0.5, high=2.0, search=0.9)
    image = smooth(4)
    wanted = target(model, image, 1.6)
    for step in range(500):
        advance(model, step, 600)
        inner(model(image) - wanted).square().mean().backward()
    advance(model, 500, 600)
    (state,) = search_states(model)
    assert state is not None
    model.eval()
    region, real = region_of(model), []
    for factor in state.rates:
        region.factor.data.fill_(factor)
        real.append(inner(model(image) - wanted).square().mean().item())
    assert state.losses == pytest.approx([loss - real[0] for loss in real], abs=0.1 * max(real))
    assert sum(state.window) == pytest.approx(1)


@pytest.mark.parametrize("start", [0.25, 4.0])
@pytest.mark.parametrize("axes", [False, True])
def test_it_finds_the_factor_of_a_teacher_where_the_gradient_alone_stays_at_its_start(start: float, axes: bool) -> None:
    found = {}
    for search in (0.0, 0.5):
        model = adapted(factor=start, search=search, per_axis=axes)
        teacher = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(parameter_groups(model, lr=1e-3, weight_decay=0.0))
        for step in range(120):
            advance(model, step, 120)
            image = smooth(4)
            loss = inner(model(image) - target(teacher, image, 1.5)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found[search] = learned_values(model)["f"]
    assert abs(math.log(found[0.0] / start)) < 0.5
    assert found[0.5] == pytest.approx(1.5, rel=0.2)


def test_evaluation_sees_the_centre_while_batches_differ() -> None:
    model = adapted(factor=2.0)
    advance(model, 0, 100)
    image = smooth(1)
    assert not torch.equal(model(image), model(image))
    assert learned_values(model)["f"] == 2.0
    evaluated = model.eval()(image)
    assert torch.equal(evaluated, target(model, image, 2.0))
    assert torch.equal(copy.deepcopy(model)(image), model(image))
    freeze(model, unfinished=True)
    assert torch.allclose(model(image), evaluated, atol=1e-5)


def test_the_window_narrows_and_closes() -> None:
    model = adapted()
    widths = []
    for step in (0, 15, 29, 30):
        advance(model, step, 100)
        widths.append(region_of(model).sigma)
    assert widths[0] == inflation_search.WINDOW
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0
    assert search_states(model) == []
    drawn = model(smooth(1))
    drawn.sum().backward()
    assert region_of(model).factor.grad is not None


def test_no_factor_is_drawn_that_the_memory_does_not_hold() -> None:
    model = adapted()
    advance(model, 0, 100)
    region = region_of(model)
    region._limit(8.0)
    assert max(region._factor().item() for _ in range(50)) > 2
    with pytest.warns(RuntimeWarning, match=r"f is limited to 1\.20"):
        region._limit(1.2)
    region._limit(2.0)
    assert all(region._factor().item() <= 1.2 + 1e-6 for _ in range(50))


@pytest.mark.parametrize("step", [5, 20, 60])
def test_a_state_dict_restores_either_phase_and_what_was_just_heard(step: int) -> None:
    model, other = adapted(), adapted(factor=3.0)
    for done in range(step + 1):
        advance(model, done, 100)
        model(smooth(2)).square().mean().backward()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    for one in (model, other):
        advance(one, step + 1, 100)
    assert torch.equal(region_of(model).profile, region_of(other).profile)
    assert region_of(model).sigma == region_of(other).sigma
    assert learned_values(model) == learned_values(other)


def test_a_loss_that_is_no_number_teaches_nothing() -> None:
    model = adapted()
    advance(model, 0, 100)
    (model(smooth(1)).sum() * math.nan).backward()
    advance(model, 1, 100)
    (state,) = search_states(model)
    assert state is not None
    assert all(math.isnan(loss) for loss in state.losses)


def test_a_study_trains_it_longer_only_where_it_searches() -> None:
    assert [Inflation(search=search, extra=0.25).steps(80) for search in (0.0, 0.2)] == [80, 100]


def test_hold_and_search_exclude_each_other() -> None:
    with pytest.raises(InputError, match="give one of the two"):
        parse(Inflation, {"method": "inflation", "search": 0.2, "hold": 0.1}, "here")
