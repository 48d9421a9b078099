import numpy as np
import pytest

from autorf.comparison.field_line import FieldLine, SizeGrid, field_line

FIELDS = (19.0, 27.0, 35.0, 43.0, 59.0, 75.0)


def line(winners: dict[float, float], fields: tuple[float, ...] = FIELDS) -> FieldLine:
    """The line through these fields by size."""
    grids = [SizeGrid(size, fields, tuple(map(str, fields)), fields.index(field)) for size, field in winners.items()]
    return field_line("images", grids)


def test_the_ratio_is_least_squares_through_the_origin() -> None:
    sizes, fields = np.array([64, 96, 128]), np.array([27, 43, 59])
    answer = line(dict(zip(sizes.tolist(), fields.tolist(), strict=True)))
    assert answer.ratio == pytest.approx((sizes * fields).sum() / (sizes**2).sum())
    assert answer.low is not None
    assert answer.high is not None
    assert answer.low < answer.ratio < answer.high
    assert answer.fits
    assert all(winner.off is not None and winner.off < 1 for winner in answer.winners)
    assert "Fitted rnorm of 3 sizes: 0.45 (95 % interval" in answer.text
    assert "within one step of its grid" in answer.text


def test_winners_that_are_all_the_grids_largest_give_a_caution_and_no_rnorm() -> None:
    answer = line({48: 43, 64: 43, 80: 43}, FIELDS[:4])
    assert (answer.ratio, answer.low, answer.fits) == (None, None, None)
    assert "No rnorm fits yet" in answer.text
    assert "Caution: at 48, 64, 80 px the best field (43 px) is the largest of the grid" in answer.text
    assert "add larger dilations" in answer.text


def test_a_winner_at_an_end_is_left_out_of_the_fit_and_held_against_it() -> None:
    inside = line({64: 27, 96: 43})
    answer = line({64: 27, 96: 43, 128: 43}, (*FIELDS[:4], 51.0))
    with_end = line({64: 27, 96: 43, 256: 75})
    assert with_end.ratio == inside.ratio
    assert with_end.winners[-1].end == "largest"
    # The line lies beyond the grid's end, so that the end is no contradiction.
    assert with_end.winners[-1].off == 0
    assert with_end.fits
    assert "and is left out of the fit" in with_end.text
    assert answer.winners[-1].end is None


def test_an_end_that_the_line_contradicts_is_no_fit() -> None:
    answer = line({64: 27, 96: 43, 50: 75})
    assert answer.winners[0].end == "largest"
    assert not answer.fits
    assert "The fit is poor: the line misses 50 px by" in answer.text


def test_the_smallest_field_asks_for_a_smaller_one() -> None:
    answer = line({48: 19, 96: 43, 128: 59})
    assert answer.winners[0].end == "smallest"
    assert "model.upsample" in answer.text


def test_fields_that_do_not_grow_with_the_size_are_no_fit() -> None:
    answer = line({64: 43, 96: 43, 128: 43, 192: 43})
    assert answer.ratio is not None
    assert not answer.fits
    assert answer.low is not None
    assert answer.high is not None
    assert answer.high - answer.low > 0.2


def test_one_size_or_two_of_one_side_fit_nothing() -> None:
    assert line({64: 27}).ratio is None
    twice = [SizeGrid(64, FIELDS, tuple(map(str, FIELDS)), at) for at in (1, 2)]
    assert field_line("images", twice).ratio is None


@pytest.mark.parametrize("sizes", [(64, 96, 128), (64, 96), (48, 64, 96, 128)])
def test_the_interval_holds_the_true_ratio_as_often_as_it_says(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    fields = tuple(11.0 + 8 * rate for rate in range(1, 14))
    held = 0
    n_studies = 400
    for _ in range(n_studies):
        ratio = rng.uniform(0.5, 0.75)
        # Training chooses one field too large or too small now and then.
        true = [ratio * size + rng.normal(0, 4) for size in sizes]
        winners = {
            size: min(fields, key=lambda field, at=at: abs(field - at)) for size, at in zip(sizes, true, strict=True)
        }
        answer = line(winners, fields)
        assert answer.low is not None
        assert answer.high is not None
        held += answer.low <= ratio <= answer.high
    assert held / n_studies > 0.93
