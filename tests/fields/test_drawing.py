"""The figure of an effective receptive field."""

import numpy as np
import pytest

from autorf.errors import InputError
from autorf.fields import EffectiveField, figure


def field(side: int, classes: int = 0, shape: tuple[int, int] = (40, 60)) -> EffectiveField:
    """An even gradient over a square of ``side`` pixels in the middle."""
    rows, columns = (abs(np.arange(length) - length // 2) <= side // 2 for length in shape)
    share = np.outer(rows, columns) / side**2
    sides = {0.2: 5, 0.3: 5, 0.5: 7, 0.99: side}
    areas = {energy: reach**2 / share.size for energy, reach in sides.items()}
    return EffectiveField(share, areas, sides, 3, tuple(field(side, shape=shape) for _ in range(classes)))


def test_every_class_has_a_map_and_its_squares_and_one_legend_serves_all() -> None:
    plot = figure(field(9, 2), ["road", "sky"], rf=(11, 13))
    assert [trace.type for trace in plot.data] == ["heatmap", "scatter", "scatter", "scatter"] * 3
    assert [trace.name for trace in plot.data if trace.showlegend] == [
        "half of the gradient",
        "99 % of the gradient",
        "receptive field",
    ]
    assert [note.text for note in plot.layout.annotations][1] == "road: half in 7 px, 99 % in 9 px"


def test_outlines_lie_around_the_central_pixel() -> None:
    half, most, theory = figure(field(9), rf=(11, 13)).data[1:]
    assert (min(half.x), max(half.x), min(half.y), max(half.y)) == (26.5, 33.5, 16.5, 23.5)
    assert (min(most.x), max(most.x)) == (25.5, 34.5)
    assert (min(theory.x), max(theory.x), min(theory.y), max(theory.y)) == (23.5, 36.5, 14.5, 25.5)


def test_a_field_larger_than_the_image_is_not_drawn() -> None:
    names = [trace.name for trace in figure(field(39), rf=(100, 100)).data[1:]]
    assert names == ["half of the gradient", "99 % of the gradient"]


def test_a_speck_is_enlarged_and_the_whole_image_is_never_exceeded() -> None:
    speck, whole = figure(field(9)), figure(field(39))
    assert (speck.layout.xaxis.range, speck.layout.yaxis.range) == ((23.25, 36.75), (26.75, 13.25))
    assert (whole.layout.xaxis.range, whole.layout.yaxis.range) == ((0.75, 59.25), (39.5, -0.5))


def test_names_must_fit_the_classes() -> None:
    with pytest.raises(InputError, match="names: 1 given for 2 classes"):
        figure(field(9, 2), ["road"])
