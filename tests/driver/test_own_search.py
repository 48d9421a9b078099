"""A study whose trainings are a function of the user's own has everything that a study file's trials have."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import autorf
from autorf.errors import InputError, SearchWarning
from autorf.executors.inline import InlineExecutor
from autorf.running.loop_trial import LoopTrial
from autorf.running.own_loop import run_own_loop
from autorf.specification import parse
from autorf.store.store import open_store
from autorf.study.job import Job
from autorf.study.own_loop import OwnLoopSpec
from autorf.testing.executor_contract import EXECUTOR_CHECKS, ExecutorCase
from tests.cli.conftest import Shell, shell  # noqa: F401
from tests.driver.driving import Silent
from tests.driver.own_training import BY_HAND, LEARNED, confusions, network, train


@pytest.fixture(autouse=True)
def _unmirrored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow takes seconds a study; one test has it."""
    if "mirrored" not in request.node.name:
        monkeypatch.setattr("autorf.driver.search.open_mirror", lambda *_: nullcontext(Silent()))
    # Latency is no matter here.
    monkeypatch.setattr("autorf.running.cost.SECONDS", 0.0)


Score = Callable[[LoopTrial], float]
RATES = {"method": "dilation", "targets": "2", "rate": [1, 2, 3, 4]}


def searched(root: Path, train: Any = train, space: Any = (BY_HAND, LEARNED), **settings: Any) -> Any:
    given = {"name": "own", "steps": 120, "image_size": 16, "quiet": True, **settings}
    return autorf.search(train, list(space) if isinstance(space, tuple) else space, root=root, **given)


def reporting(score: Score, at: tuple[int, ...] = (20,)) -> Callable[[LoopTrial], None]:
    """A training of no steps that reports scores."""

    def train(trial: LoopTrial) -> None:
        trial.adapt(network())
        for step in at:
            trial.save({"step": step})
            if not trial.report(step, miou=score(trial)):
                return

    return train


def by_rate(trial: LoopTrial) -> float:
    return float(trial.method.model_dump()["rate"]) / 10


def test_a_study_of_ones_own_loop_is_trained_once_compared_and_reported(tmp_path: Path, shell: Shell) -> None:  # noqa: F811
    comparison = searched(tmp_path, seeds=(0, 1))
    grid = [group for group in comparison.groups if group.manual]
    assert [(group.rf, group.n, group.steps) for group in grid] == [([side, side], 2, 120) for side in (5, 7, 9)]
    assert comparison.verdict.equal_steps is not None
    assert comparison.recommendation is not None
    assert {row.state for row in comparison.rows} == {"complete"}
    # Whatever was trained for longer than the study's steps honoured trial.steps.
    controls = [row for row in comparison.rows if row.control]
    assert all(row.steps == row.params["training.steps"] for row in controls)
    begun = sorted(tmp_path.glob("own/trials/*/begun"))
    assert [path.read_text() for path in begun] == ["0\n"] * len(comparison.rows)
    again = searched(tmp_path, seeds=(0, 1))
    assert again.rows == comparison.rows
    assert [path.read_text() for path in begun] == ["0\n"] * len(comparison.rows)
    told = json.loads(shell.run("compare", "own", "--format", "json", "--root", str(tmp_path)).out)
    assert len(told["rows"]) == len(comparison.rows)
    page = autorf.report("own", root=tmp_path).read_text()
    assert "own_training:train" in page
    assert "autorf retrain" not in page
    refused = shell.refused("retrain", "own", "--root", str(tmp_path))
    assert "trained by your own function python:tests.driver.own_training:train" in refused


def test_more_seeds_only_add_trials_and_other_steps_are_refused(tmp_path: Path) -> None:
    train, space = reporting(by_rate), {"method": "dilation", "targets": "2", "rate": [1, 2]}
    one = searched(tmp_path, train, space, steps=20)
    two = searched(tmp_path, train, space, steps=20, seeds=(0, 1))
    assert two.rows[: len(one.rows)] == one.rows
    assert len(two.rows) == 2 * len(one.rows)
    with pytest.raises(InputError, match=r"training.steps: 20 became 30"):
        searched(tmp_path, train, space, seeds=(0, 1), steps=30)


@pytest.mark.slow
def test_worker_processes_give_the_numbers_of_this_process(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    here = searched(tmp_path / "here", search={"controls": False})
    there = searched(tmp_path / "there", workers=2, search={"controls": False})
    assert [(row.key, row.miou, row.dilation) for row in here.rows] == [
        (row.key, row.miou, row.dilation) for row in there.rows
    ]


@pytest.mark.slow
def test_ray_gives_the_numbers_of_this_process(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    here = searched(tmp_path / "here", search={"controls": False})
    there = searched(tmp_path / "there", executor="ray", workers=1, search={"controls": False})
    assert [(row.key, row.miou) for row in here.rows] == [(row.key, row.miou) for row in there.rows]


@pytest.mark.slow
def test_a_study_killed_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    script = Path(__file__).with_name("own_training.py")
    whole = searched(tmp_path / "whole", search={"controls": False})
    killed = subprocess.Popen([sys.executable, str(script), str(tmp_path / "cut"), "0.3"], env={**os.environ})
    checkpoints = tmp_path / "cut" / "own" / "trials"
    deadline = time.monotonic() + 120
    # Into the second trial, which has a checkpoint then.
    while len(list(checkpoints.glob("*/begun"))) < 2 or not list(checkpoints.glob("*/checkpoint.safetensors")):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    finished = {record.key for record in open_store(tmp_path / "cut", "own").records() if record.state == "complete"}
    assert len(finished) == 1
    subprocess.run([sys.executable, str(script), str(tmp_path / "cut"), "0"], check=True, timeout=240)
    rows = autorf.compare("own", root=tmp_path / "cut").rows
    assert [(row.key, row.miou, row.dilation) for row in rows] == [
        (row.key, row.miou, row.dilation) for row in whole.rows
    ]
    begun = {path.parent.name: path.read_text().split() for path in checkpoints.glob("*/begun")}
    assert all(begun[key] == ["0"] for key in finished)
    resumed = [starts for starts in begun.values() if len(starts) == 2]
    assert len(resumed) == 1
    assert resumed[0][1] in ("40", "80", "120")
    assert not list(checkpoints.glob("*/checkpoint*"))


def test_pruning_stops_trials_that_lag_and_continues_those_that_are_promoted(tmp_path: Path) -> None:
    pruning = {"pruning": {"min_epochs": 1, "reduction": 2}, "controls": False}
    at = (5, 10, 15, 20)
    comparison = searched(tmp_path, reporting(by_rate, at), RATES, steps=20, search=pruning)
    states = [row.state for row in comparison.rows]
    assert states[-1] == "complete"
    assert "pruned" in states
    assert {row.steps for row in comparison.rows if row.state == "complete"} == {20}
    assert {row.epochs for row in comparison.rows if row.state == "pruned"} <= {1, 2}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_samplers_draw_from_ranges(sampler: str, tmp_path: Path) -> None:
    space = {"method": "dilation", "targets": "2", "rate": {"low": 1, "high": 6}}
    search = {"sampler": sampler, "budget": {"trials": 4}}
    comparison = searched(tmp_path, reporting(by_rate), space, steps=20, search=search)
    assert len({row.params["rate"] for row in comparison.rows}) == 4


def test_arguments_of_ones_own_are_axes_and_scores_without_confusions_are_compared(tmp_path: Path) -> None:
    space = {"method": "dilation", "targets": "2", "rate": 1, "model.args.width": [0.2, 0.4]}
    score: Score = lambda trial: trial.args["width"] + 0.01 * trial.seed  # noqa: E731
    comparison = searched(tmp_path, reporting(score), space, steps=20, seeds=(0, 1, 2), metric="miou")
    assert [round(group.mean, 2) for group in comparison.groups] == [0.21, 0.41]
    assert all(group.ci95 is not None and group.ci95_images is None for group in comparison.groups)


def test_a_method_lengthens_its_training_and_the_function_is_told(tmp_path: Path) -> None:
    space = {"method": "learned_dilation", "targets": "2", "search": 0.5, "extra": 0.5}
    comparison = searched(tmp_path, space=space, steps=80)
    assert comparison.rows[0].steps == 120


def test_a_resumed_trial_draws_the_random_numbers_of_the_uninterrupted_one(tmp_path: Path) -> None:
    drawn: dict[str, list[float]] = {}

    def train(trial: LoopTrial, name: str, *, cut: bool) -> None:
        trial.adapt(network())
        state = trial.restore()
        values = drawn.setdefault(name, [] if state is None else list(state["values"]))
        for step in range(len(values), 4):
            values.append(float(torch.rand(())))
            trial.save({"values": values})
            trial.report(step + 1, miou=values[-1])
            if cut and step == 1:
                values[:] = values[:2]
                raise RuntimeError("cut")

    space = {"method": "dilation", "targets": "2", "rate": 1}
    searched(tmp_path / "whole", partial(train, name="whole", cut=False), space, steps=4)
    with pytest.warns(SearchWarning, match="1 of 1 trials of own failed, such as for: RuntimeError: cut"):
        searched(tmp_path / "cut", partial(train, name="cut", cut=True), space, steps=4)
    row = searched(tmp_path / "cut", partial(train, name="cut", cut=False), space, steps=4, retry_failed=True).rows[0]
    assert drawn["cut"] == drawn["whole"]
    assert (row.state, row.epochs, row.attempts) == ("complete", 4, 2)


def never_wrong(trial: LoopTrial) -> None:
    reporting(by_rate)(trial)


def as_good(trial: LoopTrial) -> None:
    reporting(by_rate)(trial)


def never(trial: LoopTrial) -> None:
    trial.adapt(network())


def unadapted(trial: LoopTrial) -> None:
    trial.report(20, miou=0.5)


def unadvanced(trial: LoopTrial) -> None:
    trial.adapt(network())
    trial.report(20, miou=0.5)


def says(**report: Any) -> Callable[[LoopTrial], None]:
    def train(trial: LoopTrial) -> None:
        trial.adapt(network())
        trial.report(report.get("step", 20), **{name: value for name, value in report.items() if name != "step"})

    return train


COUNTS = torch.tensor([[[9, 1], [2, 8]], [[3, 3], [9, 5]]])


def swaps(trial: LoopTrial) -> None:
    trial.adapt(network())
    trial.report(10, confusions=COUNTS)
    trial.report(20, confusions=COUNTS.transpose(1, 2))


def two_models(trial: LoopTrial) -> None:
    trial.adapt(network())
    trial.adapt(network())


def backwards(trial: LoopTrial) -> None:
    trial.adapt(network())
    trial.report(10, miou=0.5)
    trial.report(10, miou=0.5)


def unpackable(trial: LoopTrial) -> None:
    trial.save({"optimizer": {"state": object()}})


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        (never, r"returned without a report; call trial.report\(step, confusions=...\) after each validation, the"),
        (unadapted, r"the trial's method is in no model; call trial.adapt\(model\)"),
        (says(step=10, miou=0.5), r"returned too early: its last report is of step 10, the trial has 20 \(trial"),
        (says(step=21, miou=0.5), r"trial.report: step must be a whole number from 1 to 20, got 21"),
        (says(accuracy=0.5), r"nobody asked for 'accuracy'; the study compares miou, and of other metrics takes miou"),
        (says(f1=0.5), r"the study compares miou, got f1; give miou=..., or confusions"),
        (says(), r"the study compares miou, got none"),
        (says(miou=float("nan")), r"miou must be a number, got nan"),
        (says(miou="high"), r"miou must be a number, got 'high'"),
        (says(miou=73.2), r"miou must be a share from 0 to 1, got 73.2; divide percent by 100"),
        (says(miou=0.5, loss=float("inf")), r"loss must be a number, got inf"),
        (says(miou=0.5, confusions=COUNTS), r"miou follows from confusions; give one of the two"),
        (says(confusions=COUNTS.permute(1, 2, 0)[:, :1]), r"\[image, truth, predicted\], got shape \(2, 1, 2\)"),
        (says(confusions=COUNTS[0]), r"one matrix an image, got \(2, 2\); of one image give confusions\[None\]"),
        (says(confusions=COUNTS / 20), r"whole, and not below 0; not shares of them"),
        (swaps, r"truth and predicted swapped against the trial's earlier reports"),
        (two_models, r"the trial has a model already; a trial trains one"),
        (backwards, r"step 10 comes behind step 10; report each step once, in order"),
        (unpackable, r"state.state.optimizer.state: an object cannot be kept in a checkpoint; keep tensors"),
    ],
)  # fmt: skip
def test_what_a_function_does_wrong_is_one_line(train: Any, reason: str, tmp_path: Path) -> None:
    values = {
        "name": "own",
        "data": {"image_size": 16},
        "loop": "train",
        "search_space": [BY_HAND],
        "training": {"steps": 20, "validate_every": 1},
    }
    job = Job(
        1, "key", {"method": "dilation", "targets": "2", "rate": 1}, 0, parse(OwnLoopSpec, values, "test"), tmp_path
    )
    with pytest.raises(InputError, match=reason):
        run_own_loop(job, lambda _: None, train=train)


def test_a_function_that_ends_the_program_ends_its_trial(tmp_path: Path) -> None:
    space = {"method": "dilation", "targets": "2", "rate": 1}
    with pytest.warns(SearchWarning, match="SystemExit: 3"):
        row = searched(tmp_path, lambda trial: sys.exit(3), space, steps=20).rows[0]
    assert (row.state, row.reason) == ("failed", "SystemExit: 3")


def test_a_search_that_is_left_open_fails(tmp_path: Path) -> None:
    with pytest.warns(
        SearchWarning, match=r"trained all 20 steps, but nothing was searched in '2': call autorf.advance"
    ):
        searched(tmp_path, unadvanced, LEARNED, steps=20)


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        (COUNTS.transpose(1, 2), "truth and predicted swapped against the study's earlier trials"),
        (COUNTS[:1], r"shape \(1, 2, 2\), in the study's earlier trials \(2, 2, 2\)"),
        (COUNTS.flip(0), "image 0 has other labels than in the study's earlier trials"),
        (None, "had no confusions, unlike in the study's earlier trials"),
    ],
)
def test_confusions_of_other_images_than_the_first_trials_fail(others: Any, reason: str, tmp_path: Path) -> None:
    def train(trial: LoopTrial) -> None:
        trial.adapt(network())
        first = by_rate(trial) == 0.1
        trial.report(
            20, **({"confusions": COUNTS if first else others} if first or others is not None else {"miou": 0.5})
        )

    with pytest.warns(SearchWarning, match=reason):
        rows = searched(tmp_path, train, {"method": "dilation", "targets": "2", "rate": [1, 2]}, steps=20).rows
    assert [row.state for row in rows] == ["complete", "failed"]


def inner() -> Callable[[LoopTrial], None]:
    return reporting(by_rate)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"train": 3}, "train must be a function that takes a trial, got an int"),
        ({"train": lambda: None}, r"train is called with the trial alone, train\(trial\); it takes \(\)"),
        ({"train": lambda trial: None, "workers": 2}, "<lambda> is a lambda, so other processes cannot import it"),
        ({"train": inner(), "workers": 2}, "is defined inside another function, so other processes cannot import it"),
        ({"train": partial(train, pause=0.0), "executor": "ray"}, "is a partial, no function of a module"),
        ({"space": {"rate": [1, 2]}}, "method: "),
        ({"space": {"method": "dilatoin"}}, "did you mean dilation"),
        ({"space": []}, "space must be a search space or a list of them"),
        ({"space": [3]}, "space: a name, .* got 3"),
        ({"space": {"method": "dilation", "rate": 1, "training.lr": [0.1, 0.2]}}, "call the axis model.args.NAME"),
        ({"space": {"method": "baseline"}}, "baseline"),
        ({"image_size": None}, "image_size is missing: give the height and width"),
        ({"metric": "accuracy"}, "metric 'accuracy': one of miou, f1, pixel_accuracy"),
        ({"search": {"objectives": ["f1"]}}, "the first one is the metric, miou"),
        ({"search": {"sampler": "sufficient"}, "seeds": (0, 1)}, "sampler sufficient orders configurations by"),
        ({"search": {"prior": {"rnorm": 0.5}}}, "a prior orders configurations by their fields"),
        ({"search": {"sampler": "tpe"}}, "needs an end"),
        ({"search": {"pruning": {"min_epochs": 120}}}, "nothing is left to prune"),
        ({"search": {"samplr": "grid"}}, "samplr"),
        ({"search": "grid"}, "search takes the keys of a study file's search: and their values, got 'grid'"),
        ({"executor": 3}, "executor takes the keys of a study file's executor"),
        ({"tracking": [1]}, "tracking takes the keys of a study file's tracking"),
        ({"name": "../up"}, "search: name '../up': a study's name becomes a folder"),
        ({"steps": 0}, "steps must be a whole number from 1"),
        ({"seeds": (1, 1)}, "seeds must be a list of different integers"),
        ({"classes": ["road"]}, "classes must be different names, at least two"),
        ({"executor": "slurm"}, "slurm"),
        ({"executor": {"kind": "ray", "resources": {"processes": 2}}}, "train is one process a trial"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_before_anything_is_written(
    settings: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=problem):
        searched(tmp_path, settings.pop("train", train), settings.pop("space", BY_HAND), **settings)
    assert not any(tmp_path.iterdir())


def test_code_that_changed_is_refused_unless_it_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "mine.py"
    text = (
        "from tests.driver.test_own_search import *\ntrain = None\ndef train(trial):\n    reporting(by_rate)(trial)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    space = {"method": "dilation", "targets": "2", "rate": 1}

    def train_of(text: str) -> Any:
        script.write_text(text)
        sys.modules.pop("mine", None)
        import mine  # type: ignore[import-not-found]

        return mine.train

    try:
        searched(tmp_path / "runs", train_of(text), space, steps=20)
        other = text.replace("reporting(by_rate)", "reporting(lambda trial: 0.5)")
        with pytest.raises(InputError, match=r"other code: mine changed in line 4 .*accept_code_change=True"):
            searched(tmp_path / "runs", train_of(other), space, steps=20)
        with pytest.warns(SearchWarning, match="the study's code changed from"):
            searched(tmp_path / "runs", train_of(other), space, steps=20, accept_code_change=True)
    finally:
        sys.modules.pop("mine", None)


def test_another_function_is_refused_although_its_file_is_the_same(tmp_path: Path) -> None:
    space = {"method": "dilation", "targets": "2", "rate": 1}
    searched(tmp_path, never_wrong, space, steps=20)
    with pytest.raises(InputError, match="began with the function never_wrong, not as_good; give another name"):
        searched(tmp_path, as_good, space, steps=20)


def test_pruning_says_where_reports_are_of_different_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def train(trial: LoopTrial) -> None:
        reporting(by_rate, (5 + int(10 * by_rate(trial)), 20))(trial)

    search = {"pruning": {"min_epochs": 1, "reduction": 2}, "controls": False}
    searched(tmp_path, train, RATES, steps=20, search=search, quiet=False)
    said = capsys.readouterr().out
    assert "pruning compares report 1 of each trial, and these are of steps 6 and 7: have train report" in said
    assert said.count("pruning compares") == 1


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    def train(trial: LoopTrial) -> None:
        trial.adapt(network())
        trial.folder.mkdir(parents=True, exist_ok=True)
        (trial.folder / "checkpoint.safetensors").write_bytes(b"half of it")
        assert trial.restore() is None
        trial.report(20, miou=0.5)

    row = searched(tmp_path, train, {"method": "dilation", "targets": "2", "rate": 1}, steps=20).rows[0]
    assert row.reason is not None
    assert row.reason.startswith("checkpoint.safetensors is cut or damaged")
    assert row.reason.endswith("started afresh")


def test_a_study_of_another_kind_keeps_its_name(tmp_path: Path) -> None:
    method = autorf.Dilation(rate=1)
    autorf.record("own", method, 0, confusions(network()), steps=5, seconds=1, rf=5, image_size=16, root=tmp_path)
    with pytest.raises(InputError, match=r"'own' under .* is the study of trainings that were recorded; give another"):
        searched(tmp_path)
    searched(tmp_path, reporting(by_rate), {"method": "dilation", "targets": "2", "rate": 1}, name="mine", steps=20)
    with pytest.raises(InputError, match="is one that autorf trains"):
        autorf.record("mine", method, 0, confusions(network()), steps=5, seconds=1, rf=5, image_size=16, root=tmp_path)


def test_which_rate_is_a_foreign_networks_own_is_not_claimed(tmp_path: Path) -> None:
    comparison = searched(tmp_path, reporting(by_rate), RATES, steps=20)
    assert "default" not in {named.name for named in comparison.named}


@pytest.mark.slow
def test_it_is_mirrored_to_mlflow(tmp_path: Path) -> None:
    import mlflow

    searched(tmp_path, reporting(by_rate), {"method": "dilation", "targets": "2", "rate": [1, 2]}, steps=20)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("own")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    scores = [run.data.metrics["miou"] for run in runs if "autorf.trial_key" in run.data.tags]
    assert sorted(scores) == [0.1, 0.2]


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import autorf\ndef train(trial): ...\n"
        "autorf.search(train, 'dilation', name='own', steps=2, image_size=16, root='runs', workers=2)\n"
    )
    ran = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "put the call under if __name__ ==" in ran.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("check", EXECUTOR_CHECKS)
def test_trials_in_this_process_keep_the_executors_contract(check: str, tmp_path: Path) -> None:
    EXECUTOR_CHECKS[check](ExecutorCase(InlineExecutor, tmp_path))
