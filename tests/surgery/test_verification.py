"""What is not trained as it should be is said, once, by name."""

import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError, SearchWarning, TrainingWarning
from autorf.methods import Dilation, Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive
from autorf.methods.base import Method
from autorf.surgery import adapt, advance, describe, freeze, parameter_groups, save, verify
from autorf.surgery.optimizer_watch import watch

STEPS = 20
LEARNING: tuple[Method, ...] = (
    Inflation(start="2", end="2"),
    ScaleAdaptive(targets="2"),
    PixelAdaptive(targets="2"),
)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1)
    return nn.Sequential(*layers)


def adapted(method: Method) -> nn.Sequential:
    model = network()
    adapt(model, method)
    return model


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    image = torch.rand(2, 3, 12, 12)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(image), (image.mean(1) > 0.5).long()).backward()
    optimizer.step()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = STEPS, total: int = STEPS) -> list[str]:
    """Train, and return the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for done in range(steps):
            advance(model, done, total)
            step(model, optimizer)
        if steps == total:
            advance(model, total, total)
    return [str(warning.message) for warning in caught if issubclass(warning.category, TrainingWarning)]


@pytest.mark.parametrize("method", LEARNING)
def test_an_optimizer_made_before_adapt_is_said_once_and_by_name(method: Method) -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    adapt(model, method)
    (said,) = train(model, optimizer)
    own = next(name for name, _ in model.named_parameters() if name not in dict(network().named_parameters()))
    assert said.startswith(f"'{own}'")
    assert "in no optimizer, so never learned: make the optimizer after autorf.adapt" in said
    assert said in str(describe(model))
    assert said in verify(model, optimizer)
    assert train(model, optimizer) == []


@pytest.mark.parametrize("method", [*LEARNING, LearnedDilation(targets="2"), Inflation(start="2", end="2", hold=0.5)])
def test_a_training_as_it_should_be_is_not_commented_on(method: Method) -> None:
    model = adapted(method)
    optimizer = torch.optim.AdamW(parameter_groups(model, lr=0.01))
    assert verify(model, optimizer) == ()
    said = train(model, optimizer, 100, 100) if method.search_share == 0 else train(model, optimizer, 260, 260)
    assert said == []
    assert verify(model, optimizer) == ()
    assert describe(model).notes == ()


def test_weight_decay_and_another_rate_are_said() -> None:
    model = adapted(Inflation(start="2", end="2"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    said = train(model, optimizer)
    assert "'2.inflation.factor' is in an optimizer group with weight decay" in said[0]
    assert "'2.inflation.factor' is learned at a rate of 0.01 where the method asks for 0.03" in said[1]
    assert len(said) == 2
    assert verify(model, optimizer) == tuple(said)


def test_a_schedule_changes_no_rule() -> None:
    model = adapted(Inflation(start="2", end="2"))
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.01), lr=0.01)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1e-3)
    assert verify(model, optimizer) == ()


def test_two_optimizers_share_a_model() -> None:
    model = adapted(ScaleAdaptive(targets="2"))
    base, own = parameter_groups(model, lr=0.01)
    one, other = torch.optim.SGD(base["params"], lr=0.01), torch.optim.SGD(own["params"], lr=0.01)
    for done in range(STEPS):
        advance(model, done, STEPS)
        step(model, one)
        other.step()
    advance(model, STEPS, STEPS)
    assert "in no optimizer" in verify(network_of_its_own(), one)[0]
    assert verify(model, one) == ()


def network_of_its_own() -> nn.Module:
    return adapted(ScaleAdaptive(targets="2"))


def test_a_parameter_that_the_loss_does_not_reach_is_said_to_have_never_moved() -> None:
    model = adapted(Inflation(start="2", end="2"))
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.01), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model[0](torch.rand(1, 3, 8, 8)).sum().backward()
        optimizer.step()
    with pytest.warns(TrainingWarning, match=r"'2\.inflation\.factor' is without a gradient in any optimizer step"):
        advance(model, STEPS, STEPS)


def test_an_optimizer_of_another_kind_is_named_to_advance() -> None:
    class Foreign:
        def __init__(self, parameters: list[nn.Parameter]) -> None:
            self.param_groups: list[dict[str, Any]] = [{"params": parameters, "lr": 0.1}]

    model = network()
    foreign = Foreign(list(model.parameters()))
    adapt(model, ScaleAdaptive(targets="2"))
    with pytest.warns(TrainingWarning, match="'2.scale_weight', '2.scale_bias' are in no optimizer"):
        advance(model, 0, 10, optimizer=foreign)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advance(model, 1, 10, optimizer=foreign)
    with pytest.raises(InputError, match="advance: takes an optimizer with param_groups"):
        advance(model, 2, 10, optimizer=object())


def test_a_search_in_evaluation_mode_is_said_early_and_at_its_end() -> None:
    model = adapted(LearnedDilation(targets="2", search=0.9))
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.01), lr=0.01)
    model[2].eval()
    assert verify(model, optimizer) == (
        "the search of '2' hears nothing in evaluation mode: put its layers into training mode",
    )
    early, late = train(model, optimizer)
    assert early.startswith("the search of '2' hears nothing in evaluation mode")
    assert late.startswith("the search of '2' heard nothing, so its field is the one it began with")
    assert late in str(describe(model))


def test_a_short_search_is_said_everywhere() -> None:
    model = adapted(LearnedDilation(targets="2", search=0.5))
    (said,) = train(model, torch.optim.SGD(parameter_groups(model, lr=0.01), lr=0.01))
    assert said == "the search of '2' heard only 10 steps, fewer than 50: what it found may be chance"


def test_a_training_that_never_calls_advance_is_told_so_on_the_way_and_is_not_frozen() -> None:
    model = adapted(LearnedDilation(targets="2"))
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.01), lr=0.01)
    for _ in range(49):
        step(model, optimizer)
    with pytest.warns(SearchWarning, match=r"nothing was searched in '2': call autorf\.advance"):
        step(model, optimizer)
    assert "nothing searched yet" in str(describe(model))
    with pytest.raises(InputError, match="freeze: nothing was searched in '2'"):
        freeze(model)


@pytest.mark.parametrize("method", [LearnedDilation(targets="2"), Inflation(start="2", end="2", search=0.5)])
def test_a_search_that_was_cut_short_is_described_warned_of_and_refused(method: Method, tmp_path: Any) -> None:
    model = adapted(method)
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.01), lr=0.01)
    train(model, optimizer, 5, 100)
    assert "searching, " in str(describe(model))
    assert any("is not over" in sentence for sentence in verify(model, optimizer))
    with pytest.warns(SearchWarning, match=r"is not over, .* of it is done"):
        save(model, tmp_path)
    with pytest.raises(InputError, match=r"is not over.* or give unfinished=True"):
        freeze(model)
    assert freeze(model, unfinished=True).folded


def test_watching_keeps_neither_model_nor_optimizer_alive() -> None:
    model = adapted(ScaleAdaptive(targets="2"))
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.01), lr=0.01)
    train(model, optimizer, 2, STEPS)
    seen, model_left, optimizer_left = watch(model), weakref.ref(model), weakref.ref(optimizer)
    assert seen.steps == 2
    del model, optimizer
    gc.collect()
    assert model_left() is None
    assert optimizer_left() is None


def test_only_a_model_that_learns_can_be_verified() -> None:
    model = adapted(Dilation(targets="2", rate=2))
    with pytest.raises(InputError, match="verify: the model has no method that learns"):
        verify(model, torch.optim.SGD(model.parameters(), lr=0.1))


def test_the_public_names_are_the_same() -> None:
    assert autorf.verify is verify
    assert issubclass(autorf.SearchWarning, autorf.TrainingWarning)
