from typing import Any

import pytest

from autorf.errors import InputError
from autorf.study.scale import check_scale, scored
from autorf.study.search_space import read_spaces
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import grid, spec_of
from tests.tiny import TINY

DATA = {**TINY["data"], "canvas": 96}


def study(sizes: Any, data: dict[str, Any] = DATA, **space: Any) -> StudySpec:
    axis = {} if sizes is None else {"data.image_size": sizes}
    return parse_study(
        {**TINY, "data": data, "search_space": [{"method": "dilation", "rate": 1, **axis, **space}]}, "f"
    )


def checked(spec: StudySpec) -> StudySpec:
    spec = scored(spec, "f")
    check_scale(spec, read_spaces(spec.search_space, "f", spec), "f")
    return spec


def test_an_axis_over_image_sizes_is_scored_at_the_masks_and_a_study_without_as_before() -> None:
    assert checked(study([32, 48, 64])).data.score_at == "mask"
    assert checked(study(None)).data.score_at == "training"
    assert checked(study(None, {**DATA, "score_at": "mask"})).data.score_at == "mask"


def test_trials_of_other_sizes_differ_in_a_setting_and_see_images_of_their_own() -> None:
    spec = checked(study([32, 48, [64, 32]]))
    trials = grid(spec, "f")
    assert [trial.settings for trial in trials] == [
        (("data.image_size", (32, 32)),),
        (),
        (("data.image_size", (64, 32)),),
    ]
    assert [spec_of(spec, trial).data.image_size for trial in trials] == [(32, 32), (48, 48), (64, 32)]
    assert len({trial.network for trial in trials}) == 3


def test_the_key_of_a_trial_at_the_studys_own_size_is_the_one_it_had() -> None:
    assert grid(study([32, 48, 64]), "f")[1].key == grid(study(None), "f")[0].key


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([32, 48, 64], [(32, 32), (48, 48), (64, 64)]),
        ([[32, 48]], [(32, 48)]),
        (64, [(64, 64)]),
        ({"low": 32, "high": 64, "step": 16}, [(32, 32), (48, 48), (64, 64)]),
    ],
)
def test_sizes_are_squares_or_pairs(sizes: Any, expected: list[tuple[int, int]]) -> None:
    spec = study(sizes)
    assert [spec_of(spec, trial).data.image_size for trial in grid(spec, "f")] == expected


@pytest.mark.parametrize(
    ("sizes", "data", "said"),
    [
        ([32, 64], DATA, r"\[32, 64\] may be one size or two; write \[\[32, 64\]\] for one"),
        ([32, 0, 64], DATA, "image_size.0: must be greater than or equal to 1, got 0"),
        ([[32, -4]], DATA, "image_size.1: must be greater than or equal to 1, got -4"),
        ([32, 48, 64], TINY["data"], r"digits are drawn at image_size.*give data.canvas"),
        ([32, 48, 64], {**DATA, "score_at": "training"}, "of different scales; set data.score_at: mask"),
        (
            [32, 48, 64],
            {"name": "folder", "root": ".", "classes": 2, "image_size": 32, "fit": "crop"},
            "cuts another part for every size; set data.fit: resize",
        ),
        ([], DATA, "the grid is empty"),
    ],
)
def test_sizes_that_cannot_be_compared_are_refused_in_one_line(sizes: Any, data: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        checked(study(sizes, data))
    assert "\n" not in str(caught.value)


def test_the_scale_itself_is_no_axis() -> None:
    with pytest.raises(InputError, match=r"data\.score_at: cannot be searched: two scales are never compared"):
        grid(study(None, **{"data.score_at": ["mask", "training"]}), "f")


def test_halves_of_the_data_are_an_axis() -> None:
    spec = study(None, **{"data.half": ["a", "b"]})
    assert [spec_of(spec, trial).data.half for trial in grid(spec, "f")] == ["a", "b"]
