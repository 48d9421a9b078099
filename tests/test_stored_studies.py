"""Studies stored by earlier versions open, compare, report and resume."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison import compare, compare_studies
from autorf.comparison.results import results_of
from autorf.deployment.retrain import study_spec
from autorf.driver import search as module
from autorf.methods import Dilation
from autorf.metrics import scores
from autorf.reporting import report_page
from autorf.running import runner
from autorf.running.evidence import read_evidence
from autorf.store.store import open_store
from autorf.study import search_space
from autorf.study.job import Job
from autorf.study.spec import StudySpec
from autorf.surgery.adaptation import adaptive_modules
from autorf.training.results import EpochReport
from tests.study.trained import Here

STORED = Path(__file__).parent / "fixtures" / "studies_0_1.tar.xz"
"""``stored``, finished, and ``unfinished``, killed in its second trial, with ``compare``'s answers of that version."""

MEASURED_ANEW = {"train_seconds", "own_seconds", "spent_seconds", "latency_ms", "peak_memory_mb"}
"""What a machine's clock and memory say of a row."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(STORED) as archive:
        archive.extractall(folder, filter="data")
    return folder


def differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """Where ``now`` lacks or changes what ``before`` says; what it says beyond that is no difference."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name, value in before.items():
            yield from differences(value, now.get(name, "missing"), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (value, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(value, other, f"{path}[{index}]")
    elif before != now:
        yield f"{path}: {before} became {now}"


SCORED_ANEW = {
    "miou", "f1", "score", "regret", "mean", "std", "ci95", "ci95_images", "miou_mean", "miou_std", "miou_ci95",
    "difference", "difference_ci95", "difference_low", "difference_high",
}  # fmt: skip
"""What follows from a mean over classes: its rule then let the predictions say over which classes it is."""

ABSENT = ".classes[7].iou"
"""Class 6 has no labelled pixel in these studies' validation split; most trials predict it somewhere."""


def unexplained(before: Any, now: Any) -> list[str]:
    """Differences in what no mean over classes enters."""
    found = [text.split(":")[0] for text in differences(before, now)]
    return [path for path in found if path.rpartition(".")[2] not in SCORED_ANEW and not path.startswith(ABSENT)]


def compared(root: Path, study: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(compare_studies([results_of(open_store(root, study))]).to_json())
    return found


def test_a_stored_study_compares_to_what_it_did_but_for_added_fields(root: Path) -> None:
    now, before = compared(root, "stored"), json.loads((root / "stored.json").read_text())
    # The verdict is given at equal training now, and says where there was none.
    del before["verdict"]["sentence"]
    # A row that was added, behind those that were there.
    assert now["named"].pop()["name"] == "advised field"
    assert unexplained(before, now) == []
    assert now["means"]["absent"] == ["6"]
    assert now["classes"][7]["iou"] == dict.fromkeys(now["classes"][7]["iou"])
    assert {(row["steps"], row["device"]) for row in now["rows"]} == {(None, "cpu")}


def test_stored_trials_are_scored_anew_over_the_classes_that_are_labelled(root: Path) -> None:
    store = open_store(root, "stored")
    before = {row["key"]: row["miou"] for row in json.loads((root / "stored.json").read_text())["rows"]}
    changes = set()
    for trial in store.records():
        evidence = read_evidence(store.folder / "trials" / trial.key)
        assert evidence is not None
        assert trial.result is not None
        measured = scores(evidence.confusion.sum(0), evidence.class_names)
        assert (trial.result.miou, trial.result.mean_over) == (pytest.approx(measured.miou), "labelled")
        assert trial.result.iou_per_class == pytest.approx(measured.iou)
        changes.add(round(trial.result.miou / before[trial.key], 6))
    # A trial that predicted a pixel of the class without a label paid for it with an eleventh of its mIoU.
    assert changes == {1.0, 1.1}


def test_where_no_file_says_what_is_labelled_a_trial_says_old_rule_and_is_not_compared_with_new_ones(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "stored", tmp_path / "stored")
    for evidence in (tmp_path / "stored").rglob("evidence.safetensors"):
        evidence.unlink()
    store = open_store(tmp_path, "stored")
    comparison = compare_studies([results_of(store)])
    assert {row.rule for row in comparison.rows} == {"old rule"}
    assert all(row.counts for row in comparison.rows)
    records = store.records()
    newest = records[0]
    assert newest.result is not None
    records[0] = replace(newest, result=replace(newest.result, mean_over="labelled"))
    rows = compare("stored", records).rows
    assert [row.counts for row in rows] == [True, *[False] * (len(rows) - 1)]
    assert all("old rule" in str(row.reason) for row in rows[1:])


def test_a_stored_study_is_reported_and_each_configuration_parsed_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = search_space.parse

    def counted(kind: Any, values: Any, source: str) -> Any:
        parsed.append(source)
        return parse(kind, values, source)

    monkeypatch.setattr(search_space, "parse", counted)
    store = open_store(root, "stored")
    page = report_page([results_of(store)])
    assert "How the fields were learned" in page
    assert parsed == ["stored trial"] * len(store.attempts())


def test_an_unfinished_study_resumes_to_what_it_would_have_been(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "make", lambda *_: Here())
    monkeypatch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
    spec = study_spec(open_store(root, "unfinished"))
    module.search(spec, "unfinished", root, quiet=True)
    now, whole = compared(root, "unfinished"), json.loads((root / "unfinished_whole.json").read_text())
    assert [row["state"] for row in now["rows"]] == ["complete"] * 3
    for before, after in zip(whole["rows"], now["rows"], strict=True):
        for row in (before, before["measured"]):
            for name in MEASURED_ANEW & row.keys():
                del row[name]
        # The killed trial is at its second attempt.
        before["attempts"] = after["attempts"]
        assert unexplained(before, after) == []
    # Three steps an epoch; the first trial was finished by a version that did not count them.
    steps = [row["steps"] and row["steps"] / row["epochs"] for row in now["rows"]]
    assert steps == [None, 3, 3]


class Silent:
    """A mirror that mirrors nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_a_method_that_calls_its_own_value_miou_does_not_change_the_metric(
    tiny: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(name: str) -> Job:
        return Job(1, "key", Dilation(rate=2).model_dump(), 0, tiny, tmp_path / name)

    epochs: list[EpochReport] = []
    honest = runner.run(job("honest"), epochs.append)
    monkeypatch.setattr(
        "autorf.surgery.learning.adaptive_modules",
        lambda model: {"boaster": Boaster(), **adaptive_modules(model)},
    )
    boasting: list[EpochReport] = []
    result = runner.run(job("boasting"), boasting.append)
    assert result.learned["miou"] == 0.99
    assert (result.metrics, [report.metrics for report in boasting]) == (
        honest.metrics, [report.metrics for report in epochs]
    )  # fmt: skip
    assert EpochReport.from_json(boasting[-1].to_json()) == boasting[-1]


class Boaster:
    """A module of a method that learned nothing and says otherwise."""

    def values(self) -> dict[str, float]:
        return {"miou": 0.99}

    def advance(self, progress: float) -> None:
        pass

    def learning_rules(self) -> list[Any]:
        return []

    def search_state(self) -> None:
        return None

    def search_progress(self) -> None:
        return None
