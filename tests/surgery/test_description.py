"""What was changed, as a table."""

import torch

from autorf.methods import Dilation, Inflation, LearnedDilation
from autorf.surgery import adapt, advance, describe, freeze
from autorf.surgery.swap import region_at


def test_a_model_that_was_not_adapted_says_so(branching):
    assert str(describe(branching)) == "nothing was changed"


def test_every_layer_and_region_has_a_line_with_its_value_and_the_options_that_were_set(branching):
    adapt(
        branching,
        Dilation(targets=("first",), rate=2),
        LearnedDilation(targets=("third",), start=3.0, search=0.4),
        Inflation(start="second", end="second", high=2.0),
    )
    with torch.no_grad():
        region_at(branching.second).factor.fill_(1.25)
    assert str(describe(branching)).splitlines() == [
        "first             dilation          dilation 2  (rate=2)",
        "third             learned_dilation  dilation 1  (start=3.0, search=0.4)  nothing searched yet",
        "second to second  inflation         f 1.25  (high=2.0)",
    ]


def test_frozen_values_stay_visible(branching):
    adapt(branching, Inflation(start="second", end="second", factor=1.5), LearnedDilation(targets=("third",)))
    advance(branching, 1, 1)
    freeze(branching)
    changes = describe(branching).changes
    assert [(change.values, change.frozen) for change in changes] == [({"f": 1.5}, True), ({"dilation": 1.0}, True)]
