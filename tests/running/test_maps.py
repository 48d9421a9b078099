from typing import Any

import pytest
from torch import nn

from autorf.methods import LearnedDilation
from autorf.running.maps import several_layers
from autorf.surgery import adapt

NAMES = ("0", "1", "2")


def said(sizes: dict[str, tuple[int, int]], **fields: Any) -> str | None:
    model = nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=1) for _ in NAMES))
    return several_layers(adapt(model, LearnedDilation(targets=NAMES, rates=(1, 2, 4), **fields)), sizes)


ALIKE = dict.fromkeys(NAMES, (32, 40))


@pytest.mark.parametrize("shared", [True, "same_option"])
def test_one_dilation_on_maps_of_different_strides_is_said(shared: Any) -> None:
    assert said(ALIKE, shared=shared) is None
    told = said({**ALIKE, "2": (16, 20)}, shared=shared)
    assert told is not None
    assert "layers '0' and '2' read maps of 32x40 and 16x20: one dilation is another field in each" in told


@pytest.mark.parametrize("shared", [False, "then_each", "then_neighbours", "one_at_a_time"])
def test_own_dilations_whose_total_field_exceeds_the_map_are_said(shared: Any) -> None:
    # Three layers of dilation 4 see 1 + 3 * 2 * 4 = 25 px.
    assert said(dict.fromkeys(NAMES, (25, 40)), shared=shared) is None
    told = said(dict.fromkeys(NAMES, (24, 40)), shared=shared)
    assert told is not None
    assert "together they see up to 25 px of a map of 24" in told
    assert said({**ALIKE, "2": (26, 30)}, shared=shared) is None


def test_one_layer_shares_with_nobody() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1))
    adapt(model, LearnedDilation(targets=("0",), rates=(1, 2, 4)))
    assert several_layers(model, {"0": (3, 3)}) is None
