"""Run a study, or what is missing of it."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from autorf.errors import InputError
from autorf.files import write_atomically
from autorf.study.executors import Event, Executor, Job, make
from autorf.study.progress import Progress
from autorf.study.spec import StudySpec
from autorf.study.store import LEASE_SECONDS, Record, Store, study_folder
from autorf.study.trial import Trial, grid
from autorf.tracking import BackgroundMirror, open_mirror

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a search ended: trials run now, and the study's trials by state."""

    run: int
    failed: int
    total: int


def check(spec: StudySpec, source: str) -> list[Trial]:
    """The study's trials, after checking everything that can be checked without training.

    Raises:
        InputError: for a bad search space, model, data set, or targets that the model does not have.
    """
    from autorf.data import load
    from autorf.networks import build
    from autorf.surgery import adapt

    trials = grid(spec, source)
    splits = load(spec.data)
    for method in dict.fromkeys(trial.method for trial in trials):
        try:
            adapt(build(spec.model, splits.class_names), method)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
    return trials


def search(spec: StudySpec, source: str, root: Path, *, retry_failed: bool = False, quiet: bool = False) -> Outcome:
    """Run every trial of the study that is not done yet.

    Args:
        spec: the study.
        source: where it was read from, for messages.
        root: the folder of all studies; the study's own is made inside it.
        retry_failed: run failed trials again.
        quiet: print nothing but problems.

    Raises:
        InputError: for anything wrong with the study file, its data or its model, before anything is written.
        KeyboardInterrupt: on Ctrl-C, after leaving the study resumable.
    """
    trials = check(spec, source)
    check_writable(root)
    store = Store(study_folder(root, spec.name), spec.name)
    store.register(spec, trials)
    store.recover()
    if retry_failed:
        store.retry_failed()
    todo = sum(record.state == "waiting" for record in store.records())
    mirrored = open_mirror(spec, root, store.identity)
    with mirrored as mirror, Progress(spec, store.records(), quiet=quiet) as progress:
        mirror.begin(store.records())
        try:
            if todo:
                workers = min(worker_count(spec), todo)
                _run_all(spec, store, make(spec.executor.kind, workers), mirror, progress)
        finally:
            mirror.close(store.records())
    records = store.records()
    return Outcome(todo, sum(record.state == "failed" for record in records), len(records))


def worker_count(spec: StudySpec) -> int:
    """How many trials run at once."""
    return spec.executor.workers or max(1, len(os.sched_getaffinity(0)) // spec.training.threads)


def check_writable(root: Path) -> None:
    """Raise ``InputError`` unless files can be made under ``root``, which is made if it is missing."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=root).close()
    except OSError as error:
        raise InputError(
            f"--root {root}: cannot be written ({error.strerror}); choose another folder with --root DIR"
        ) from None


def _run_all(spec: StudySpec, store: Store, executor: Executor, mirror: BackgroundMirror, progress: Progress) -> None:
    running: dict[int, Record] = {}
    renewed = time.monotonic()
    try:
        while True:
            while len(running) < executor.capacity and (record := store.claim()):
                running[record.row] = record
                progress.started(record)
                executor.submit(_job(spec, store, record))
            if not running:
                return
            for event in executor.wait(POLL_SECONDS):
                if event.row in running:
                    _handle(event, running, store, mirror, progress)
            renewed = _renew(running, store, renewed)
    except BaseException:
        executor.close()
        for record in running.values():
            store.requeue(record, "interrupted")
        raise
    finally:
        executor.close()


def _renew(running: dict[int, Record], store: Store, last: float) -> float:
    if time.monotonic() - last < LEASE_SECONDS / 4:
        return last
    for record in running.values():
        store.renew(record)
    return time.monotonic()


def _job(spec: StudySpec, store: Store, record: Record) -> Job:
    folder = store.folder / "trials" / record.key
    return Job(record.row, record.key, record.configuration, record.seed, spec, folder)


def _handle(
    event: Event, running: dict[int, Record], store: Store, mirror: BackgroundMirror, progress: Progress
) -> None:
    record = running[event.row]
    if event.kind == "epoch":
        store.report(record, event.payload)
        record.history.append(event.payload)
        progress.epoch(record, event.payload)
        mirror.sync(record)
        return
    del running[event.row]
    if event.kind == "done":
        store.complete(record, event.payload, value=float(event.payload["miou"]))
    elif event.kind == "pruned":
        store.prune(record, event.payload, value=float(event.payload["miou"]))
    else:
        store.fail(record, str(event.payload["reason"]))
        _keep_traceback(store.folder / "trials" / record.key, event)
    finished = store.record(record.key)
    progress.finished(finished)
    mirror.sync(finished)


def _keep_traceback(folder: Path, event: Event) -> None:
    if "traceback" in event.payload:
        write_atomically(folder / "traceback.txt", event.payload["traceback"])
