import json
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison import StudyResults, compare_studies
from autorf.comparison.rnorm import SUFFICIENT, best_line
from autorf.errors import InputError
from autorf.store.store import Record
from autorf.study.trial import trial_from
from tests.comparison.builder import leave_evidence, record, spec
from tests.reports import with_result

SIZES = (64, 96, 128)
RATES = (1, 2, 3, 4, 6, 8)
BEST = {64: 2, 96: 4, 128: 6}
"""The best rate of each size: fields of 27, 43 and 59 px."""
DATA = {"score_at": "mask", "canvas": [128, 128], "object_size": [40]}


def trial(size: int, rate: int, seed: int = 0, loss: float = 0.05, **settings: Any) -> Record:
    """A trial that is worse by ``loss`` for each rate of the grid that lies between it and the best one of its size."""
    away = abs(RATES.index(rate) - RATES.index(BEST[size]))
    own = {"data.image_size": [size, size]} if size != 96 else {}
    at = record("dilation", 0.8 - loss * away + 0.001 * seed, seed, rate=rate, **{**own, **settings})
    rf = 11.0 + 8 * rate
    return with_result(at, rf=[rf, rf], rnorm=rf / size)


def study(records: list[Record], name: str = "sizes", folder: Path | None = None, **data: Any) -> StudyResults:
    return StudyResults(name, tuple(records), tuple(records), spec(data={**DATA, **data}), folder)


def whole(seeds: int = 1, **settings: Any) -> list[Record]:
    return [trial(size, rate, seed, **settings) for seed in range(seeds) for size in SIZES for rate in RATES]


def test_the_best_fields_of_a_studys_sizes_lie_on_one_line() -> None:
    (map,) = compare_studies([study(whole())]).rnorm
    assert map.sizes == SIZES
    assert map.fields == (19, 27, 35, 43, 59, 75)
    assert [map.fields[at] for at in map.best] == [27, 43, 59]
    assert map.line.winner == "best"
    assert map.ratio == pytest.approx((64 * 27 + 96 * 43 + 128 * 59) / (64**2 + 96**2 + 128**2))
    assert map.line.fits


def test_with_seeds_enough_the_line_joins_the_smallest_sufficient_fields() -> None:
    # The next larger field is the best by less than the margin, so the smaller one suffices.
    records = [
        with_result(at, miou=0.805 + 0.001 * seed)
        if at.configuration["rate"] == RATES[RATES.index(BEST[size]) + 1]
        else at
        for size in SIZES
        for rate in RATES
        for seed in range(3)
        for at in [trial(size, rate, seed)]
    ]
    (map,) = compare_studies([study(records)]).rnorm
    assert [map.fields[at] for at in map.best] == [35, 59, 75]
    assert map.line.winner == SUFFICIENT
    assert [winner.field for winner in map.line.winners] == [27, 43, 59]


def test_a_field_in_pixels_is_recommended_at_one_size() -> None:
    comparison = compare_studies([study(whole(seeds=3))])
    answer = comparison.recommendation
    assert answer is not None
    assert answer.smallest_sufficient is not None
    assert answer.text.startswith("At 64 x 64 px, the best image size: Use a field of 27 px")
    assert answer.smallest_sufficient["rf"] == [27, 27]


def test_objects_are_measured_in_pixels_of_the_images_that_are_compared() -> None:
    (rule,) = [named for named in compare_studies([study(whole())]).named if named.object_size]
    # 40 px of a canvas of 128 are 20 px in images of 64.
    assert rule.object_size == 20
    assert rule.group is not None
    assert rule.group.rf == [19, 19]


def test_halves_and_networks_have_lines_of_their_own() -> None:
    records = [*whole(**{"data.half": "a"}), *whole(**{"data.half": "b"})]
    comparison = compare_studies([study(records)])
    assert [map.name for map in comparison.rnorm] == ["half a", "half b"]
    assert best_line(comparison.rnorm, 1) == comparison.rnorm[0].line


def test_the_json_has_every_line_and_a_row_its_image_size() -> None:
    values = json.loads(compare_studies([study(whole())]).to_json())
    assert values["rnorm"][0]["line"]["winners"][0]["rnorm"] == pytest.approx(27 / 64)
    assert [values["rows"][at]["image_size"] for at in (0, 6)] == [[64, 64], [96, 96]]


def test_one_size_has_no_line() -> None:
    assert compare_studies([study([trial(96, rate) for rate in RATES])]).rnorm == ()


def test_intervals_over_images_hold_across_sizes(tmp_path: Path) -> None:
    records = whole()
    for at in records:
        # Masks are the same in every trial; the share that is right is not.
        leave_evidence(tmp_path, at, [0.2 + 0.5 * (at.result.metrics["miou"] if at.result else 0)] * 3 + [0.1, 0.9])
    comparison = compare_studies([study(records, folder=tmp_path)])
    assert all(group.ci95_images is not None for group in comparison.groups)
    assert {tuple(group.image_size or ()) for group in comparison.groups} == {(64, 64), (96, 96), (128, 128)}


def test_two_scales_are_never_compared() -> None:
    ours, theirs = study(whole(), "a"), study(whole(), "b", score_at="training")
    with pytest.raises(InputError, match=r"data\.score_at \(mask against training\).*are of two scales"):
        compare_studies([ours, theirs])


def test_studies_of_other_image_sizes_are_compared_where_both_score_at_the_masks() -> None:
    grids = [study([trial(96, rate) for rate in RATES], str(size), image_size=[size, size]) for size in (64, 96)]
    assert compare_studies(grids).between
    plain = [study([trial(96, rate) for rate in RATES], str(s), image_size=[s, s], score_at="training") for s in SIZES]
    with pytest.raises(InputError, match=r"data\.score_at: mask makes image sizes comparable"):
        compare_studies(plain)


def test_digits_drawn_at_the_image_size_are_other_images() -> None:
    grids = [
        study([trial(96, rate) for rate in RATES], str(size), image_size=[size, size], canvas=None) for size in (64, 96)
    ]
    with pytest.raises(InputError, match="their validation images differ"):
        compare_studies(grids)


def test_a_line_names_its_trials_by_what_they_have_in_common() -> None:
    assert trial_from({"method": "dilation", "rate": 2, "data.image_size": [64, 64]}, 0).key == trial(64, 2).key


def test_images_of_one_shorter_side_and_other_longer_ones_keep_rows_of_their_own() -> None:
    records = [*whole(), *(trial(64, rate, **{"data.image_size": [64, 80]}) for rate in RATES)]
    (map,) = compare_studies([study(records)]).rnorm
    assert map.sizes == (64, 64, 96, 128)
    assert len(map.line.winners) == 4
