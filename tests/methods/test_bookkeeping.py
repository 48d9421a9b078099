"""What a module remembers, as whole numbers."""

import math

import pytest
import torch
from torch.optim.swa_utils import get_ema_avg_fn, get_swa_avg_fn

from autorf.errors import InputError
from autorf.methods.bookkeeping import ONE, Phase, Record, decoded, encoded, milestones, with_milestones

OPTIONS = (1.0, 2.0, 3.5)
START = Record(centre=0.7, profile=(0.0,) * 4)
SEARCHING = Record(begun=True, centre=math.log(2), progress=1 / 3, heard=7, profile=(3.0, 1e-300, -0.1, math.pi))
FIXED = Record(begun=True, ended=True, centre=math.log(3), value=3.0, progress=1.0, heard=60, profile=(1.0,) * 4)


@pytest.mark.parametrize("record", [START, SEARCHING, FIXED, Record(again=2, rest=4.0, profile=(0.5,) * 4)])
def test_a_record_comes_back_to_the_last_bit(record: Record) -> None:
    assert decoded(encoded(record, OPTIONS), OPTIONS, START) == record


def test_the_phases_follow_each_other() -> None:
    assert [record.phase for record in (START, SEARCHING, FIXED)] == [Phase.IDLE, Phase.SEARCHING, Phase.FIXED]


def averaged(average: str, records: list[Record]) -> Record:
    """What is left of ``records`` in an average of which every step is rounded to a whole number."""
    make = get_ema_avg_fn(0.999) if average == "moving" else get_swa_avg_fn()
    words = torch.tensor(encoded(records[0], OPTIONS))
    for n, record in enumerate(records[1:], 1):
        words.copy_(make(words, torch.tensor(encoded(record, OPTIONS)), torch.tensor(n)))
    return decoded(words.tolist(), OPTIONS, START)


@pytest.mark.parametrize("average", ["moving", "equal"])
@pytest.mark.parametrize("n_fixed", [1, 10, 3000])
def test_an_average_over_buffers_holds_what_was_fixed_from_the_very_step(average: str, n_fixed: int) -> None:
    record = averaged(average, [START] * 5 + [SEARCHING] * 50 + [FIXED] * n_fixed)
    assert record.phase is Phase.FIXED
    assert record.value == pytest.approx(3.0, rel=1e-3)
    assert not record.whole


def test_an_average_within_a_search_holds_the_mean_of_its_centres() -> None:
    other = Record(begun=True, centre=math.log(8), profile=(0.0,) * 4)
    record = averaged("equal", [START, *[SEARCHING] * 20, *[other] * 20])
    assert record.phase is Phase.SEARCHING
    assert record.centre == pytest.approx(math.log(4), rel=1e-3)
    assert record.profile == START.profile


def test_an_average_over_a_search_that_was_begun_anew_is_refused() -> None:
    again = Record(begun=True, again=1, profile=(0.0,) * 4)
    with pytest.raises(InputError, match=r"begun anew: average parameters only \(use_buffers=False\)"):
        averaged("moving", [FIXED, again, again])


def beside(record: Record, others: list[Record], *, copied: bool, weight: float = 0.5) -> Record:
    """What a moving average of the milestones comes to; its whole numbers are the newest, or those of ``record``."""
    numbers = torch.tensor(milestones(record))
    for other in others:
        numbers.lerp_(torch.tensor(milestones(other)), weight)
    return with_milestones(others[-1] if copied else record, numbers.tolist(), START)


@pytest.mark.parametrize("weight", [0.5, 1e-4])
@pytest.mark.parametrize("half", [False, True])
def test_an_average_that_leaves_whole_numbers_alone_holds_what_was_fixed(weight: float, *, half: bool) -> None:
    numbers = torch.tensor(milestones(START))
    for other in [SEARCHING] * 5 + [FIXED] * 5:
        numbers.lerp_(torch.tensor(milestones(other)), weight)
    record = with_milestones(START, (numbers.half() if half else numbers).tolist(), START)
    assert record.phase is Phase.FIXED
    assert record.value == pytest.approx(3.0, rel=1e-2 if half else 1e-4)
    assert not record.whole


def test_whole_numbers_are_right_where_an_average_copies_them() -> None:
    assert beside(START, [SEARCHING, FIXED], copied=True) == FIXED
    again = Record(again=1, rest=3.0, profile=(0.0,) * 4)
    for n in (1, 3, 9, 12, 40):
        assert beside(FIXED, [again] * n, copied=True) == again
        begun = Record(begun=True, again=1, centre=0.1, profile=(0.0,) * 4)
        assert beside(FIXED, [*[again] * n, begun], copied=True) == begun


def test_an_average_that_leaves_whole_numbers_alone_is_refused_over_a_search_begun_anew() -> None:
    again = Record(begun=True, again=1, profile=(0.0,) * 4)
    with pytest.raises(InputError, match=r"begun anew: .*make the average anew"):
        beside(FIXED, [again], copied=False)


def test_a_copy_made_after_a_search_was_begun_anew_follows_that_one() -> None:
    idle, fixed = Record(again=1, profile=(0.0,) * 4), Record(True, True, 0.1, 2.0, again=1, profile=(0.0,) * 4)
    assert beside(idle, [idle, fixed], copied=False).value == 2.0


def test_another_layout_and_other_options_are_refused() -> None:
    words = encoded(SEARCHING, OPTIONS)
    with pytest.raises(InputError, match="layout 3, this autorf reads layout 2: load it"):
        decoded([3 * ONE, *words[1:]], OPTIONS, START)
    with pytest.raises(InputError, match=r"of a search among 1, 2, 3\.5, the model searches among 1, 2, 4"):
        decoded(words, (1.0, 2.0, 4.0), START)
