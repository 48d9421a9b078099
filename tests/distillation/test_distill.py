"""A whole distillation: run once, printed as often as asked, begun anew only when told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autorf.distillation import distill as module
from autorf.distillation.distill import distill
from autorf.distillation.speed import speed_figure
from autorf.distillation.table import Table, sentences
from autorf.errors import InputError
from autorf.reporting.theme import LAYOUTS
from autorf.study.job import Job
from autorf.study.spec import parse_study
from tests.distillation.small import STUDY, Here, study

ORDER = ["teacher", "alone-0", "supervised-0", "unsupervised-0"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the stages that are run, each in this process."""
    keys: list[str] = []
    monkeypatch.setattr(module, "make_executor", lambda *_: Here(lambda job: keys.append(job.key)))
    return keys


def test_stages_run_once_in_order_and_the_table_is_there_again(run: list[str], tmp_path: Path) -> None:
    first = distill(study(), "small.yaml", tmp_path, quiet=True)
    assert run == ORDER
    assert first.table is not None
    assert [row.stage for row in first.table.rows] == ["teacher", "alone", "supervised", "unsupervised"]
    assert [row.steps for row in first.table.rows] == [2, 10, 4, 10]
    parameters = {row.stage: row.cost.parameters for row in first.table.rows}
    assert parameters["teacher"] > parameters["alone"] == parameters["unsupervised"]
    again = distill(study(), "small.yaml", tmp_path, quiet=True)
    assert (run, again.table) == (ORDER, first.table)
    names = {path.name for path in first.folder.rglob("*")}
    assert not any(name.startswith("checkpoint") for name in names)
    assert not (first.folder / "teacher_scores").exists()

    with pytest.raises(InputError, match=r"small.yaml: distill changed since .*; change it back"):
        distill(study(temperature=2), "small.yaml", tmp_path, quiet=True)

    # More seeds add stages, and train none again.
    two = parse_study({**STUDY, "training": {**STUDY["training"], "seeds": [0, 1]}}, "small.yaml")
    table = distill(two, "small.yaml", tmp_path, quiet=True).table
    assert run == [*ORDER, "alone-1", "supervised-1", "unsupervised-1"]
    assert table is not None
    assert table.row("alone").metrics["miou"]["seeds"][0] == first.table.row("alone").metrics["miou"]["mean"]
    assert table.row("unsupervised").gains["miou"]["ci95"] is not None


def test_the_page_has_speed_against_f1_and_the_centres_of_a_contextual_loss(run: list[str], tmp_path: Path) -> None:
    loss = ["cross_entropy", {"name": "contextual", "weight": 0.01}]
    spec = parse_study({**STUDY, "training": {**STUDY["training"], "loss": loss}}, "small.yaml")
    outcome = distill(spec, "small.yaml", tmp_path, quiet=True)
    text = (outcome.folder / module.REPORT).read_text()
    assert 'id="figure-speed"' in text
    assert "Centres of the classes" in text
    assert outcome.table is not None
    for layout in LAYOUTS:
        (axes,) = speed_figure(outcome.table, layout=layout).axes
        labels = {text.get_text() for text in axes.texts}
        assert labels == {"teacher", "student alone", "distilled", "+ unlabelled"}
        assert axes.get_xscale() == "log"


def test_a_stage_that_ended_is_not_run_again_after_a_kill(run: list[str], tmp_path: Path) -> None:
    def killed(job: Job) -> None:
        if job.key == "supervised-0":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "make_executor", lambda *_: Here(killed))
        with pytest.raises(KeyboardInterrupt):
            distill(study(), "small.yaml", tmp_path, quiet=True)
    assert distill(study(), "small.yaml", tmp_path, quiet=True).table is not None
    assert run == ["supervised-0", "unsupervised-0"]


def test_what_is_refused_leaves_nothing_behind_that_a_repaired_file_would_differ_from(
    run: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"small\.yaml: distill\.top_k"):
        distill(study(top_k=577), "small.yaml", tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_train", lambda *_: "no training today")
        assert distill(study(), "small.yaml", tmp_path, quiet=True).reason == "no training today"


def test_a_study_without_the_section_is_refused(tmp_path: Path) -> None:
    plain = parse_study({key: value for key, value in STUDY.items() if key != "distill"}, "small.yaml")
    with pytest.raises(InputError, match=r"small\.yaml: has no section distill"):
        distill(plain, "small.yaml", tmp_path)


def test_a_table_survives_json_and_says_what_it_shows() -> None:
    metric = {"mean": 0.5, "ci95": 0.01, "seeds": [0.5]}
    row = {"seeds": [0, 1], "metrics": {"miou": metric, "f1": metric}}
    costs = {"teacher": (300, 10.0), "alone": (100, 25.0), "supervised": (100, 25.0), "unsupervised": (100, 25.0)}
    rows = [
        {
            **row,
            "stage": stage,
            "steps": 4 if stage == "supervised" else 9,
            "gains": {} if stage in ("teacher", "alone") else {"miou": {"mean": 0.04, "ci95": 0.03}},
            "cost": {"parameters": cost[0], "frames_per_second": cost[1]},
        }
        for stage, cost in costs.items()
    ]
    table = Table.from_json({"study": "a", "n_images": 3, "rows": rows, "notes": []})
    assert Table.from_json(json.loads(json.dumps(table.to_json()))) == table
    assert sentences(table) == [
        "The teacher has 3 times the student's parameters, and the student segments 2.5 times as many images a second.",
        "Distilled: mIoU +0.040 ± 0.030 over the student alone (2 seeds, 4 steps against 9): better.",
        "Distilled, then without labels: mIoU +0.040 ± 0.030 over the student alone (2 seeds, equally many steps): "
        "better.",
    ]
    unsure = replace(table.row("unsupervised"), gains={"miou": {"mean": -0.01, "ci95": 0.03}})
    assert sentences(replace(table, rows=(*table.rows[:3], unsure)))[-1].endswith("no difference beyond chance.")
