import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autorf.deployment import retrain as module
from autorf.deployment.model_card import with_interval
from autorf.deployment.retrain import Options, retrain
from autorf.errors import InputError
from autorf.executors import Event, Failure
from autorf.running.evidence import read_evidence
from autorf.store.store import open_store
from autorf.study.job import Job
from autorf.study.spec import StudySpec
from autorf.training.results import EpochReport
from tests.reports import trial_result
from tests.study.trained import LEARNED, MANUAL, UNFINISHED, Here


@pytest.fixture
def root(trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained[0], tmp_path / "runs")
    monkeypatch.setattr(module, "make_local", lambda *_: Here())
    return tmp_path / "runs"


@pytest.fixture
def keys(trained: tuple[Path, list[str]]) -> list[str]:
    return trained[1]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_winner_is_retrained_tested_and_loads_in_three_lines_elsewhere(
    root: Path, keys: list[str], tmp_path: Path
) -> None:
    outcome = retrain(root, "tiny", Options(seeds=(0, 3), best=True, search_again=True), quiet=True)
    card = outcome.card
    assert card is not None
    assert outcome.folder == root / "tiny" / "retrained" / keys[LEARNED]
    shipped, other = card.seeds
    assert {shipped, other} == {0, 3}
    assert set(files(outcome.folder)) == {
        "README.md", "metrics.json", "model.safetensors", "autorf.json", "pattern.json",
        f"seeds/{other}/model.safetensors", f"seeds/{other}/autorf.json",
    }  # fmt: skip
    assert [path.name for path in outcome.folder.parent.iterdir()] == [keys[LEARNED]]
    # The same seed and epochs as the trial: the same weights.
    trial = root / "tiny" / "trials" / keys[LEARNED]
    again = outcome.folder if shipped == 0 else outcome.folder / "seeds" / "0"
    assert (again / "model.safetensors").read_bytes() == (trial / "model.safetensors").read_bytes()

    found = json.loads((outcome.folder / "metrics.json").read_text())
    assert (found["split"], found["n_images"], found["seeds"]) == ("test", 8, [shipped, other])
    miou = found["metrics"]["miou"]
    assert miou["mean"] == pytest.approx(sum(miou["seeds"]) / 2)
    assert miou["ci95"] > 0
    own = miou["seeds"][0]
    assert found["shipped"] == {"seed": shipped, "metrics": {n: m["seeds"][0] for n, m in found["metrics"].items()}}
    text = (outcome.folder / "README.md").read_text()
    assert f"| mIoU | {own:.4f} | {with_interval(miou)} |" in text
    assert f"the model here is that of seed {shipped}, the best on the validation split" in text
    assert "trained anew to the full budget" in text
    assert found["per_class"].keys() == {"background", *"0123456789"}

    lines = card.loading(str(outcome.folder))
    assert len(lines.splitlines()) == 3
    use = "import torch\nprint(tuple(model(torch.zeros(1, 3, 48, 48)).shape), model.training)"
    done = subprocess.run([sys.executable, "-c", lines + use], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 11, 48, 48) False"

    store = open_store(root, "tiny")
    assert store.retrains()[keys[LEARNED]]["seconds"] == card.train_seconds > 0
    assert store.retrains()[keys[LEARNED]]["seeds"] == [0, 3]
    with pytest.raises(InputError, match="exists already; --force replaces it"):
        retrain(root, "tiny", Options(), quiet=True)


def test_killed_in_an_epoch_the_same_call_ends_with_the_same_files(
    root: Path, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    before: list[EpochReport] = []

    def kill(event: Event) -> None:
        assert isinstance(event.payload, EpochReport)
        if event.payload.epoch == 2:
            raise KilledError
        before.append(event.payload)

    options = Options(trial=keys[LEARNED][:6], epochs=3)
    whole = files(retrain(root, "tiny", options, quiet=True, force=True).folder)
    shutil.rmtree(root / "tiny" / "retrained")
    monkeypatch.setattr(module, "make_local", lambda *_: Here(kill))
    with pytest.raises(KilledError):
        retrain(root, "tiny", options, quiet=True)
    assert not (root / "tiny" / "retrained" / keys[LEARNED]).exists()
    with pytest.raises(InputError, match="unfinished retrain of this trial has epochs 3"):
        retrain(root, "tiny", Options(trial=keys[LEARNED], epochs=2), quiet=True)
    seen: list[EpochReport] = []
    monkeypatch.setattr(module, "make_local", lambda *_: Here(lambda event: seen.append(event.payload)))
    resumed = files(retrain(root, "tiny", options, quiet=True).folder)
    # The first two are the checkpoint's own report, their seconds too: only the third was trained again.
    assert (seen[:2], [report.epoch for report in seen]) == (before, [0, 1, 2])
    assert resumed["model.safetensors"] == whole["model.safetensors"]
    assert json.loads(resumed["metrics.json"])["metrics"] == json.loads(whole["metrics.json"])["metrics"]


def test_the_test_split_is_evaluated_once_however_often_the_end_is_repeated(
    root: Path, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from autorf.running import runner

    evaluated: list[int] = []
    once = runner.evaluate
    monkeypatch.setattr(runner, "evaluate", lambda job, **how: (evaluated.append(job.seed), once(job, **how))[1])
    with monkeypatch.context() as patch:
        patch.setattr(module, "_move_into_place", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            retrain(root, "tiny", Options(trial=keys[MANUAL]), quiet=True)
    retrain(root, "tiny", Options(trial=keys[MANUAL]), quiet=True)
    assert evaluated == [0]


def test_with_val_trains_on_more_images_and_fixed_on_the_learned_dilation(root: Path, keys: list[str]) -> None:
    outcome = retrain(root, "tiny", Options(trial=keys[LEARNED], epochs=1, with_val=True), quiet=True)
    found = json.loads((outcome.folder / "metrics.json").read_text())
    learned = open_store(root, "tiny").record(keys[LEARNED]).result.learned["dilation"]
    assert found["configuration"] == {"method": "dilation", "rate": int(learned)}
    assert (found["n_train"], found["with_val"], found["fixed"]) == (32 + 12, True, True)
    assert "trained anew by `autorf retrain`" in (outcome.folder / "README.md").read_text()


def test_a_retrain_that_fails_says_why_and_leaves_no_folder(
    root: Path, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Here):
        def wait(self, timeout: float) -> list[Event]:
            return [Event(self.jobs.pop().row, "failed", Failure("out of memory"))]

    monkeypatch.setattr(module, "make_local", lambda *_: Failing())
    outcome = retrain(root, "tiny", Options(), quiet=True)
    assert (outcome.card, outcome.reason, outcome.folder.exists()) == (None, "out of memory", False)


def test_two_retrains_of_one_trial_at_once_are_refused(root: Path, keys: list[str]) -> None:
    target = root / "tiny" / "retrained" / keys[LEARNED]
    with (
        module._work_folder(target, {}, False),
        pytest.raises(InputError, match="another process is retraining this trial"),
    ):
        retrain(root, "tiny", Options(), quiet=True)


def test_without_a_test_split_the_card_says_that_validation_chose_it(
    root: Path, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    load = module.load
    monkeypatch.setattr(module, "load", lambda spec, cache: replace(load(spec, cache=cache), test=None))
    folder = retrain(root, "tiny", Options(trial=keys[MANUAL], epochs=1), quiet=True).folder
    assert "by which the configuration was chosen" in (folder / "README.md").read_text()
    val = retrain(root, "tiny", Options(trial=keys[MANUAL], epochs=1, with_val=True), quiet=True, force=True).folder
    assert "the validation images were trained on" in (val / "README.md").read_text()
    assert json.loads((val / "metrics.json").read_text())["metrics"] is None


def test_searching_leaves_the_test_split_alone(trained: tuple[Path, list[str]]) -> None:
    root, keys = trained
    evidence = read_evidence(root / "tiny" / "trials" / keys[LEARNED])
    assert evidence is not None
    assert evidence.n_images == 12


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        ("", r"--trial \(empty\): study 'tiny' has no such trial; it has .* learned_dilation"),
        ("zzz", "--trial zzz: study 'tiny' has no such trial"),
        (UNFINISHED, "dilation .rate 2. seed 0 is waiting; choose a complete trial"),
    ],
)
def test_a_trial_that_cannot_be_retrained_is_one_line(
    trained: tuple[Path, list[str]], trial: str | int, said: str
) -> None:
    root, keys = trained
    with pytest.raises(InputError, match=said):
        retrain(root, "tiny", Options(trial=keys[trial] if isinstance(trial, int) else trial))


def test_of_several_seeds_the_best_by_validation_is_shipped_unless_validation_was_trained_on(
    tiny: StudySpec, tmp_path: Path
) -> None:
    jobs = []
    for seed, miou in enumerate((0.2, 0.5, 0.3)):
        job = Job(seed, f"key-{seed}", {"method": "dilation", "rate": 1}, seed, tiny, tmp_path / str(seed))
        job.folder.mkdir()
        (job.folder / "result.json").write_text(json.dumps(trial_result(miou=miou).to_json()))
        jobs.append(job)
    assert [job.seed for job in module._best_first(jobs, tiny, Options())] == [1, 2, 0]
    assert [job.seed for job in module._best_first(jobs, tiny, Options(with_val=True))] == [0, 1, 2]
