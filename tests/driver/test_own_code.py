"""A study of the user's own network and data set, in two files that no package knows."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison import compare_studies, results_of
from autorf.deployment.export import export
from autorf.deployment.retrain import Options, retrain
from autorf.driver.plan import plan
from autorf.driver.search import Outcome, search
from autorf.errors import InputError
from autorf.executors.ray_worker import _job_from, config_of
from autorf.own_code.importing import importable
from autorf.reporting import write_report
from autorf.running.runner import run as run_trial
from autorf.store.code import NOTE, check_code, remember_code
from autorf.store.store import open_store
from autorf.study.job import Job
from autorf.study.own_code import with_own_code
from autorf.study.plain_yaml import read_yaml
from autorf.study.spec import StudySpec, parse_study

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_code"
SHORT = ("training.epochs=1", "training.seeds=[0]", "data.args={n_train: 16, n_val: 8, n_test: 4}")


def study(folder: Path, **changes: Any) -> StudySpec:
    spec = parse_study({**read_yaml(folder / "study.yaml"), **changes}, "study.yaml", SHORT)
    return with_own_code(spec, "study.yaml", folder)


def run(folder: Path, root: Path, *, accept: bool = False, **changes: Any) -> Outcome:
    return search(study(folder, **changes), "study.yaml", root, quiet=True, accept_code_change=accept)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example's files in ``code`` and its study under ``runs``; copied before it is changed."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(EXAMPLE, folder / "code")
    outcome = run(folder / "code", folder / "runs", search_space=[{"method": "dilation", "rate": [1, 2]}])
    assert (outcome.run, outcome.failed) == (2, 0)
    return folder


@pytest.fixture
def folder(searched: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "copied"
    shutil.copytree(searched, copied)
    return copied


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_a_study_goes_on_with_its_code_and_refuses_any_other_naming_the_line(folder: Path) -> None:
    code, root = folder / "code", folder / "runs"
    space = {"search_space": [{"method": "dilation", "rate": [1, 2, 3]}]}
    edit(code / "net.py", "bias=False", "bias=True")
    with pytest.raises(InputError, match=r"began with other code: net changed in line 7 \(was .*bias=False.* or keep"):
        run(code, root, **space)
    edit(code / "net.py", "bias=True", "bias=False")
    assert run(code, root, **space).run == 1


def test_a_change_is_accepted_once_and_both_digests_are_told_ever_after(folder: Path) -> None:
    code, root = folder / "code", folder / "runs"
    edit(code / "net.py", "bias=False", "bias=True")
    before = open_store(root, "own_code").notes()[NOTE]["digest"]
    outcome = run(code, root, accept=True, search_space=[{"method": "dilation", "rate": [1, 2, 3]}])
    assert outcome.run == 1
    assert "accepted: net changed in line 7" in outcome.warnings[-1]
    (change,) = open_store(root, "own_code").notes()[NOTE]["accepted"]
    assert change["before"] == before
    assert change["after"] != before
    run(code, root, search_space=[{"method": "dilation", "rate": [1, 2, 3]}])
    assert len(open_store(root, "own_code").notes()[NOTE]["accepted"]) == 1
    caution = next(text for text in compare_studies([results_of(open_store(root, "own_code"))]).notes if "code" in text)
    assert before in caution
    assert change["after"] in caution


@pytest.mark.parametrize("generator", ["torch.rand(())", "random.random()", "np.random.rand()", "self.rng.random()"])
def test_training_items_that_draw_from_a_generator_of_their_own_are_told_of(tmp_path: Path, generator: str) -> None:
    """A resumed trial would go on with other numbers."""
    shutil.copytree(EXAMPLE, tmp_path / "code")
    edit(tmp_path / "code" / "data.py", "import numpy as np\n", "import random\n\nimport numpy as np\n")
    edit(
        tmp_path / "code" / "data.py",
        "self.n, self.seed, self",
        "self.rng = np.random.default_rng()\n        self.n, self.seed, self",
    )
    edit(tmp_path / "code" / "data.py", "torch.rand(())", generator)
    spec = study(tmp_path / "code")
    with importable(spec.code):
        told = plan(spec, "study.yaml", tmp_path).warnings
    assert any("draw from a generator of their own" in line for line in told) == ("self.rng" in generator)
    assert all(len(line) <= 290 for line in told)


def test_comparing_and_reporting_need_no_code_and_run_none(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "code")
    store = open_store(folder / "runs", "own_code")
    assert len(json.loads(compare_studies([results_of(store)]).to_json())["rows"]) == 2
    assert write_report([store], tmp_path / "report.html").stat().st_size > 10_000
    assert "net" not in sys.modules


def test_a_retrained_model_is_exported_from_where_the_code_lies_and_not_from_elsewhere(
    searched: Path, folder: Path, tmp_path: Path
) -> None:
    root, moved = folder / "runs", folder / "code"
    # Where it lay when the study ran.
    (searched / "code").rename(searched / "gone")
    with pytest.raises(InputError, match=r"give the study file instead of its name where it moved"):
        retrain(root, "own_code", Options(), quiet=True)
    (searched / "gone").rename(searched / "code")
    outcome = retrain(root, "own_code", Options(epochs=1), quiet=True, code_folder=moved)
    assert outcome.card is not None
    assert "channels=4" in outcome.card.loading("FOLDER")
    exported = export(root, "own_code", format="torch", code_folder=moved, force=False)
    assert exported.shape[1:] == (4, None, None)
    edit(moved / "net.py", "width: int = 8", "width: int = 9")
    with pytest.raises(InputError, match="began with other code"):
        export(root, "own_code", format="torch", code_folder=moved, force=True)


def test_a_job_brings_the_code_to_a_worker_that_sees_no_file_of_it(folder: Path, tmp_path: Path) -> None:
    spec = study(folder / "code").with_n_train(16)
    job = Job(1, "key", {"method": "dilation", "rate": 1, "targets": "stem.0"}, 0, spec, tmp_path / "trial")
    sent = json.loads(json.dumps(config_of(job)))
    shutil.rmtree(folder / "code")
    arrived = _job_from(sent, job.folder)
    assert arrived.spec.code == spec.code
    result = run_trial(arrived, lambda report: None)
    assert result.metrics["miou"] >= 0


def test_references_in_search_spaces_are_read_too(folder: Path) -> None:
    shutil.copy(folder / "code" / "net.py", folder / "code" / "other.py")
    spec = study(
        folder / "code",
        search_space=[
            {"method": "dilation", "rate": 1, "model.name": ["python:./net.py:build", "python:./other.py:build"]}
        ],
    )
    assert spec.code is not None
    assert set(spec.code.modules) == {"net", "data", "other"}


def test_a_study_without_own_code_knows_of_none(tiny: StudySpec, tmp_path: Path) -> None:
    assert with_own_code(tiny, "tiny.yaml", tmp_path).code is None


@pytest.mark.parametrize(
    "damaged", [3, [], {}, {"digest": "a"}, {"folder": 1, "digest": "a", "digests": {}, "texts": {}}]
)
def test_what_a_study_remembers_of_its_code_may_be_damaged_and_is_remembered_anew(folder: Path, damaged: Any) -> None:
    store = open_store(folder / "runs", "own_code")
    store.note(NOTE, damaged)
    assert compare_studies([results_of(store)]).notes == ()
    assert check_code(store, study(folder / "code").code) is None
    remember_code(store, study(folder / "code").code)
    assert store.notes()[NOTE]["texts"].keys() == {"net", "data"}


def test_changed_code_takes_the_first_step_again(folder: Path) -> None:
    code, root = folder / "code", folder / "runs"
    edit(code / "net.py", "scores: Tensor =", "assert not self.training, 'not in training'\n        scores: Tensor =")
    with pytest.raises(InputError, match="the first step failed: AssertionError: not in training"):
        run(code, root, accept=True, search_space=[{"method": "dilation", "rate": [1, 2, 3]}])
    assert len(open_store(root, "own_code").records()) == 2
