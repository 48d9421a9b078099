"""What a training loop needs of an adapted model."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from autorf.errors import InputError
from autorf.methods import Inflation, LearnedDilation
from autorf.surgery import adapt, advance, learned_values, parameter_groups
from autorf.surgery.swap import region_at


def test_learned_parameters_have_groups_of_their_own_without_decay(branching):
    adapt(
        branching,
        LearnedDilation(targets=("first",)),
        Inflation(start="second", end="second", learning_rate_multiplier=5),
    )
    groups = parameter_groups(branching, lr=0.01, weight_decay=0.3)
    described = [(len(g["params"]), g["lr"], g["weight_decay"], g["scheduled"]) for g in groups]
    assert described == [(len(list(branching.parameters())) - 1, 0.01, 0.3, True), (1, 0.05, 0.0, True)]
    torch.optim.AdamW(groups)


def test_parameters_that_do_not_train_are_in_no_group(branching):
    branching.stem.requires_grad_(False)
    listed = {id(p) for group in parameter_groups(branching, lr=0.1) for p in group["params"]}
    assert listed == {id(p) for p in branching.parameters() if p.requires_grad}


@pytest.mark.parametrize(("lr", "weight_decay"), [(0, 0.1), (-1, 0.1), (float("nan"), 0.1), (0.1, -1)])
def test_a_rate_out_of_range_is_refused(branching, lr, weight_decay):
    with pytest.raises(InputError, match=r"lr must be positive|weight_decay must be at least 0"):
        parameter_groups(branching, lr, weight_decay=weight_decay)


@pytest.mark.parametrize(("step", "total"), [(-1, 10), (11, 10), (0, 0)])
def test_a_step_out_of_range_is_refused(branching, step, total):
    with pytest.raises(InputError, match=f"got step {step} of {total}"):
        advance(branching, step, total)


def test_learned_values_are_means_over_layers(branching):
    adapt(branching, LearnedDilation(targets=("first", "third"), shared=False), Inflation(start="second", end="second"))
    advance(branching, 1, 100)
    branching.first.mu, branching.third.mu = 0.0, math.log(3.0)
    with torch.no_grad():
        region_at(branching.second).factor.fill_(1.5)
    assert learned_values(branching) == {
        "dilation": pytest.approx(2.0), "dilation.1": 1.0, "dilation.2": pytest.approx(3.0), "f": 1.5
    }  # fmt: skip


def test_layers_that_learn_apart_are_listed_and_those_that_share_are_not(branching):
    options = {"targets": ("first", "second"), "rates": (1, 2, 4)}
    apart = adapt(copy.deepcopy(branching), LearnedDilation(**options, shared=False))
    apart.second.record = replace(apart.second.record, begun=True, ended=True, value=4)
    assert learned_values(apart) == {"dilation": 2.5, "dilation.1": 1.0, "dilation.2": 4.0}
    assert learned_values(adapt(branching, LearnedDilation(**options))) == {"dilation": 1.0}
