"""MLflow's mirror of data in folds: trials say their fold, the study has the pooled scores."""

import json
from pathlib import Path

import pytest

from autorf.store.record import Record
from autorf.study.spec import parse_study
from autorf.tracking.mirror import Mirror
from tests.folded import DATA, Counts, of_row, pooled_miou, replicate
from tests.tracking.conftest import artifacts, leave_files, runs_of

EVEN: list[Counts] = [[[90, 10, 0], [10, 90, 0], [0, 0, 0]]] * 3
TINY: Counts = [[2, 0, 0], [0, 2, 0], [0, 0, 0]]
UNEVEN: list[Counts] = [TINY, TINY, [[500, 250, 0], [250, 500, 0], [0, 0, 0]]]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    values = {"name": "faces", "data": DATA, "model": {"name": "largefov:test_byobnet"}, "search_space": ["dilation"]}
    database, artifacts = f"sqlite:///{tmp_path}/mlflow.db", (tmp_path / "artifacts").as_uri()
    return Mirror(database, parse_study(values, "f"), "id", tmp_path / "study", artifacts)


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Of the second rate the mean of the folds' means is higher, of the first the pooled mIoU."""
    trials = of_row([*replicate(EVEN), *replicate(UNEVEN, rate=2)])
    for trial in trials:
        leave_files(tmp_path / "study", trial.key)
    return trials


def test_every_trial_has_its_fold_and_the_study_the_pooled_score_of_the_best(
    mirror: Mirror, records: list[Record]
) -> None:
    mirror.begin(records)
    mirror.close(records)
    runs = runs_of(mirror)
    assert [runs[record.key].data.tags["autorf.fold"] for record in records] == ["0", "1", "2"] * 2
    assert runs[records[1].key].data.params["data.fold"] == "1"
    study = runs["study"].data
    assert study.metrics["best_miou"] == pytest.approx(pooled_miou(EVEN))
    assert study.metrics["best_manual_miou"] == pytest.approx(pooled_miou(EVEN))
    assert study.tags["autorf.best_trial_key"] == records[0].key
    assert json.loads(study.params["data.folds"]) == 3
    assert "autorf.fold" not in study.tags


def test_no_fold_s_weights_are_kept_as_the_best_model(mirror: Mirror, records: list[Record]) -> None:
    mirror.begin(records)
    mirror.close(records)
    runs = runs_of(mirror)
    assert not [path for path in artifacts(mirror, runs["study"]) if path.startswith("best/")]
    assert runs[records[0].key].data.tags["autorf.weights"] == "model"
