from pathlib import Path

import pytest

from autorf.comparison import Comparison, StudyResults, compare_studies
from autorf.store.store import Record
from tests.comparison.builder import leave_evidence, record, spec


@pytest.fixture
def trials(tmp_path: Path) -> list[Record]:
    shares = {0: [0.1, 0.2, 0.3, 0.4], 1: [0.2, 0.2, 0.3, 0.5]}
    manual = [record("dilation", 0.5 + seed / 100, seed, rate=rate) for seed in (0, 1) for rate in (1, 3)]
    learned = [record("scale_adaptive", 0.6, seed) for seed in (0, 1)]
    for one in [*manual, *learned]:
        gain = 0.2 if one in learned else 0.0
        leave_evidence(tmp_path, one, [share + gain for share in shares[one.seed]])
    return [*manual, *learned]


def compared(trials: list[Record], folder: Path, **parts: dict[str, object]) -> Comparison:
    return compare_studies([StudyResults("s", tuple(trials), tuple(trials), spec(**parts), folder)])


def test_classes_show_the_mean_over_seeds_and_the_paired_difference(trials: list[Record], tmp_path: Path) -> None:
    rows = compared(trials, tmp_path).classes
    assert [row.name for row in rows] == ["background", "a", "b"]
    assert rows[1].iou["best manual"] == pytest.approx(0.505)
    assert rows[1].difference == pytest.approx(0.6 - 0.505)
    assert rows[1].difference_ci95 == pytest.approx(12.7062 * 0.005, rel=1e-4)
    assert rows[2].iou["best manual"] is None
    assert rows[2].difference is None


def test_objects_are_shown_by_size_without_the_background(trials: list[Record], tmp_path: Path) -> None:
    small, large = compared(trials, tmp_path).sizes  # sides of 10, 14.1 and 17.3, 20 pixels
    assert (small.low, small.high, small.objects, small.pixels) == (8, 16, 2, 300)
    assert (large.low, large.high, large.objects, large.pixels) == (16, 32, 2, 700)
    assert small.share["best learned"] == pytest.approx(((30 + 80) / 300 + (40 + 80) / 300) / 2)
    assert small.difference == pytest.approx(0.2)
    assert small.classes == {"a": small.share}


def test_learned_scales_are_correlated_with_the_sizes_of_objects(trials: list[Record], tmp_path: Path) -> None:
    (row,) = compared(trials, tmp_path).scales
    assert (row.method, row.map, row.correlation, row.objects) == ("scale_adaptive", "scale", pytest.approx(1), 4)


def test_learned_scales_are_averaged_over_the_pixels_of_each_size_and_class(
    trials: list[Record], tmp_path: Path
) -> None:
    (row,) = compared(trials, tmp_path).scales  # scales 1 to 4 over 100, 200, 300 and 400 pixels
    small, large = row.sizes
    assert (small.low, small.high, small.mean) == (8, 16, pytest.approx(500 / 300))
    assert (large.low, large.high, large.mean) == (16, 32, pytest.approx(2500 / 700))
    assert row.classes == {"a": pytest.approx(3.0)}


def test_trials_without_evidence_have_classes_but_no_sizes(trials: list[Record], tmp_path: Path) -> None:
    found = compared(trials, tmp_path / "elsewhere")
    assert found.classes
    assert (found.sizes, found.scales) == ((), ())


def test_the_default_and_the_field_as_large_as_the_objects_are_named(trials: list[Record], tmp_path: Path) -> None:
    default, zero_search, advised = compared(trials, tmp_path).named
    assert default.group is not None
    assert zero_search.group is not None
    assert (default.name, default.group.params) == ("default", {"rate": 1})
    assert (zero_search.name, zero_search.group.params) == (
        "rf = object size",
        {"rate": 1},
    )  # 19 px, not 35
    assert (zero_search.object_size, zero_search.source) == (24, "data set")
    # What the rest sees, 11 px, is less than an object.
    assert (advised.name, advised.field, advised.rule) == ("advised field", 24, "1 x object")
    assert advised.group == zero_search.group


def test_the_whole_picture_is_advised_where_the_rest_of_the_network_sees_an_object(
    trials: list[Record], tmp_path: Path
) -> None:
    _, zero_search, advised = compared(trials, tmp_path, data={"object_size": (10,)}).named
    assert advised.group is not None
    assert zero_search.group is not None
    assert (advised.field, advised.rule, advised.group.params) == (96, "the whole picture", {"rate": 3})
    assert zero_search.group.params == {"rate": 1}


@pytest.mark.parametrize("axis", [{"training.lr": 0.1}, {"data.image_size": [96, 96]}], ids=["rate", "size"])
def test_an_axis_that_leaves_the_network_alone_leaves_the_advice_alone(axis: dict[str, object], tmp_path: Path) -> None:
    trials = [record("dilation", 0.5, rate=rate, **axis) for rate in (1, 3)]
    advised = compared(trials, tmp_path).named[-1]
    assert (advised.name, advised.field, advised.rule) == ("advised field", 24, "1 x object")


def test_a_field_that_depth_sets_is_advised_to_hold_the_whole_picture(tmp_path: Path) -> None:
    trials = [record("dilation", 0.5, rate=rate, **{"model.args.depth": rate}) for rate in (9, 11, 13)]
    _, advised = compared(trials, tmp_path).named
    assert advised.group is not None
    # 83, 99 and 115 px: no smaller than the picture of 96.
    assert (advised.field, advised.group.params["rate"]) == (96, 11)


def test_objects_are_measured_where_the_data_set_states_no_size(trials: list[Record], tmp_path: Path) -> None:
    named = compared(trials, tmp_path, data={"object_size": ()}).named
    assert named[1].object_size == pytest.approx(300**0.5, rel=1e-6)
    assert named[1].source == "validation objects, median of the classes"
    assert [one.name for one in compared(trials, tmp_path / "elsewhere", data={"object_size": ()}).named] == ["default"]


def test_measured_objects_are_no_specks_and_every_class_counts_once(tmp_path: Path) -> None:
    trials = [record("dilation", 0.5, rate=rate) for rate in (1, 3)]
    specks = [(1, 2)] * 50 + [(2, 1)] * 10 + [(2, 900)]
    leave_evidence(tmp_path, trials[0], [0.1, 0.2, 0.3, 0.4], more=specks)
    _, zero_search, _ = compared(trials, tmp_path, data={"object_size": ()}).named
    assert zero_search.object_size == pytest.approx((300**0.5 + 900**0.5) / 2, rel=1e-6)


def test_a_default_that_is_not_in_the_study_has_no_name(tmp_path: Path) -> None:
    trials = [record("dilation", 0.5, rate=rate) for rate in (3, 2)]
    assert [one.name for one in compared(trials, tmp_path).named] == ["rf = object size", "advised field"]
    assert compared(trials[:1], tmp_path).named == ()
    assert compared([record("learned_dilation", 0.5)], tmp_path).named == ()


@pytest.mark.parametrize("dilation", [[4, 6], [4, 4], 4])
def test_a_network_of_several_paths_has_a_default_too(tmp_path: Path, dilation: object) -> None:
    rate = None if dilation == [4, 6] else 4
    trials = [record("dilation", 0.5, rate=rate), record("dilation", 0.6, rate=8)]
    named = compared(trials, tmp_path, model={"dilation": dilation}).named
    assert named[0].name == "default"
    assert named[0].group is not None
    assert named[0].group.params.get("rate") == rate
