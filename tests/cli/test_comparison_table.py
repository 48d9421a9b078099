from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autorf.cli import piped
from autorf.cli.comparison_table import MOST_LINES, Shown, print_comparison
from autorf.comparison import Comparison, StudyResults, compare_studies
from autorf.store.store import Record, Store
from autorf.study.control import Control
from autorf.study.spec import parse_study
from autorf.study.trial import grid
from tests.cli.conftest import Shell
from tests.comparison.builder import leave_evidence, record, spec
from tests.reports import changed, with_result
from tests.tiny import TINY


def compared(records: list[Record], folder: Path | None = None, **parts: dict[str, Any]) -> Comparison:
    return compare_studies([StudyResults("mine", tuple(records), tuple(records), spec(**parts), folder)])


@pytest.fixture
def trials(tmp_path: Path) -> list[Record]:
    found = [record("dilation", 0.5 + seed / 100, seed, rate=rate) for rate in (1, 3) for seed in range(3)]
    found += [record("scale_adaptive", 0.6 + seed / 90, seed, dilation=2) for seed in range(3)]
    for one in found:
        leave_evidence(tmp_path, one, [0.2, 0.3, 0.5, one.value("miou")])
    return found


Show = Callable[..., str]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """Prints a comparison on a terminal of a width; further words are what is asked for."""

    def on_terminal(comparison: Comparison, width: int, *asked: str) -> str:
        console = Console(width=width, force_terminal=True, color_system=None)
        monkeypatch.setattr(piped, "Console", lambda: console)
        with console.capture() as captured:
            print_comparison(comparison, Shown(**dict.fromkeys(asked, True)))
        return captured.get()

    return on_terminal


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off_at_usual_widths(trials: list[Record], tmp_path: Path, width: int, show: Show) -> None:
    text = show(compared(trials, tmp_path), width, "per_class", "per_size")
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    parts = ("best manual", "scale_adaptive", "0.611", "IoU by class", "rank correlation with their size", "default")
    for part in parts:
        assert part in words
    titles = next(line for line in text.splitlines() if "setting" in line)
    assert ("rnorm" in titles) == (width == 120)
    assert "CPU-seconds" in text


def test_seeds_are_one_line_a_configuration_and_every_trial_when_asked(trials: list[Record], show: Show) -> None:
    comparison = compared([*trials, record("dilation", None, rate=9)])
    groups = show(comparison, 120)
    rows = show(comparison, 120, "trials")
    assert groups.count("rate 3 ") < rows.count("rate 3 ")
    for text in (groups, rows):
        assert "failed" in text
        assert "dilation (rate 9) seed 0: out of memory" in text


def test_a_large_study_shows_its_best_and_says_how_many_more_there_are(show: Show) -> None:
    many = [record("dilation", 0.9 - rate / 1000, rate=rate) for rate in range(60, 0, -1)]
    text = show(compared(many), 120)
    assert f"{60 - MOST_LINES} more: --format csv" in text
    assert "rate 40 " in text
    assert "rate 41 " not in text


def test_two_objectives_show_both_and_the_front(show: Show) -> None:
    records = [record("dilation", 0.3 * rate, rate=rate) for rate in (1, 2, 3)]
    records = [with_result(one, latency_ms=latency) for one, latency in zip(records, (5.0, 9.0, 9.5), strict=True)]
    records[2] = with_result(records[2], miou=0.55)
    text = show(compared(records, search={"objectives": ["miou", "latency_ms"]}), 120)
    lines = {word: line for line in text.splitlines() for word in ("rate 1 ", "rate 2 ", "rate 3 ") if word in line}
    assert "latency_ms" in text
    assert "front" in lines["rate 1 "]
    assert "best manual, front" in lines["rate 2 "]
    assert "front" not in lines["rate 3 "]


def stored(root: Path, name: str, spaces: list[dict[str, Any]], score: float) -> None:
    study = parse_study({**TINY, "name": name, "search_space": spaces}, name)
    store = Store(root / name, name)
    store.register(study, grid(study, name))
    while (one := store.claim()) is not None:
        result = changed(record("dilation", score, rate=1).result, miou=score + 0.01 * one.row)
        store.complete(one, result, score)


def test_studies_are_compared_from_the_command_line_and_bad_pairs_refused(shell: Shell) -> None:
    stored(shell.folder / "runs", "grid", [{"method": "dilation", "rate": [1, 2]}], 0.5)
    stored(shell.folder / "runs", "ours", [{"method": "learned_dilation"}], 0.7)
    done = shell.run("compare", "grid", "ours")
    assert done.code == 0, done.err
    assert "grid + ours" in done.out
    assert "one seed cannot tell" in done.out
    assert "Best of ours against best of grid" in done.out
    assert "named twice" in shell.refused("compare", "grid", "grid")
    assert "no study 'gird'" in shell.refused("compare", "gird")
    assert "did you mean grid" in shell.refused("compare", "ours", "gird")


def test_the_recommendation_comes_first_and_the_verdict_last(show: Show) -> None:
    grid = [record("dilation", 0.5 + rate / 10, seed, rate=rate) for rate in (1, 2) for seed in (0, 1)]
    comparison = compared([*grid, record("learned_dilation", 0.6, 0), record("learned_dilation", 0.61, 1)])
    text = " ".join(show(comparison, 120).split())
    assert text.startswith("Use a field of 27 px (dilation 2); 19 px loses .100.")
    assert text.endswith(" ".join(comparison.verdict.sentence.split()))


def test_trials_show_their_key_steps_and_seconds_of_their_device(show: Show) -> None:
    trial = record("dilation", 0.5, rate=2)
    trial = replace(trial, result=changed(trial.result, steps=80, train_seconds=12.0), history=())
    text = show(compared([trial]), 120, "trials")
    titles, line = (next(line for line in text.splitlines() if word in line) for word in ("setting", "rate 2 "))
    assert titles.split()[-3:] == ["steps", "CPU-s", "key"]
    assert line.split()[-3:] == ["80", "12", trial.key[:8]]


def test_controls_stand_beside_what_needs_no_search_and_not_in_the_grid(show: Show) -> None:
    trials = [record("dilation", 0.5, rate=2), record("learned_dilation", 0.6)]
    longer = replace(
        record("dilation", 0.59, rate=2, **{"training.steps": 100}),
        control=Control("steps", {"method": "learned_dilation"}),
    )
    text = show(compared([*trials, longer]), 160)
    (line,) = (line for line in text.splitlines() if "learned +0.010" in line)
    assert line.split()[:5] == ["control", "equal", "steps", "dilation", "(rate"]
    assert "best manual" not in line
    assert not any(line.lstrip().startswith("control,") for line in text.splitlines())
    assert "controls, 1 trial" in text


def test_a_margin_that_is_not_above_zero_is_refused_in_one_line(shell: Shell) -> None:
    stored(shell.folder / "runs", "grid", [{"method": "dilation", "rate": [1, 2]}], 0.5)
    for margin in ("0", "-0.1", "nan"):
        assert f"--margin {margin}: must be above 0" in shell.refused("compare", "grid", "--margin", margin)
    assert '"margin": 0.05' in shell.run("compare", "grid", "--margin", "0.05", "--format", "json").out
