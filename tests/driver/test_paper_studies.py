"""The papers' studies on faces: their networks, the trials that their figures are of, and two steps of each."""

import json
import re
from pathlib import Path

import pytest

from autorf.cli.dry_run import dry_run
from autorf.comparison import StudyResults, compare_studies
from autorf.distillation import distill as distilling
from autorf.errors import InputError
from autorf.methods import is_manual
from autorf.reporting import report_page
from autorf.running.at_start import field_at_start
from autorf.running.runner import seeded_network
from autorf.study.builtin import names
from autorf.study.trial import spec_of
from tests.data.faces import write_helen, write_lfw
from tests.distillation.small import Here as StagesHere
from tests.driver.papers import meant_by, searched, study, trials_of

PAPERS = [name for name in names("studies") if name.startswith(("paper_helen", "paper_lfw"))]
SEARCHED = [name for name in PAPERS if name != "paper_helen_distill"]
WITH_CENTRES = ("paper_helen_ablation", "paper_helen_sc_loss", "paper_lfw")
FIVE = [[16.0, 14], [28, 15], [22, 21], [17, 28], [27, 28]]


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_study_names_its_table_and_what_it_should_meet(name: str) -> None:
    spec = study(name)
    assert spec.published
    assert {figure.paper for figure in spec.published} <= {"Wei et al. 2018", "Wei et al. 2019"}
    assert all(0.7 < figure.value < 1 for figure in spec.published)
    assert spec.training.optimizer == "sgd"


@pytest.mark.parametrize("name", SEARCHED)
def test_each_published_figure_is_of_one_configuration(name: str) -> None:
    spec = study(name)
    for figure in spec.published:
        meant = meant_by(spec, figure.where)
        assert len(meant) == 1, (figure.row, [each.setting for each in meant])


def test_table_iv_has_a_configuration_for_every_figure_and_a_figure_for_every_configuration() -> None:
    spec = study("paper_helen_sc_loss")
    assert len(trials_of(spec)) == len(spec.published) == 21


def faces(tmp_path: Path, name: str) -> list[str]:
    """Small data in the official layout with landmarks; the overrides that name them."""
    is_lfw = study(name).data.name == "lfw"
    root = write_lfw(tmp_path / "data", size=(40, 44)) if is_lfw else write_helen(tmp_path / "data", 2, 1, 1)
    stems = [path.stem for path in root.rglob("*.jpg")]
    (root / "points.json").write_text(json.dumps(dict.fromkeys(stems, FIVE)))
    return [f"data.root={root}", f"data.landmarks.root={root / 'points.json'}"]


SMALL = (
    "model.pretrained=false", "model.channels=[8, 8]", "training.steps=2", "training.validate_every=2",
    "training.seeds=[0]", "data.align.mask_size=[40, 40]",
)  # fmt: skip


def run_two_steps(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> StudyResults:
    # At stride 8, a map that the largest dilation of the study still sees more than its own pixel of.
    side = 128 if "2018" in study(name).published[0].paper else 32
    spec = study(name, *SMALL, *more, *faces(tmp_path, name), f"data.image_size=[{side}, {side}]")
    spaces = [dict(space) for space in spec.search_space if isinstance(space, dict)]
    for space in spaces:
        if "data.image_size" in space:
            # The paper's sizes would take minutes.
            space.update({"data.image_size": [[32, 32], [64, 64]], "rate": [1, 2]})
    spec = spec.model_copy(update={"search_space": tuple(spaces)})
    results = searched(spec, name, tmp_path, monkeypatch)
    comparison = compare_studies([results])
    assert {row.state for row in comparison.rows} == {"complete"}, [row.reason for row in comparison.rows]
    if not any("data.image_size" in space for space in spaces):
        assert len(comparison.published) == len(spec.published)
        for figure in comparison.published:
            assert figure.n == 1, figure.row
            assert "published; here 0." in figure.sentence
    return results


def test_two_steps_of_a_papers_study_run_and_compare_prints_the_published_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another backbone, whose weights are drawn in a fraction of the time; the VGG is among the slow tests.
    run_two_steps("paper_lfw", tmp_path, monkeypatch, "model.name=largefov:resnet18")


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHED)
def test_two_steps_of_every_papers_study_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = report_page([run_two_steps(name, tmp_path, monkeypatch)])
    assert "Against the paper" in page
    assert ("Centres of the classes" in page) == (name in WITH_CENTRES)
    assert study(name).published[0].row.replace("&", "&amp;") in page


@pytest.mark.slow
def test_two_epochs_of_the_papers_distillation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = faces(tmp_path, "paper_helen_distill")
    overrides = [
        *data, "data.image_size=[32, 32]", "training.seeds=[0]", "data.align.mask_size=[40, 40]",
        "distill.teacher.model.pretrained=false", "distill.teacher.model.channels=[8, 8]", "distill.teacher.epochs=1",
        "distill.supervised.epochs=2", "distill.unsupervised.epochs=1", "distill.top_k=10",
        f"distill.unlabelled.folder={tmp_path / 'data' / 'images'}",
        f"distill.unlabelled.landmarks={tmp_path / 'data' / 'points.json'}",
    ]  # fmt: skip
    monkeypatch.setattr(distilling, "make_executor", lambda *_: StagesHere())
    outcome = distilling.distill(study("paper_helen_distill", *overrides), "p", tmp_path / "runs", quiet=True)
    assert outcome.table is not None
    assert [row.stage for row in outcome.table.rows] == ["teacher", "alone", "supervised", "unsupervised"]
    assert len(outcome.table.published) == 4
    assert (
        "Table VIII, + unsupervised distillation stage: f1_overall 0.8970 published; here"
        in outcome.table.published[-1]
    )


# Fields are of the output at the image's size: 8 pixels (4 of a doubled map) more than the papers' own count.
@pytest.mark.parametrize(
    ("name", "fields", "parameters"),
    [
        pytest.param("paper_helen_ablation", {236: 236 / 256, 172: 172 / 256}, 20_496_203, marks=pytest.mark.slow),
        pytest.param("paper_helen_single", {268: 268 / 500, 508: 508 / 500}, 23_635_787, marks=pytest.mark.slow),
        ("paper_lfw", {236: 236 / 320}, 20_488_579),
    ],
)
def test_networks_and_fields_are_those_of_the_papers(name: str, fields: dict[int, float], parameters: int) -> None:
    spec = study(name, "model.pretrained=false")
    classes = 3 if spec.data.name == "lfw" else 11
    manual = [trial for trial in trials_of(spec) if is_manual(trial.method.method)]
    measured = {}
    for trial in manual:
        if name != "paper_helen_single" or trial.configuration["rate"] in (2, 12):
            field = field_at_start(spec, trial, classes)
            measured[round(field.rf[0])] = field.rnorm
    assert measured == pytest.approx(fields)
    own = spec_of(spec, manual[0])
    assert sum(p.numel() for p in seeded_network(own, 0, classes).parameters()) == parameters


# Of the first configuration: its field, and its parameters.
STARTS = {
    "paper_helen_ablation": (236, 20_496_203),
    "paper_helen_bipath": (364, 32_555_862),
    "paper_helen_single": (268, 23_635_787),
    "paper_lfw": (236, 20_488_579),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHED)
def test_the_dry_run_of_every_papers_study_has_its_numbers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(study(name, "model.pretrained=false", *faces(tmp_path, name)), name, tmp_path / "runs") == 0
    said = capsys.readouterr().out
    rows = [line for line in said.splitlines() if re.match(r"\s*[0-9a-f]{12} ", line)]
    assert len(rows) >= len(trials_of(study(name)))
    assert "Layers of dilation: " in said
    if name in STARTS:
        rf, parameters = STARTS[name]
        assert any(str(rf) in line.split() and str(parameters) in line.split() for line in said.splitlines())


def test_a_published_figure_of_nothing_is_refused() -> None:
    def fails(entry: str, said: str) -> None:
        with pytest.raises(InputError) as error:
            study("paper_lfw", f"published=[{{paper: a, table: 1, row: b, value: 0.5, {entry}}}]")
        assert said in str(error.value)
        assert len(str(error.value)) <= 400

    fails("metric: miuo", "published.0.metric: no trial reports it; did you mean miou")
    fails("metric: latency_ms", "figures of papers are of metrics")
    fails("metric: f1_nose", "published.0: f1_nose: the data set lfw has f1_background, f1_hair, f1_face")
    fails(
        "metric: miou, where: {model.upsmple: 2}", "published.0.where: model.upsmple: cannot be searched: it is no key"
    )
    fails(
        "metric: miou, where: {rat: 2}", "published.0.where: 'rat' is no field of a method and no key of the study file"
    )
    fails("metric: miou, where: {model.upsample: 3}", "upsample")
    fails("metric: miou, stage: teacher", "published.0.stage: teacher: the study has no section distill")
