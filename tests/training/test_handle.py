"""The handle of a loop of one's own: the trajectory of advance and parameter_groups, in two lines, and resumable."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.methods.base import Method

STEPS = 60
METHODS: tuple[Method, ...] = (
    autorf.LearnedDilation(targets="1", search=0.5),
    autorf.Inflation(start="1", end="1", search=0.3),
    autorf.ScaleAdaptive(targets="1"),
)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, at: int) -> None:
    torch.manual_seed(at)
    images = torch.rand(2, 3, 12, 12)
    loss = nn.functional.cross_entropy(model(images), (images.mean(1) > 0.5).long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def attached(method: Method) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return model, optimizer, autorf.attach(model, optimizer, method, STEPS)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
def test_it_is_the_training_by_advance_and_parameter_groups(method: Method) -> None:
    model, optimizer, handle = attached(method)
    other = autorf.adapt(net(), method)
    by_hand = torch.optim.AdamW(autorf.parameter_groups(other, lr=1e-2))
    for at in range(STEPS):
        step(model, optimizer, at)
        handle.step()
        autorf.advance(other, at, STEPS)
        step(other, by_hand, at)
    autorf.advance(other, STEPS, STEPS)
    for name, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert handle.values() == autorf.learned_values(other)


@pytest.mark.parametrize("killed_after", [10, 45])
def test_it_goes_on_in_either_phase_as_if_nothing_had_been(killed_after: int) -> None:
    model, optimizer, handle = attached(METHODS[0])
    for at in range(killed_after):
        step(model, optimizer, at)
        handle.step()
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), handle.state_dict()))
    resumed = attached(METHODS[0])
    for part, state in zip(resumed, saved, strict=True):
        part.load_state_dict(state)
    for at in range(killed_after, STEPS):
        for own, optimizer_of, handle_of in ((model, optimizer, handle), resumed):
            step(own, optimizer_of, at)
            handle_of.step()
    for name, value in model.state_dict().items():
        assert torch.equal(resumed[0].state_dict()[name], value), name
    handle.finish(torch.rand(1, 3, 12, 12))
    assert type(model[1]) is nn.Conv2d  # type: ignore[index]


@pytest.mark.parametrize("made", ["before", "after", "by parameter_groups"])
def test_whenever_the_optimizer_was_made_the_method_has_its_own_group(made: str) -> None:
    model, method = net(), autorf.Inflation(start="1", end="1")
    if made != "before":
        autorf.adapt(model, method)
    parameters = autorf.parameter_groups(model, lr=0.1) if made.startswith("by") else model.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=0.1)  # type: ignore[arg-type]
    autorf.attach(model, optimizer, method, STEPS)
    assert autorf.verify(model, optimizer) == ()
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_what_is_attached_too_late_or_to_something_else_is_refused_with_the_line_that_mends_it() -> None:
    other, model = net(), net()
    with pytest.raises(InputError, match=r"none of the model's parameters; make it of them: torch.optim.AdamW"):
        autorf.attach(model, torch.optim.SGD(other.parameters(), lr=0.1), METHODS[0], STEPS)
    scheduled = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.StepLR(scheduled, 1)
    with pytest.raises(InputError, match="make the scheduler after attach"):
        autorf.attach(model, scheduled, METHODS[0], STEPS)
    begun = torch.optim.AdamW(model.parameters(), lr=0.1)
    step(model, begun, 0)
    with pytest.raises(InputError, match="attach before the first one"):
        autorf.attach(model, begun, METHODS[0], STEPS)
    with pytest.raises(InputError, match="no method was given"):
        autorf.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), None, STEPS)
    assert autorf.adaptations(model) == ()


def test_a_handle_says_when_it_is_asked_for_what_cannot_be() -> None:
    _, _, handle = attached(METHODS[0])
    with pytest.raises(InputError, match="0 of 60 steps are done"):
        handle.finish()
    with pytest.raises(InputError, match="another length: total_steps 30, here 60"):
        handle.load_state_dict({**handle.state_dict(), "total_steps": 30})
    with pytest.raises(InputError, match="other methods or targets"):
        handle.load_state_dict({**handle.state_dict(), "methods": []})
    with pytest.raises(InputError, match="takes what"):
        handle.load_state_dict({"step": 1})
    for _ in range(STEPS):
        handle.step()
    with pytest.raises(InputError, match="the training has 60 steps, which are done"):
        handle.step()
