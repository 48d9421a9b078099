from pathlib import Path
from typing import Any

import pytest
from torch import nn

from autorf.driver.default import default_first
from autorf.driver.estimate import study_seconds
from autorf.driver.plan import StudyPlan, plan
from autorf.driver.prior import MOST, candidates, saved
from autorf.errors import InputError
from autorf.methods import Dilation, LearnedDilation
from autorf.running.maps import dead_dilation, map_sizes
from autorf.study.search_space import read_spaces
from autorf.study.spec import parse_study
from autorf.study.trial import Trial
from autorf.surgery import adapt
from tests.tiny import TINY


def planned(
    root: Path,
    spaces: list[dict[str, Any]],
    search: dict[str, Any] | None = None,
    epochs: int = 2,
    seeds: tuple[int, ...] = (0,),
    **model: Any,
) -> StudyPlan:
    training = {**TINY["training"], "epochs": epochs, "seeds": seeds}
    changes = {
        "search_space": spaces,
        "search": search or {},
        "model": {**TINY["model"], **model},
        "training": training,
    }
    return plan(parse_study({**TINY, **changes}, "f"), "f", root)


def settings(trials: Any) -> list[str]:
    return [f"{trial.method.method} {trial.setting}" for trial in trials]


def test_the_default_is_trial_0_and_no_grid_point_twice(tmp_path: Path) -> None:
    assert settings(planned(tmp_path, [{"method": "dilation", "rate": [2, 3]}]).trials) == [
        "dilation rate 1",
        "dilation rate 2",
        "dilation rate 3",
    ]
    grid = [{"method": "learned_dilation", "start": 2}, {"method": "dilation", "rate": [2, 3]}]
    assert settings(planned(tmp_path, grid, dilation=3).trials) == [
        "dilation rate 3",
        "learned_dilation start 2",
        "dilation rate 2",
    ]


def test_the_default_of_layers_that_differ_keeps_each_as_it_is() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1),
        nn.Conv2d(3, 3, 3, padding=2, dilation=2),
        nn.Conv2d(3, 3, 3, padding=2, dilation=2),
    )
    spaces = read_spaces([{"method": "learned_dilation", "targets": "[01]"}], "f")
    listed = [Trial(LearnedDilation(targets="[01]"), 0)]
    default, second = default_first(listed, spaces, model, 0)
    assert (default.method, second) == (Dilation(rate=None, targets="[01]"), listed[0])
    assert default.setting == "rate unchanged"
    adapted = adapt(model, default.method)
    assert [layer.dilation[0] for layer in adapted] == [1, 2, 2]
    same = read_spaces([{"method": "dilation", "targets": [["1", "2"]], "rate": [2, 4]}], "f")
    assert default_first([], same, model, 0) == [Trial(Dilation(rate=2, targets=("1", "2")), 0)]


def test_a_dilation_as_large_as_its_map_is_refused_but_not_the_networks_own() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3, 2, padding=1), nn.Conv2d(3, 3, 3, padding=9, dilation=9))
    sizes = map_sizes(model, (16, 20))
    assert sizes == {"0": (16, 20), "1": (8, 10)}
    assert dead_dilation(model, model, sizes) is None
    wide = nn.Sequential(model[0], adapt(nn.Sequential(model[1]), Dilation(rate=8, targets="0"))[0])
    said = dead_dilation(wide, model, sizes)
    assert (
        said
        == "dilation 8 of layer '1' exceeds what its 8x10 map can use: all taps but one read padding; search at most 7"
    )


def test_options_beyond_the_map_are_allowed_with_a_warning(tmp_path: Path) -> None:
    found = planned(tmp_path, [{"method": "learned_dilation", "rates": [1, 4, 12, 16]}])
    assert len(found.warnings) == 2
    assert "options 12, 16 of layer 'head.conv6': each exceeds what its 12x12 map can use" in found.warnings[0]


def test_a_search_phase_of_a_few_steps_is_warned_of(tmp_path: Path) -> None:
    spaces = [{"method": "dilation", "rate": [1]}, {"method": "inflation", "search": [0, 0.5]}]
    (said,) = planned(tmp_path, spaces).warnings
    # Half of two epochs of three steps each.
    assert "inflation: its search phase has only 3 steps, fewer than 50" in said
    assert planned(tmp_path, spaces, epochs=40).warnings == ()


def test_a_budget_runs_whole_configurations_of_a_grid(tmp_path: Path) -> None:
    study = {**TINY, "search_space": [{"method": "dilation", "rate": [1, 2, 3]}]}
    study["training"] = {**TINY["training"], "seeds": [0, 1]}
    study["search"] = {"budget": {"trials": 5}}
    found = plan(parse_study(study, "f"), "f", tmp_path)
    assert [(trial.setting, trial.seed) for trial in found.trials] == [
        ("rate 1", 0),
        ("rate 2", 0),
        ("rate 1", 1),
        ("rate 2", 1),
    ]
    assert found.listed is not None
    assert len(found.listed) == 6


def test_what_is_looked_at_for_a_prior_comes_from_all_over_a_space_of_many_combinations() -> None:
    many = {name: [1.0 * at for at in range(1, 9)] for name in ("training.lr", "training.weight_decay")}
    spec = parse_study({**TINY, "search_space": [{"method": "dilation", "rate": list(range(1, 13)), **many}]}, "f")
    found = candidates(spec, read_spaces(spec.search_space, "f"))
    assert len(found) == MOST
    assert {trial.method.rate for trial in found if isinstance(trial.method, Dilation)} == set(range(1, 13))
    few = parse_study(
        {**TINY, "search_space": [{"method": "dilation", "rate": [1, 2], "training.lr": [0.1, 0.2]}]}, "f"
    )
    assert len(set(candidates(few, read_spaces(few.search_space, "f")))) == 4


def test_a_prior_orders_the_grid_behind_the_default(tmp_path: Path) -> None:
    """rnorm of rate r is (11 + 8 r) / 48."""
    grid = [{"method": "dilation", "rate": [1, 2, 3, 4, 5]}]
    found = planned(tmp_path, grid, {"prior": {"rnorm": 0.75}})
    assert settings(found.trials) == [f"dilation rate {rate}" for rate in (1, 3, 4, 2, 5)]
    assert settings(found.unordered) == [f"dilation rate {rate}" for rate in (1, 2, 3, 4, 5)]
    best = Trial(Dilation(rate=3), 5)
    said = saved(found.configurations, found.unordered, best, 0.75)
    assert said is not None
    assert "number 2 of 5" in said
    assert "number 3: 1 fewer" in said
    assert saved(found.configurations, found.unordered, Trial(Dilation(rate=9), 0), 0.75) is None


def test_a_sampler_begins_with_the_default_and_what_is_near_the_prior(tmp_path: Path) -> None:
    spaces = [{"method": "dilation", "rate": {"low": 1, "high": 9, "log": True}}]
    found = planned(tmp_path, spaces, {"sampler": "tpe", "budget": {"trials": 9}, "prior": {"rnorm": 0.75}})
    assert settings(found.trials)[:2] == ["dilation rate 1", "dilation rate 3"]
    assert len(found.trials) == 5
    assert found.listed is None
    assert found.n_configurations == 9


@pytest.mark.parametrize(
    ("spaces", "said"),
    [
        ([{"method": "dilation", "rate": {"low": 1, "high": 30}}], "dilation 30 of layer 'head.conv6' exceeds"),
        ([{"method": "dilation", "rate": 2, "targets": ["conv9"]}], "conv9"),
    ],
)
def test_the_ends_of_ranges_are_checked_before_anything_is_drawn(
    tmp_path: Path, spaces: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        planned(tmp_path, spaces, {"sampler": "random", "budget": {"trials": 3}})


def test_free_workers_take_the_next_trial() -> None:
    assert study_seconds([4, 1, 1, 1], 2) == 4
    assert study_seconds([1, 1, 4], 2) == 5


def test_a_background_that_is_no_class_of_the_data_is_refused(tmp_path: Path) -> None:
    spaces = [{"method": "inflation", "background_weight": 0.5, "background_class": 99}]
    with pytest.raises(InputError, match="background_class 99 is no class of the data, which has 0 to 10"):
        plan(parse_study({**TINY, "search_space": spaces}, "f"), "f", tmp_path)


SUFFICIENT = {"sampler": "sufficient"}


def test_the_sufficient_sampler_bisects_the_manual_grid_by_its_fields_and_trains_the_rest_whole(tmp_path: Path) -> None:
    spaces = [{"method": "dilation", "rate": [4, 3, 2, 1, 5]}, {"method": "learned_dilation", "start": 2}]
    study = planned(tmp_path, spaces, SUFFICIENT, seeds=(0, 1, 2))
    assert settings(study.bisected) == [f"dilation rate {rate}" for rate in (1, 2, 3, 4, 5)]
    assert settings(study.trials) == ["dilation rate 1", *["learned_dilation start 2"] * 3]
    assert study.listed is not None
    assert len(study.listed) == 6 * 3
    assert not any("too few to bisect" in warning for warning in study.warnings)


def test_a_grid_too_small_to_bisect_is_trained_whole_and_says_so(tmp_path: Path) -> None:
    study = planned(tmp_path, [{"method": "dilation", "rate": [1, 2, 3]}], SUFFICIENT, seeds=(0, 1))
    assert study.bisected == ()
    assert len(study.trials) == 6
    assert study.warnings == (
        "f: search.sampler: sufficient: 3 fields are too few to bisect (at least 5); all of the grid is trained",
    )


def test_the_sufficient_sampler_refuses_one_seed_and_several_image_sizes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tests over seeds; training\.seeds is \[0\]: give three"):
        planned(tmp_path, [{"method": "dilation", "rate": [1, 2, 3]}], SUFFICIENT)
    axis = {"method": "dilation", "rate": [1, 2, 3], "data.image_size": [[32, 32], [48, 48]]}
    data = {**TINY["data"], "canvas": [48, 48], "score_at": "mask"}
    study = {**TINY, "data": data, "search_space": [axis], "search": SUFFICIENT}
    with pytest.raises(InputError, match=r"takes one image size; leave data\.image_size out"):
        plan(parse_study({**study, "training": {"epochs": 2, "seeds": [0, 1]}}, "f"), "f", tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pruning": {}}, "leave pruning out"),
        ({"prior": {"rnorm": 0.3}}, "leave prior out"),
        ({"stop": {"no_improvement": 3}}, "leave stop out"),
        ({"objectives": ["miou", "flops"]}, "needs one objective that is a metric"),
        ({"objectives": ["flops"]}, "needs one objective that is a metric"),
        ({"budget": {"trials": 9}}, "ends by itself"),
    ],
)
def test_the_sufficient_sampler_takes_no_setting_that_it_would_not_heed(
    tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        planned(tmp_path, [{"method": "dilation"}], {**SUFFICIENT, **more})
    assert message in str(raised.value)
