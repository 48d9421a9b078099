"""The studies of ``benchmarks/real_networks.py``, and its page from trials that never ran."""

from collections import Counter

import pytest
import real_networks
import real_networks_page
from rivals import RIVALS

from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row, rows_of
from autorf.methods import METHODS
from autorf.study.spec import parse_study
from autorf.study.trial import grid
from tests.comparison.builder import SPEC, record
from tests.reports import with_result, with_trace

ALL = {"targets": real_networks.LAYERS}
LEARNED = {**ALL, "rates": real_networks.RATES, "start": 1.0}
PRICED = ("designs", "prefer", "pad", "price")


@pytest.fixture(autouse=True)
def rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, method in RIVALS.items():
        monkeypatch.setitem(METHODS, name, method)


def test_the_parts_are_studies_of_as_many_trainings_as_are_allowed_each_in_one_part() -> None:
    n_trainings: Counter[str] = Counter()
    for name, parts in real_networks.PARTS.items():
        for part in parts:
            n_trainings[name] += n_of(part)
    assert sum(n_trainings[name] for name in PRICED) <= 124
    assert sum(n for name, n in n_trainings.items() if name not in PRICED) <= 130
    main = [part for parts in real_networks.PARTS.values() for part in parts if part.study == "unet_camvid"]
    together = real_networks.Part("unet_camvid", [space for part in main for space in part.spaces])
    # A configuration in two search spaces would be refused.
    assert n_of(together) == sum(map(n_of, main))


def n_of(part: real_networks.Part) -> int:
    return len(grid(parse_study(real_networks.study(part, "camvid", "fasseg", 1), part.study), part.study))


def rows() -> dict[str, list[Row]]:
    grid_scores = {1: 0.40, 2: 0.41, 4: 0.43, 8: 0.38}
    records = [record("dilation", score, 0, rate=rate, **ALL) for rate, score in grid_scores.items()]
    for own, dilation in (({}, 4.0), ({"explore": 0.25}, 2.0), ({"prefer": "lowest_loss"}, 2.0)):
        fields = {**LEARNED, "shared": True, **own}
        trial = with_result(record("learned_dilation", 0.427, 0, **fields), values={"dilation": dilation})
        records.append(with_trace(trial, {"step": [0], "alike": [[2.0, 4.0]]}))
    records.append(record("pixel_adaptive", 0.42, 0, **ALL))
    records.append(record("pixel_adaptive", 0.41, 0, **ALL, sampling="soft", evaluation="hard"))
    records.append(record("pixel_adaptive", 0.40, 0, **ALL, start="own"))
    names = {part.study for parts in real_networks.PARTS.values() for part in parts}
    trained = list(rows_of(StudyResults("unet_camvid", tuple(records), tuple(records), SPEC)))
    return {name: trained if name == "unet_camvid" else [] for name in names}


def test_the_page_is_of_what_is_complete_and_says_what_is_missing() -> None:
    studies = [(n, real_networks.study(p, "camvid", "fasseg", 1)) for n, ps in real_networks.PARTS.items() for p in ps]
    lines = real_networks_page.page(rows(), studies)
    text = "\n".join(lines)
    assert "**Not all of it is complete**" in text
    assert "| grid | unet_camvid | 4 of 12 |" in lines
    assert "| 4 | 0.430 | 0.430 | 10 |" in lines
    assert "in 1 of 1 runs (worst 0.000) by all seeds of the grid" in text
    assert "it costs +0.003 mIoU against a training of the found dilation" in text
    assert "`pixel_adaptive` (default) lies +0.010 below the grid's best mean" in text
    assert "`pixel_adaptive` (sampling soft, evaluation hard) lies +0.020 below the grid's best mean" in text
    assert "`pixel_adaptive` (start own)" not in text
    assert "| learned_dilation | shared True, explore 0.25 | 0.427 | 0.427 | -0.003 | 2 | 2-4 | 10 |" in lines
    # The smallest, by default, fixed the grid's best; the lowest loss 2, of which the mean is .020 below.
    assert "| smallest | 1 | 0.000 | 0.000 |" in lines
    assert "| lowest_loss | 1 | 0.020 | 0.020 |" in lines
    assert "DeepLabV3+" not in text
