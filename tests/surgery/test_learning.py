"""What a training loop needs of an adapted model."""

import pytest
import torch

from autorf.errors import InputError
from autorf.methods import Inflation, LearnedDilation
from autorf.surgery import adapt, advance, learned_values, parameter_groups
from autorf.surgery.swap import region_at


def test_learned_parameters_have_groups_of_their_own_without_decay(branching):
    adapt(
        branching,
        LearnedDilation(targets=("first", "third"), learning_rate=0.07),
        Inflation(start="second", end="second", learning_rate_multiplier=5),
    )
    groups = parameter_groups(branching, lr=0.01, weight_decay=0.3)
    described = [(len(g["params"]), g["lr"], g["weight_decay"], g["scheduled"]) for g in groups]
    assert described[0] == (len(list(branching.parameters())) - 3, 0.01, 0.3, True)
    assert sorted(described[1:]) == [(1, 0.05, 0.0, True), (1, 0.07, 0.0, False), (1, 0.07, 0.0, False)]
    torch.optim.AdamW(groups)


def test_a_shared_parameter_is_in_one_group_only(branching):
    adapt(branching, LearnedDilation(targets=("first", "third"), shared=True))
    assert [len(group["params"]) for group in parameter_groups(branching, lr=0.1)][1:] == [1]


def test_parameters_that_do_not_train_are_in_no_group(branching):
    branching.stem.requires_grad_(False)
    listed = {id(p) for group in parameter_groups(branching, lr=0.1) for p in group["params"]}
    assert listed == {id(p) for p in branching.parameters() if p.requires_grad}


@pytest.mark.parametrize(("lr", "weight_decay"), [(0, 0.1), (-1, 0.1), (float("nan"), 0.1), (0.1, -1)])
def test_a_rate_out_of_range_is_refused(branching, lr, weight_decay):
    with pytest.raises(InputError, match="lr must be > 0 and weight_decay >= 0"):
        parameter_groups(branching, lr, weight_decay=weight_decay)


@pytest.mark.parametrize(("step", "total"), [(-1, 10), (11, 10), (0, 0)])
def test_a_step_out_of_range_is_refused(branching, step, total):
    with pytest.raises(InputError, match=f"got step {step} of {total}"):
        advance(branching, step, total)


def test_learned_values_are_means_over_layers(branching):
    adapt(branching, LearnedDilation(targets=("first", "third")), Inflation(start="second", end="second"))
    advance(branching, 1, 100)
    with torch.no_grad():
        branching.first.mu.fill_(0.0)
        branching.third.mu.fill_(torch.tensor(3.0).log())
        region_at(branching.second).factor.fill_(1.5)
    assert learned_values(branching) == {"dilation": pytest.approx(2.0), "f": 1.5}
