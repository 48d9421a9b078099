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
    with pytest.raises(InputError, match="belong to kind: step"):
        factors(rule, 4)
