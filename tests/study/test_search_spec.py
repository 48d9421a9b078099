import json
from typing import Any

import pytest

from autorf.errors import InputError
from autorf.study.objectives import parse_constraint, sign, violated
from autorf.study.search_spec import SearchSpec
from autorf.study.spec import StudySpec, parse_study
from tests.tiny import TINY


def with_search(search: dict[str, Any], **training: Any) -> StudySpec:
    return parse_study({**TINY, "search": search, "training": {**TINY["training"], **training}}, "mine.yaml")


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"objectives": ["fps"]}, r"search\.objectives\.0: no trial reports it.*metrics .*miou.*latency_ms.*got 'fps'"),
        ({"objectives": ["miuo"]}, "did you mean miou"),
        ({"objectives": ["miou", "miou"]}, "one or two different ones"),
        ({"objectives": ["miou", "flops", "f1"]}, "one or two different ones"),
        ({"sampler": "tpe"}, r"sampler tpe needs an end: add budget: \{trials: N\}"),
        ({"budget": {"trials": -3}}, r"search\.budget\.trials: .*greater than or equal to 1, got -3"),
        ({"budget": {"hours": -0.5}}, r"search\.budget\.hours: .*greater than 0, got -0\.5"),
        ({"budget": {}}, "give trials: N, hours: H, or both"),
        ({"pruning": {"reduction": 1}}, r"search\.pruning\.reduction: .*greater than or equal to 2"),
        ({"pruning": {"kind": "median"}}, r"search\.pruning\.kind: must be 'asha'"),
        ({"pruning": {"min_epochs": 2}}, r"search\.pruning: nothing is left to prune: min_epochs 2"),
        ({"pruning": {}, "objectives": ["latency_ms", "miou"]}, "pruning compares a metric"),
        ({"prior": {"rnorm": 0.4, "from_study": "a"}}, "either rnorm"),
        ({"prior": {"rnorm": 0.0}}, r"search\.prior\.rnorm: .*greater than 0"),
        ({"prior": {"rnorm": 1}, "sampler": "random", "budget": {"trials": 1}}, "sampler random takes none"),
        ({"stop": {"no_improvement": 3}}, "one seed tells nothing of the noise"),
        ({"stop": {"no_improvement": 0}}, "no_improvement: .*greater than or equal to 1"),
        ({"constraints": ["latency_ms < 20"]}, r"search\.constraints\.0: a constraint is NAME <= NUMBER.*got 'latency"),
        ({"constraints": ["__import__('os') <= 1"]}, "a constraint is NAME <= NUMBER"),
        ({"constraints": ["latency <= 20"]}, "no trial reports 'latency'; did you mean latency_ms"),
        ({"constraints": ["flops <= 1.2.3"]}, "'1.2.3' is no number"),
        ({"samplers": "tpe"}, "search.samplers: unknown key; did you mean sampler"),
    ],
)
def test_a_search_that_cannot_be_is_one_line(search: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        with_search(search)
    assert str(caught.value).startswith("mine.yaml: search")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_pruning_with_one_epoch_is_refused() -> None:
    with pytest.raises(InputError, match=r"min_epochs 1 must be less than training\.epochs 1"):
        with_search({"pruning": {}}, epochs=1)


def test_a_budget_below_one_configuration_is_refused() -> None:
    with pytest.raises(InputError, match="2 trials are less than one configuration under 3 seeds"):
        with_search({"budget": {"trials": 2}}, seeds=[0, 1, 2])


def test_settings_survive_json() -> None:
    search = {"sampler": "tpe", "objectives": ["miou", "flops"], "constraints": ["latency_ms<=2e1"], "pruning": {}}
    spec = with_search({**search, "budget": {"trials": 6, "hours": 0.5}, "prior": {"rnorm": 0.4}}).search
    assert SearchSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec
    assert spec.pruning is not None
    assert (spec.pruning.reduction, spec.pruning.min_epochs) == (4, 1)


def test_a_constraint_says_whether_and_how_far_a_result_breaks_it() -> None:
    limit = parse_constraint(" latency_ms <= 20 ")
    assert limit.holds({"latency_ms": 20.0})
    assert not limit.holds({"latency_ms": 20.1})
    assert not limit.holds({})
    assert limit.excess({"latency_ms": 30.0}) == pytest.approx(0.5)
    assert parse_constraint("miou>=.5").excess({"miou": 0.6}) < 0
    assert violated({"miou": 0.4, "flops": 1e6}, ("flops <= 1e6", "miou >= 0.5")) == ["miou >= 0.5"]
    assert (sign("miou"), sign("flops")) == (1, -1)
