import math

import pytest

from autorf.errors import InputError
from autorf.specification import parse
from autorf.training.schedule import schedule
from autorf.training.spec import TrainingSpec


def factors(rule: dict[str, object], steps: int, warmup: float = 0.0) -> list[float]:
    factor = schedule(parse(TrainingSpec, {"schedule": rule, "warmup": warmup}, "study.yaml"), steps)
    return [factor(step) for step in range(steps)]


def test_steps_multiply_the_rate_at_their_milestones() -> None:
    found = factors({"kind": "step", "milestones": [0.5, 0.75]}, 8)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_split_step_falls_in_two_halves() -> None:
    found = factors({"kind": "step", "milestones": [0.5], "split": 2}, 8)
    assert found == pytest.approx([1, 1, 1, 1, math.sqrt(0.1), math.sqrt(0.1), 0.1, 0.1])


def test_a_constant_rate_rises_only() -> None:
    assert factors({"kind": "constant"}, 4, warmup=0.5) == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_a_cosine_rises_to_its_peak_and_falls_to_nothing_by_hand() -> None:
    found = factors({"kind": "cosine"}, 10, warmup=0.2)
    # Two steps up, then cosine over eight: half of it after four, and a step before its end.
    assert found[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert found[6] == pytest.approx(0.5)
    assert found[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


def test_milestones_must_increase() -> None:
    with pytest.raises(InputError, match="milestones must increase"):
        factors({"kind": "step", "milestones": [0.5, 0.5]}, 4)


@pytest.mark.parametrize("rule", [{"split": 200}, {"kind": "constant", "milestones": [0.9]}, {"gamma": 0.5}])
def test_what_only_steps_have_is_refused_elsewhere(rule: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"belongs? to kind: step"):
        factors(rule, 4)


def test_poly_falls_by_a_power_of_the_share_that_is_left() -> None:
    """Chen et al. 2018, as PAD-Nets 2020 trains: (1 - step / steps) ** 0.9."""
    assert factors({"kind": "poly"}, 10) == pytest.approx([(1 - step / 10) ** 0.9 for step in range(10)])
    assert factors({"kind": "poly", "power": 2}, 4) == pytest.approx([1, 0.75**2, 0.5**2, 0.25**2])
    assert factors({"kind": "poly"}, 6, warmup=0.34)[:4] == pytest.approx([1 / 3, 2 / 3, 1, 0.75**0.9])


def test_steps_is_another_spelling_of_step() -> None:
    rule = parse(TrainingSpec, {"schedule": {"kind": "steps", "milestones": [0.5]}}, "study.yaml").schedule
    assert rule.model_dump()["kind"] == "step"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"kind": "cosine", "power": 0.5}, "power belongs to kind: poly, not to cosine"),
        ({"kind": "poly", "gamma": 0.5, "split": 3}, "gamma and split belong to kind: step, not to poly"),
        ({"kind": "poly", "power": 0}, "greater than 0"),
    ],
)
def test_what_another_kind_of_schedule_has_is_refused(rule: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        factors(rule, 4)
