from collections.abc import Callable
from typing import Any

import pytest

from autorf.driver.sampling import Suggestions, Tried
from autorf.methods import Dilation, LearnedDilation
from autorf.study.search_space import read_spaces
from autorf.study.spec import parse_study
from autorf.study.trial import Trial
from tests.tiny import TINY

SPACES: list[dict[str, Any]] = [
    {"method": "dilation", "rate": [1, 2, 3, 4, 6, 8], "training.lr": {"low": 1e-4, "high": 1e-1, "log": True}},
    {"method": "learned_dilation", "start": {"low": 1, "high": 12}, "rates": [[1, 2, 4, 12], [1, 2, 4, 8, 12]]},
]


def suggestions(sampler: str, spaces: list[dict[str, Any]] = SPACES, **more: Any) -> Suggestions:
    search = {"sampler": sampler, "budget": {"trials": 50}, **more}
    study = parse_study({**TINY, "search_space": spaces, "search": search, "training": {}}, "f")
    return Suggestions(read_spaces(spaces, "f", study), study, n_startup=5)


def searched(found: Suggestions, score: Callable[[Trial], tuple[float, ...]], n: int) -> list[Tried]:
    tried: list[Tried] = []
    while len(tried) < n and (trial := found.next(tried)) is not None:
        tried.append(Tried(trial, "complete", score(trial)))
    return tried


def closeness(trial: Trial) -> tuple[float, ...]:
    rate = trial.method.rate if isinstance(trial.method, Dilation) else 20
    return (-abs((rate or 0) - 4) - abs(dict(trial.settings).get("training.lr", 3e-3) - 0.01) * 10,)


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_every_suggestion_is_new_valid_and_has_its_own_methods_fields(sampler: str) -> None:
    tried = searched(suggestions(sampler), closeness, 12)
    assert len({one.trial.key for one in tried}) == 12
    for one in tried:
        names = set(one.trial.configuration)
        if isinstance(one.trial.method, LearnedDilation):
            assert 1 <= (one.trial.method.start or 0) <= 12
            assert names <= {"method", "start", "rates"}
        else:
            assert names <= {"method", "rate", "training.lr"}
            assert 1e-4 <= dict(one.trial.settings).get("training.lr", 3e-3) <= 1e-1
    assert len({one.trial.method.method for one in tried}) == 2


def test_a_search_that_was_cut_anywhere_goes_on_as_if_it_had_not_been() -> None:
    whole = searched(suggestions("tpe"), closeness, 10)
    for cut in (0, 3, 9):
        assert suggestions("tpe").next(whole[:cut]) == whole[cut].trial
    other = suggestions("tpe", seed=1).next(whole[:5])
    assert other != whole[5].trial


def test_tpe_comes_nearer_to_the_best_than_chance() -> None:
    late: dict[str, float] = {}
    for sampler in ("tpe", "random"):
        tried = [searched(suggestions(sampler, SPACES[:1], seed=seed), closeness, 25)[10:] for seed in range(4)]
        late[sampler] = sum(one.values[0] for some in tried for one in some) / 60
    assert late["tpe"] > late["random"] + 0.3


def test_a_finite_space_is_exhausted_without_repeats_and_running_ones_count_as_tried() -> None:
    spaces = [{"method": "dilation", "rate": [1, 2, 3]}, {"method": "learned_dilation", "start": [1, 4]}]
    found = suggestions("tpe", spaces)
    tried: list[Tried] = []
    while (trial := found.next(tried)) is not None:
        tried.append(Tried(trial, "running" if len(tried) % 2 else "failed"))
    assert len({one.trial.key for one in tried}) == len(tried) == 5


def test_a_configuration_outside_the_spaces_does_not_disturb() -> None:
    default = Tried(Trial(Dilation(rate=11), 0), "complete", (0.5,))
    assert suggestions("tpe").next([default, Tried(Trial(Dilation(rate=None), 0), "pruned", curve={1: 0.2})])


def test_constraints_and_two_objectives_reach_the_sampler() -> None:
    found = suggestions("nsga2", SPACES, objectives=["miou", "flops"], constraints=["flops <= 3"])
    tried: list[Tried] = []
    for index in range(20):
        trial = found.next(tried)
        assert trial is not None
        tried.append(Tried(trial, "complete", (index / 20, 3.0), excess={"flops <= 3": 0.5 if index % 2 else -0.5}))
    assert len({one.trial.key for one in tried}) == 20


def test_two_spaces_of_one_method_stay_apart() -> None:
    spaces = [{"method": "dilation", "rate": [1, 2], "targets": name} for name in ("a", "b")]
    found = searched(suggestions("random", spaces), lambda trial: (0.0,), 10)
    assert len(found) == 4


@pytest.mark.parametrize("objectives", [["miou"], ["miou", "latency_ms"]])
def test_a_sampler_that_is_sure_of_a_tried_configuration_still_proposes_new_ones(objectives: list[str]) -> None:
    spaces = [
        {"method": "dilation", "rate": {"low": 1, "high": 6}},
        {"method": "inflation", "dilation": {"low": 1, "high": 4}, "factor": {"low": 0.5, "high": 2.0, "log": True}},
        {"method": "pixel_adaptive", "rates": [[1, 2, 4]]},
    ]
    found = suggestions("tpe", spaces, objectives=objectives)

    def score(trial: Trial) -> tuple[float, ...]:
        quality = 1.0 if trial.method == Dilation(rate=1) else 0.2
        return (quality, 1.0)[: len(objectives)]

    tried = searched(found, score, 16)
    assert len(tried) == len({one.trial.key for one in tried}) == 16
    assert {one.trial.method.method for one in tried} >= {"dilation", "inflation"}
