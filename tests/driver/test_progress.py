import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from autorf.driver.progress import JsonLines, Progress, TerminalProgress, open_progress
from autorf.store.store import Record
from autorf.study.spec import StudySpec
from autorf.study.trial import trial_from
from autorf.training.results import EpochReport
from tests.reports import epoch_report, trial_result


def records() -> list[Record]:
    return [
        Record(n, f"key{n}", configuration, 0, "waiting", 1, trial_from(configuration, 0))
        for n in (1, 2, 3)
        for configuration in [{"method": "dilation", "rate": n}]
    ]


def epoch(number: int) -> EpochReport:
    return epoch_report(number, loss=float("nan"), miou=0.25, rf=[19.0, 19.0], rnorm=0.4, seconds=1.5)


def complete(record: Record, miou: float) -> Record:
    result = trial_result(miou=miou, f1=0.5, rf=[19.0, 27.0], rnorm=0.4, train_seconds=3.0)
    return replace(record, state="complete", result=result)


def run_one(progress: Progress, record: Record, end: Record, epochs: int = 2) -> None:
    running = replace(record, state="running")
    progress.started(running)
    for number in range(epochs):
        running = replace(running, history=(*running.history, epoch(number)))
        progress.epoch(running, epoch(number))
    progress.finished(end)


def test_the_time_left_follows_from_the_epochs_trained_now_and_those_to_come(tiny: StudySpec) -> None:
    now = [0.0]
    first, second, third = records()
    second = replace(second, history=(epoch(0),))
    progress = Progress(tiny, [first, second, third], clock=lambda: now[0])
    assert progress.seconds_left() is None
    progress.started(replace(first, state="running"))
    now[0] = 10.0
    progress.epoch(replace(first, state="running"), epoch(0))
    # Of two epochs each: one of the first, one of the second (the other was done before), two of the third.
    assert progress.seconds_left() == pytest.approx(40.0)
    progress.finished(replace(first, state="failed", reason="NaN"))
    assert progress.seconds_left() == pytest.approx(30.0)


def test_what_other_drivers_ran_counts_and_what_they_took_over_runs_here_no_more(tiny: StudySpec) -> None:
    first, second, third = records()
    progress = Progress(tiny, [first, second, third])
    ours = replace(first, state="running")
    progress.started(ours)
    progress.seen([first, complete(second, 0.7), replace(third, state="running", history=(epoch(0),))])
    assert (progress.done, progress.best.key, progress.reached(third)) == (1, "key2", 1)
    assert progress.records["key1"] is ours
    progress.lost(ours)
    progress.seen([complete(first, 0.8), complete(second, 0.7), complete(third, 0.1)])
    assert (progress.running, progress.done, progress.best.key) == ({}, 3, "key1")


def test_a_trial_that_a_sampler_adds_later_is_counted(tiny: StudySpec) -> None:
    progress = Progress(tiny, records()[:1])
    run_one(progress, records()[2], complete(records()[2], 0.5))
    assert (progress.done, len(progress.records), progress.best.key) == (1, 2, "key3")


def test_trials_that_a_sampler_will_draw_count_from_the_beginning(tiny: StudySpec) -> None:
    text, now = io.StringIO(), [0.0]
    first = records()[0]
    with TerminalProgress(tiny, [first], expected=4, console=Console(file=text, width=200)) as progress:
        progress._clock, progress._began = lambda: now[0], 0.0
        progress.started(replace(first, state="running"))
        now[0] = 10.0
        progress.epoch(replace(first, state="running"), epoch(0))
        # One epoch of the first, and two of each of the three to come.
        assert progress.seconds_left() == pytest.approx(70.0)
        progress.finished(complete(first, 0.5))
    assert text.getvalue().splitlines()[0] == "study tiny: 4 trials"
    assert text.getvalue().splitlines()[1].startswith("trial 1 of 4  ")


def test_without_a_terminal_every_finished_trial_is_one_plain_line(tiny: StudySpec) -> None:
    text = io.StringIO()
    first, second, third = records()
    with TerminalProgress(tiny, [first, second, third], console=Console(file=text, width=40)) as progress:
        run_one(progress, first, complete(first, 0.5))
        run_one(progress, second, replace(second, state="failed", reason="out of memory"))
        run_one(progress, third, replace(third, state="pruned", result=trial_result(epochs=1, miou=0.25)))
    lines = text.getvalue().splitlines()
    assert lines[0] == "study tiny: 3 trials"
    assert re.fullmatch(
        r"trial 1 of 3  dilation \(rate 1\) seed 0  mIoU 0.500  rf 19x27  rnorm 0.40  3 s  about \d+ s left", lines[1]
    )
    assert lines[2].endswith("failed: out of memory")
    assert lines[3].endswith("pruned after 1 epochs, mIoU 0.250")


def test_the_live_view_shows_what_runs_the_best_and_the_time_left(tiny: StudySpec) -> None:
    first, second, third = records()
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    progress = TerminalProgress(tiny, [first, second, third], console=console)
    run_one(progress, first, complete(first, 0.5))
    running = replace(second, state="running", history=(epoch(0),))
    progress.started(running)
    progress.epoch(running, epoch(0))
    console.file = text = io.StringIO()
    console.print(progress._view())
    view = text.getvalue()
    assert re.search(r"dilation \(rate 2\) seed 0 .*epoch 1 of 2 +mIoU 0.250  rf 19", view)
    assert re.search(r"1 of 3 trials done +about \d+ s left", view)
    assert "best so far: dilation (rate 1) seed 0  mIoU 0.500  rf 19x27" in view


def test_json_lines_are_one_valid_object_an_event(tiny: StudySpec) -> None:
    text = io.StringIO()
    first, second, third = records()
    with JsonLines(tiny, [first, second, third], text) as progress:
        run_one(progress, first, complete(first, 0.5))
        run_one(progress, second, replace(second, state="failed", reason="NaN"), epochs=0)

    def no_nan(name: str) -> None:
        raise AssertionError(name)

    events = [json.loads(line, parse_constant=no_nan) for line in text.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "study", "started", "epoch", "epoch", "finished", "started", "finished",
    ]  # fmt: skip
    assert (events[0]["study"], events[0]["total"], events[0]["done"], events[0]["best"]) == ("tiny", 3, 0, None)
    assert events[1]["params"] == {"rate": 1}
    assert events[2] == {"event": "epoch", "key": "key1", **epoch(0).to_json(), "loss": None}
    assert (events[4]["miou"], events[4]["state"]) == (0.5, "complete")
    assert events[4]["best"] == {"key": "key1", "value": 0.5, "rf": [19.0, 27.0]}
    assert (events[6]["reason"], events[6]["miou"], events[6]["done"]) == ("NaN", None, 2)


def test_quiet_says_nothing(tiny: StudySpec, capsys: pytest.CaptureFixture[str]) -> None:
    with open_progress(tiny, records(), quiet=True) as progress:
        run_one(progress, records()[0], complete(records()[0], 0.5))
    assert capsys.readouterr() == ("", "")
