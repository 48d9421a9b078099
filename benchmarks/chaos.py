"""Kill a study at random moments, resume it with the same command, and check that nothing was lost or repeated.

    python benchmarks/chaos.py --kills 200 --output benchmarks/results/chaos.md
    python benchmarks/chaos.py --kills 60 --epochs 30 --in-training --longest 3
    python benchmarks/chaos.py --kills 20 --executor ray
    python benchmarks/chaos.py --kills 12 --retrain
    python benchmarks/chaos.py --kills 12 --postgres postgresql+psycopg://me@127.0.0.1/postgres

Every kill is a SIGKILL, of the driver, of one of its workers, or under Ray of the node. Driver and local workers are
forked from this process, which has imported everything: a kill takes seconds, most of them spent in the study. With
``--in-training`` a kill is drawn only once an epoch was finished since the one before; local workers then also note
every epoch they begin, so what a kill cost is counted: at most one epoch of each trial that it interrupted. With
``--retrain`` the studies are left alone, and a retrain of each is killed. With ``--postgres`` every study has a
database of its own, which is made on that server.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

from autorf.store.record import Record
from autorf.store.store import open_store
from autorf.study.spec import StudySpec, parse_study

STUDY: dict[str, Any] = {
    "name": "chaos",
    "data": {"name": "digits", "image_size": 48, "object_size": 20, "n_train": 64, "n_val": 8, "n_test": 0},
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [
        {"method": "dilation", "rate": [1, 3]},
        {"method": "inflation", "dilation": 3},
        {"method": "inflation", "dilation": 3, "search": 0.2},
        {"method": "learned_dilation", "start": 4},
        {"method": "pixel_adaptive"},
    ],
    "training": {"epochs": 4, "batch_size": 16, "seeds": [0, 1]},
    # A control is as long as seconds that were measured, which differ from study to study.
    "search": {"controls": False},
    "executor": {"workers": 2},
}
UNEQUAL = ("train_seconds", "seconds", "cpu_seconds", "notes", "peak_memory_mb", "peak_memory", "latency_ms", "step_ms")
"""What two runs of one trial may differ in."""


@dataclass
class Tally:
    """What was killed, and what was found wrong after every study."""

    kills: Counter[str] = field(default_factory=Counter)
    studies: int = 0
    trials: int = 0
    attempts: int = 0
    repeated_epochs: int = 0
    begun_epochs: int = 0
    needed_epochs: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    parser.add_argument("--epochs", type=int, default=4, help="of each trial")
    parser.add_argument(
        "--in-training", action="store_true", help="kill only behind an epoch finished since the last kill"
    )
    parser.add_argument("--longest", type=float, default=6.0, help="seconds after a start or a kill until the next")
    parser.add_argument("--retrain", action="store_true", help="kill a retrain of every study instead of its search")
    parser.add_argument("--postgres", metavar="URL", help="of a server where databases may be made, one a study")
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    _warm_up()
    training = {**STUDY["training"], "epochs": options.epochs}
    spec = parse_study({**STUDY, "training": training, "executor": {"workers": 2, "kind": options.executor}}, "chaos")
    when = When(random.Random(options.seed), options.longest, options.in_training)
    with tempfile.TemporaryDirectory() as folder:
        kill = _killed_retrain if options.retrain else _killed_search
        tally = chaos(spec, Path(folder), options.kills, when, kill, options.postgres)
    text = _table(spec, tally)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return bool(tally.wrong)


class When(NamedTuple):
    """When kills are drawn: up to ``longest`` seconds after a start, a kill or, ``in_training``, an epoch since."""

    draw: random.Random
    longest: float
    in_training: bool


Killed = Callable[[StudySpec, Path, int, When, "Tally"], None]
"""Starts and kills one study, until it is complete or there were enough kills."""


def chaos(spec: StudySpec, folder: Path, kills: int, when: When, kill: Killed, postgres: str | None) -> Tally:
    """Kill studies until there were ``kills``, and compare each with an uninterrupted one."""
    began, tally = time.monotonic(), Tally()
    expected = folder / "expected"
    plain = spec.model_copy(update={"executor": parse_study(STUDY, "chaos").executor})
    _wait(_search(plain, expected))
    if kill is _killed_retrain:
        _wait(_retrain(plain, expected))
    _begun(expected).unlink(missing_ok=True)
    while sum(tally.kills.values()) < kills:
        root = folder / f"study-{tally.studies}"
        kill(_stored_at(postgres, spec, tally.studies), root, kills, when, tally)
        tally.wrong += [f"study {tally.studies}: {problem}" for problem in problems(root, expected, tally)]
        tally.studies += 1
        shutil.rmtree(root)
    tally.seconds = time.monotonic() - began
    return tally


def _stored_at(postgres: str | None, spec: StudySpec, number: int) -> StudySpec:
    """The study in a new database of that server; as it is without one."""
    if postgres is None:
        return spec
    import psycopg

    name = f"chaos_{os.getpid()}_{number}"
    with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type, unused-ignore]
    url = f"{postgres.rpartition('/')[0]}/{name}"
    return spec.model_copy(update={"storage": spec.storage.model_copy(update={"url": url})})


def _killed_search(spec: StudySpec, root: Path, kills: int, when: When, tally: Tally) -> None:
    """Start and kill one study until it is complete."""

    def is_complete() -> bool:
        return all(record.state == "complete" for record in open_store(root, spec.name, spec.storage).records())

    _killed(lambda: _search(spec, root), is_complete, spec.executor.kind, root, kills, when, tally)


def _killed_retrain(spec: StudySpec, root: Path, kills: int, when: When, tally: Tally) -> None:
    """Let a study come to its end, then start and kill a retrain until its folder is there."""
    _wait(_search(spec, root))

    def is_complete() -> bool:
        return any((root / "chaos" / "retrained").glob("[!.]*"))

    _killed(lambda: _retrain(spec, root), is_complete, "local", root, kills, when, tally)


def _killed(
    start: Callable[[], int],
    is_complete: Callable[[], bool],
    executor: str,
    root: Path,
    kills: int,
    when: When,
    tally: Tally,
) -> None:
    draw = when.draw
    while True:
        driver, hurt = start(), False
        if draw.random() < 0.8:
            _wait_for_workers(driver)
        while sum(tally.kills.values()) < kills and _runs_on(driver, root, when):
            what, victim = _victim(driver, executor, draw)
            tally.kills[what] += 1
            hurt = True
            _kill(victim)
            print(f"kill {sum(tally.kills.values())}: {what}", file=sys.stderr, flush=True)
            if what == "driver":
                break
        if what_failed := _wait(driver):
            # One that lost its Ray node ends and says so; the same command continues.
            if what_failed > 0 and not hurt:
                tally.wrong.append(f"study {tally.studies}: the driver ended with exit code {what_failed}")
                return
            continue
        if is_complete():
            return


def problems(root: Path, expected: Path, tally: Tally) -> list[str]:
    """What the promises do not hold for, of a study that was killed and resumed."""
    wanted = {record.key: record for record in open_store(expected, "chaos").records()}
    attempts = open_store(root, "chaos").attempts()
    tally.attempts += len(attempts)
    tally.trials += len(wanted)
    by_key: dict[str, list[Record]] = {}
    for record in attempts:
        by_key.setdefault(record.key, []).append(record)
    found = [] if set(by_key) == set(wanted) else ["other trials than the grid's"]
    for key, rows in by_key.items():
        found += [f"{key}: {problem}" for problem in _of_trial(rows, wanted[key])]
        tally.needed_epochs += len(wanted[key].history)
        tally.repeated_epochs += sum(len(row.history) for row in rows) - len(wanted[key].history)
        files = [folder / "chaos" / "trials" / key / "model.safetensors" for folder in (root, expected)]
        if files[0].read_bytes() != files[1].read_bytes():
            found.append(f"{key}: other weights")
    if _begun(root).exists():
        begun = len(_begun(root).read_text().splitlines())
        tally.begun_epochs += begun
        needed, interrupted = sum(len(one.history) for one in wanted.values()), len(attempts) - len(wanted)
        if begun > needed + interrupted:
            found.append(f"{begun} epochs begun, {needed} needed, {interrupted} interruptions")
    found += [f"{name}: is left behind" for name in _left_behind(root)] + _of_retrained(root, expected)
    try:
        return found + _in_mlflow(root, set(wanted))
    except Exception as error:
        return [*found, f"MLflow cannot be read: {str(error).splitlines()[0]}"]


def _of_trial(rows: list[Record], wanted: Record) -> list[str]:
    found = []
    complete = [row for row in rows if row.state == "complete"]
    if len(complete) != 1 or rows[-1].state != "complete":
        found.append(f"{len(complete)} complete attempts, the last one {rows[-1].state}")
    if len({row.attempt for row in rows}) != len(rows):
        found.append("an attempt is stored twice")
    if complete and _bits(complete[0].result.to_json()) != _bits(wanted.result.to_json()):
        values = complete[0].result.to_json()
        names = [name for name, value in wanted.result.to_json().items() if values.get(name) != value]
        found.append(f"another result: {', '.join(name for name in names if name not in UNEQUAL)}")
    reached = 0
    for row in rows:
        if row.history and row.history[0].epoch < reached - 1:
            found.append(f"attempt {row.attempt} repeated epochs from {row.history[0].epoch} after {reached}")
        reached = max([reached, *(report.epoch + 1 for report in row.history)])
    merged = {report.epoch: _bits(report.to_json()) for row in rows for report in row.history}
    if merged != {report.epoch: _bits(report.to_json()) for report in wanted.history}:
        found.append("other epochs")
    return found


def _left_behind(root: Path) -> list[str]:
    """Names of files that were being written when their process was killed."""
    return sorted(str(path.relative_to(root)) for path in root.rglob(".*"))


def _of_retrained(root: Path, expected: Path) -> list[str]:
    """What is wrong with the weights of a retrained model."""
    names = [str(path.relative_to(expected)) for path in (expected / "chaos" / "retrained").glob("*/model.safetensors")]
    return [f"{name}: other weights" for name in names if (root / name).read_bytes() != (expected / name).read_bytes()]


def _bits(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in UNEQUAL}


def _in_mlflow(root: Path, keys: set[str]) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("chaos")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    trials = Counter(run.data.tags.get("autorf.trial_key") for run in runs if run.data.tags["autorf.kind"] == "trial")
    found = [f"MLflow has {count} runs of {key}" for key, count in trials.items() if count > 1]
    if set(trials) != keys:
        found.append(f"MLflow has {len(trials)} trials of {len(keys)}")
    if len(runs) - sum(trials.values()) != 1:
        found.append(f"MLflow has {len(runs) - sum(trials.values())} runs of the study")
    return found


def _search(spec: StudySpec, root: Path) -> int:
    """A forked driver of the study."""

    def action() -> None:
        from autorf.driver.search import search

        search(spec, "chaos", root, retry_failed=True, quiet=True)

    return _start(action, root)


def _retrain(spec: StudySpec, root: Path) -> int:
    """A forked process that retrains the study's best trial."""

    def action() -> None:
        from autorf.deployment.retrain import Options, retrain

        outcome = retrain(root, spec.name, Options(best=True), quiet=True)
        if outcome.reason:
            raise RuntimeError(outcome.reason)

    return _start(action, root)


def _start(action: Callable[[], None], root: Path) -> int:
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    status = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(os.open(str(root) + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        fork = multiprocessing.get_context("fork")
        multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment, misc]
        action()
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(status)


def _runs_on(driver: int, root: Path, when: When) -> bool:
    """Whether the driver still runs when the next kill is due."""
    if when.in_training:
        before = time.time()
        checkpoints = "chaos/trials/*/checkpoint.safetensors"
        while not _gone(driver) and not any(_mtime(path) > before for path in root.glob(checkpoints)):
            time.sleep(0.05)
    return _runs_for(driver, when.draw.uniform(0.0, when.longest))


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _begun(root: Path) -> Path:
    """Where workers of the study of ``root`` note the epochs they begin."""
    return root / "begun"


def _runs_for(driver: int, seconds: float) -> bool:
    """Whether the driver still runs after so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if _gone(driver):
            return False
        time.sleep(0.05)
    return not _gone(driver)


def _wait_for_workers(driver: int) -> None:
    """Most kills are to hit trials, few the driver's own beginning."""
    while not _gone(driver) and not _descendants(driver):
        time.sleep(0.05)


def _gone(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def _wait(driver: int) -> int:
    """The exit code of a driver that ended or is about to; a Ray driver without its node is helped along."""
    until = time.monotonic() + 300
    while not _gone(driver) and time.monotonic() < until:
        time.sleep(0.05)
    if not _gone(driver):
        _kill(driver)
    return os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])


def _victim(driver: int, executor: str, draw: random.Random) -> tuple[str, int]:
    children = _descendants(driver)
    if executor == "ray":
        nodes = [child for child, name in children.items() if name in ("raylet", "gcs_server")]
        workers = [child for child, name in children.items() if name.startswith("ray::") and "IDLE" not in name]
        kinds = [("driver", [driver]), ("worker", workers), ("node", nodes)]
    else:
        kinds = [("driver", [driver]), ("worker", list(children))]
    what, processes = draw.choice([(what, processes) for what, processes in kinds if processes])
    return what, draw.choice(processes)


def _descendants(process: int) -> dict[int, str]:
    found: dict[int, str] = {}
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for child in map(int, children):
            found[child] = Path(f"/proc/{child}/comm").read_text().strip()
            found |= _descendants(child)
    except OSError:
        return found
    return found


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _warm_up() -> None:
    """Import what drivers and workers need, once for all forks."""
    import mlflow.tracking
    import torch

    import autorf.deployment.retrain
    import autorf.driver.search
    import autorf.running.runner
    from autorf.training.checkpoint import EpochCheckpoint

    torch.set_num_threads(1)
    start = EpochCheckpoint.on_train_epoch_start

    def noted(self: EpochCheckpoint, trainer: Any, pl_module: Any) -> None:
        with _begun(self.folder.parents[2]).open("a") as file:
            file.write(f"{self.folder.name} {trainer.current_epoch}\n")
        start(self, trainer, pl_module)

    EpochCheckpoint.on_train_epoch_start = noted  # type: ignore[method-assign]
    assert mlflow.tracking
    assert autorf.running.runner


def _table(spec: StudySpec, tally: Tally) -> str:
    begun = f"{tally.begun_epochs} of {tally.needed_epochs} needed" if tally.begun_epochs else "not counted"
    interrupted = tally.attempts - tally.trials
    rows = {
        "kills": ", ".join(f"{count} of a {what}" for what, count in sorted(tally.kills.items())),
        "studies completed": tally.studies,
        "trials completed": tally.trials,
        "attempts at them": tally.attempts,
        "epochs of a trial": spec.training.epochs,
        "trials interrupted by kills": interrupted,
        "epochs begun": begun,
        "epochs reported twice": tally.repeated_epochs,
        "minutes": f"{tally.seconds / 60:.1f}",
        "trials missing, twice complete, trained again, or with other results": len(tally.wrong),
    }
    lines = [f"# Chaos: {sum(tally.kills.values())} kills, executor {spec.executor.kind}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    lines += ["", *(f"* {problem}" for problem in tally.wrong)]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
