"""Provoke every kind of failure for real, through the command line, and record what people read of it.

    python benchmarks/failures.py --output benchmarks/results/failures.md
    python benchmarks/failures.py --only nan_loss

Each study has a few tiny trials on the digits. Memory is limited to what the process has (prlimit), the disk is a small
tmpfs (so this runs as root), workers get SIGKILL, MLflow's port is closed, PostgreSQL is stopped in the middle. It
exits with 1 where a study did not end as the table's last column must say.
"""

import argparse
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from autorf.comparison import compare_studies, results_of
from autorf.files import write_atomically
from autorf.store.store import open_store
from tests.postgres import server

COMMAND = [sys.executable, "-c", "from autorf.cli import main; main()"]
STUDY: dict[str, Any] = {
    "name": "failing",
    "data": {"name": "digits", "image_size": 48, "object_size": 20, "n_train": 32, "n_val": 8, "n_test": 0},
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [{"method": "dilation", "rate": [1, 2, 3]}],
    "training": {"epochs": 2, "batch_size": 8},
    "executor": {"workers": 1},
}
N_TRIALS = 3
PATIENCE = 0.2


@dataclass
class Shown:
    """A row of the table."""

    kind: str
    done: str
    stderr: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    states: str = ""
    then: str = ""
    wrong: bool = False


class Study:
    """A study file and its root, run through the command line."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.root, self.file = folder / "runs", folder / "study.json"
        self.file.write_text(json.dumps({**STUDY, **changes}))

    def start(self, *options: str) -> "subprocess.Popen[str]":
        command = [*COMMAND, "search", str(self.file), "--root", str(self.root), *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *options: str) -> tuple[int, list[str]]:
        return ended(self.start(*options))

    def states(self) -> str:
        states = [record.state for record in open_store(self.root, "failing").records()]
        return ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))

    def reasons(self) -> list[str]:
        rows = compare_studies([results_of(open_store(self.root, "failing"))]).rows
        return [f"{row.method} ({row.setting}) seed {row.seed}: {row.reason}" for row in rows if row.reason]

    def complete(self) -> bool:
        return all(record.state == "complete" for record in open_store(self.root, "failing").records())


def ended(process: "subprocess.Popen[str]") -> tuple[int, list[str]]:
    """The exit code and what was said on stderr."""
    said = process.communicate(timeout=600)[1]
    return process.returncode, [line for line in said.splitlines() if line.strip()]


def look(shown: Shown, study: Study, run: tuple[int, list[str]], *again: str) -> Shown:
    """Note how the study stands after a run, then what the next one comes to."""
    shown.stderr, shown.reasons, shown.states = run[1], study.reasons(), f"{study.states()}; exit code {run[0]}"
    code, _ = study.run(*again)
    shown.then = f"`search{''.join(f' {option}' for option in again)}`: {study.states()}; exit code {code}"
    shown.wrong = bool(code) or not study.complete()
    return shown


def nan_loss(folder: Path) -> Shown:
    study = Study(folder, search_space=[{"method": "dilation", "rate": 2, "training.lr": [0.003, 1e30]}])
    shown = look(Shown("NaN loss", "a learning rate of 1e30 among the trials"), study, study.run(), "--retry-failed")
    # It fails again, and nothing else is run again.
    shown.wrong = "1 failed" not in shown.states or "1 failed" not in shown.then
    return shown


def out_of_memory(folder: Path) -> Shown:
    data = {**STUDY["data"], "image_size": 256, "n_train": 64}
    space = [{"method": "dilation", "rate": 1, "training.batch_size": [2, 64]}]
    study = Study(folder, data=data, search_space=space, training={"epochs": 1, "batch_size": 2})
    process = study.start()
    worker = first_worker(process.pid)
    wait_for(lambda: "complete" in study.states(), process)
    limit = memory_of(worker) + 200 * 2**20
    resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))
    done = "a batch of 64 images where the worker may take 200 MB more than it has"
    return look(Shown("out of memory", done), study, ended(process), "--retry-failed")


def broken_image(folder: Path) -> Shown:
    data = as_folder(folder / "data")
    study = Study(folder, data=data)
    process = study.start()
    first_worker(process.pid)
    broken = folder / "data" / "train" / "images" / "0005.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    first = ended(process)
    before = (first[0], [*first[1], *[f"(started with the image broken) {line}" for line in study.run()[1]]])
    broken.write_bytes(whole)
    done = "a training image cut in half while the worker starts, then put back"
    return look(Shown("a broken image", done), study, before, "--retry-failed")


def crashed_once(folder: Path) -> Shown:
    study = Study(folder, training={"epochs": 30, "batch_size": 8})
    process = study.start()
    worker = first_worker(process.pid)
    wait_for(lambda: any(record.history for record in open_store(study.root, "failing").records()), process)
    os.kill(worker, signal.SIGKILL)
    return look(Shown("a crashed worker", "SIGKILL in the middle of a trial, once"), study, ended(process))


def crashed_twice(folder: Path) -> Shown:
    study = Study(folder)
    process = study.start()
    for _ in range(2):
        worker = first_worker(process.pid)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda gone=worker: gone not in children(process.pid), process)  # type: ignore[misc]
    done = "SIGKILL twice in a row before an epoch was done"
    return look(Shown("a crashed worker", done), study, ended(process), "--retry-failed")


def disk_full(folder: Path) -> Shown:
    study = Study(folder)
    trials = study.root / "failing" / "trials"
    trials.mkdir(parents=True)
    with small_disk(trials, "300k"):
        first = study.run()
        shown = Shown("disk full", "the folder of the trials on a tmpfs of 300 kB, then on the disk")
        shown.stderr, shown.reasons, shown.states = first[1], study.reasons(), f"{study.states()}; exit code {first[0]}"
    code, _ = study.run("--retry-failed")
    shown.then, shown.wrong = f"`search --retry-failed`: {study.states()}; exit code {code}", bool(code)
    return shown


def disk_full_for_storage(folder: Path) -> Shown:
    (folder / "runs").mkdir()
    study = Study(folder, storage={"patience_minutes": PATIENCE}, training={"epochs": 100, "batch_size": 8})
    with small_disk(study.root, "4m"):
        process = study.start()
        wait_for(lambda: any(record.history for record in open_store(study.root, "failing").records()), process)
        filler = study.root / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while file.write(b"0" * 4096):
                file.flush()
        first = ended(process)
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(study.root)], check=True)
        done = f"study.db and MLflow's files on a full tmpfs, then room again; patience {PATIENCE} min"
        return look(Shown("disk full", done), study, first, "--retry-failed")


def mlflow_unreachable(folder: Path) -> Shown:
    port = free_port()
    study = Study(folder, tracking={"uri": f"http://127.0.0.1:{port}"})
    first = study.run()
    with mlflow_server(folder, port):
        shown = look(Shown("MLflow unreachable", "its port closed; open for the next run"), study, first)
        shown.then += f"; MLflow has {runs_in(folder)} runs of {N_TRIALS} trials and the study"
        shown.wrong |= runs_in(folder) != N_TRIALS + 1
    return shown


def storage_back(folder: Path) -> Shown:
    return _storage(folder, "stopped in the middle of a trial, started again after 5 s", back_after=5.0)


def storage_gone(folder: Path) -> Shown:
    return _storage(folder, f"stopped in the middle of a trial; patience {PATIENCE} min", back_after=None)


def _storage(folder: Path, done: str, back_after: float | None) -> Shown:
    with contextmanager(server)() as postgres:
        storage = {"url": postgres.new_database("failing"), "patience_minutes": PATIENCE if back_after is None else 5.0}
        study = Study(folder, storage=storage, training={"epochs": 100, "batch_size": 8})
        process = study.start()
        first_worker(process.pid)
        wait_for(lambda: any((study.root / "failing" / "trials").glob("*/checkpoint*")), process)
        postgres.stop()
        if back_after is not None:
            time.sleep(back_after)
            postgres.start()
        first = ended(process)
        if back_after is None:
            postgres.start()
        os.environ["PGPASSWORD"] = storage["url"].split(":")[2].split("@")[0]
        return look(Shown("storage unreachable", done), study, first)


def children(process: int) -> list[int]:
    """The processes below one."""
    try:
        own = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []
    return [one for child in own for one in (child, *children(child))]


def first_worker(driver: int) -> int:
    """The worker of a driver, once it has begun to work."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for child in children(driver):
            with suppress(OSError):
                if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                    return child
        time.sleep(0.05)
    raise TimeoutError("no worker started")


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until something happened, or the process has ended."""
    while process.poll() is None:
        with suppress(Exception):
            if condition():
                return
        time.sleep(0.1)


def memory_of(process: int) -> int:
    """Bytes of address space."""
    found = re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024


def as_folder(root: Path) -> dict[str, Any]:
    """The digits as files; returns the data section of a study."""
    import torch
    from PIL import Image

    from autorf.data import load
    from autorf.data.normalisation import IMAGENET
    from autorf.study.spec import parse_study

    splits = load(parse_study(STUDY, "failing").data)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    for name, images in (("train", splits.train), ("val", splits.val)):
        for kind in ("images", "masks"):
            (root / name / kind).mkdir(parents=True)
        for index in range(len(images)):
            image, mask = images[index]
            pixels = ((image * std + mean).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(root / name / "images" / f"{index:04}.png")
            Image.fromarray(mask.byte().numpy()).save(root / name / "masks" / f"{index:04}.png")
    return {"name": "folder", "root": str(root), "image_size": 48, "classes": list(splits.class_names)}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs at ``folder``."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[None]:
    """MLflow's own server on loopback."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = f"sqlite:///{folder / 'served.db'}"
    process = subprocess.Popen(
        [*command, "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        until = time.monotonic() + 300
        while not answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise TimeoutError("MLflow's server does not answer")
            time.sleep(0.3)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def runs_in(folder: Path) -> int:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'served.db'}")
    experiment = client.get_experiment_by_name("failing")
    return len(client.search_runs([experiment.experiment_id])) if experiment else 0


ALL = (
    nan_loss,
    out_of_memory,
    broken_image,
    crashed_once,
    crashed_twice,
    disk_full,
    disk_full_for_storage,
    mlflow_unreachable,
    storage_back,
    storage_gone,
)


def table(rows: list[Shown]) -> str:
    """Everything seen, as Markdown."""
    parts = ["# Failures, provoked for real through the command line\n"]
    for row in rows:
        said = "\n".join([line[:300] for line in row.stderr[:12]]) or "(nothing)"
        reasons = "\n".join(row.reasons) or "(none)"
        parts += [
            f"## {row.kind}: {row.done}\n\nOn stderr:\n\n```\n{said}\n```\n\nReasons in `compare`:\n",
            f"```\n{reasons}\n```\n\n| the study then | the next run |\n|---|---|",
            f"| {row.states} | {row.then}{' **wrong**' if row.wrong else ''} |\n",
        ]
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="scenarios, such as disk_full")
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    rows = []
    for provoke in ALL:
        if options.only is None or provoke.__name__ in options.only:
            with tempfile.TemporaryDirectory(prefix="autorf-failing-") as folder:
                rows.append(provoke(Path(folder).resolve()))
            print(table(rows[-1:]), flush=True)
            if options.output:
                write_atomically(options.output, table(rows))
    return any(row.wrong for row in rows)


if __name__ == "__main__":
    sys.exit(main())
