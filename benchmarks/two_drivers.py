"""Two drivers on one PostgreSQL study of 24 trials, one of them killed: is each trial done exactly once?

    python benchmarks/two_drivers.py --output benchmarks/results/two_drivers.md

PostgreSQL (Debian's package) is started on loopback with a data directory of its own. Both drivers are the command line
with one worker each; the first gets SIGKILL once a third of the trials is complete, and its worker dies with it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from autorf.files import write_atomically
from autorf.store.store import Store
from autorf.study.storage_spec import StorageSpec
from tests.postgres import server

N_TRIALS = 24
STUDY: dict[str, Any] = {
    "name": "shared",
    "data": {"name": "digits", "image_size": 48, "object_size": 20, "n_train": 64, "n_val": 8, "n_test": 0},
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [{"method": "dilation", "rate": [1, 2, 3, 4, 5, 6, 7, 8]}],
    "training": {"epochs": 3, "batch_size": 16, "seeds": [0, 1, 2]},
    "executor": {"workers": 1},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextmanager(server)() as postgres:
        url = postgres.new_database("shared")
        file = Path(folder) / "study.json"
        file.write_text(json.dumps({**STUDY, "storage": {"url": url}}))
        text, held = run(file, Path(folder) / "runs", url)
    print(text)
    if options.output:
        write_atomically(options.output, text)
    return not held


def run(file: Path, root: Path, url: str) -> tuple[str, bool]:
    """Both drivers, the kill and what is left of it."""
    began = time.monotonic()
    first, second = (drive(file, root) for _ in range(2))
    store = wait_for_store(root, url)
    while complete(store) < N_TRIALS // 3 or len(holders(store)) < 2:
        assert first.poll() is None, "a driver ended too early"
        time.sleep(0.2)
    at_kill, held = complete(store), [one.key for one in store.records() if one.lease.get("pid") == first.pid]
    first.kill()
    status = second.wait(timeout=1200)
    attempts = store.attempts()
    done = Counter(one.key for one in attempts if one.state == "complete")
    by_driver = Counter(one.lease["pid"] for one in attempts if one.state == "complete")
    again = [one for one in attempts if one.attempt > 1]
    repeated = sum(len(one.history) for one in attempts) - N_TRIALS * STUDY["training"]["epochs"]
    doubled = sum(times > 1 for times in Counter((one.key, one.attempt) for one in attempts).values())
    mirrored = Counter(mlflow_trials(root))
    held_promise = len(done) == N_TRIALS and set(done.values()) == {1} and not doubled and status == 0
    held_promise &= len(mirrored) == N_TRIALS and set(mirrored.values()) == {1} and repeated <= len(again)
    rows = {
        "trials complete when the first driver was killed": at_kill,
        "complete in the end, each exactly once": f"{len(done)} of {N_TRIALS}",
        "by the first driver, by the second": f"{by_driver[first.pid]}, {by_driver[second.pid]}",
        "attempts": len(attempts),
        "the first driver's trials taken over": sum(one.key in held for one in again),
        "they went on behind epoch": ", ".join(str(one.history[0].epoch) for one in again if one.history) or "-",
        "epochs reported twice": repeated,
        "attempts stored twice": doubled,
        "MLflow: trials, and runs of them": f"{len(mirrored)}, {sum(mirrored.values())}",
        "exit code of the second driver": status,
        "seconds": f"{time.monotonic() - began:.0f}",
        "held": "yes" if held_promise else "**no**",
    }
    lines = [f"# Two drivers on one PostgreSQL study of {N_TRIALS} trials, one killed", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows.items())]) + "\n", held_promise


def drive(file: Path, root: Path) -> "subprocess.Popen[bytes]":
    """The command line on the study."""
    command = [sys.executable, "-c", "from autorf.cli import main; main()", "search", str(file), "--root", str(root)]
    return subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL)


def wait_for_store(root: Path, url: str) -> Store:
    """The study's storage, once a driver has made it."""
    until = time.monotonic() + 300
    while not (root / "shared" / "storage.url").exists():
        assert time.monotonic() < until, "no driver has begun"
        time.sleep(0.2)
    return Store(root / "shared", "shared", StorageSpec(url=url))


def complete(store: Store) -> int:
    """How many trials are done."""
    return sum(record.state == "complete" for record in store.records())


def holders(store: Store) -> set[int]:
    """The processes that hold a running trial now."""
    return {record.lease["pid"] for record in store.records() if record.state == "running" and record.lease}


def mlflow_trials(root: Path) -> list[str]:
    """The trial of every trial's run."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("shared")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    return [run.data.tags["autorf.trial_key"] for run in runs if run.data.tags["autorf.kind"] == "trial"]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
