"""Run a study, or what is missing of it."""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from autorf import interruption
from autorf.driver.plan import plan
from autorf.driver.progress import Progress, open_progress
from autorf.driver.scheduler import Course
from autorf.driver.waiting import Others
from autorf.errors import InputError, StorageLostError
from autorf.executors import Event, Executor, make
from autorf.files import write_atomically
from autorf.store.store import Record, Store, TakenOverError, beginning, study_folder
from autorf.store.versions import remember_versions
from autorf.study.job import Job
from autorf.study.spec import StorageSpec, StudySpec, counted
from autorf.tracking import BackgroundMirror, open_mirror
from autorf.training.resuming import clear_checkpoints

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    Attributes:
        run: trials that ended now.
        failed: of the study's.
        total: the study's.
        end: why nothing more is run; None where something is left.
        saved: what a prior saved.
        warnings: about the study file.
    """

    run: int
    failed: int
    total: int
    end: str | None = None
    saved: str | None = None
    warnings: tuple[str, ...] = ()


def search(
    spec: StudySpec,
    source: str,
    root: Path,
    *,
    retry_failed: bool = False,
    quiet: bool = False,
    json_lines: TextIO | None = None,
) -> Outcome:
    """Run every trial of the study that is not done yet.

    Args:
        spec: the study.
        source: where it was read from, for messages.
        root: the folder of all studies; the study's own is made inside it.
        retry_failed: run failed trials again.
        quiet: print nothing but problems.
        json_lines: takes one JSON object an event, instead of what is printed.

    Raises:
        InputError: for anything wrong with the study file, its data or its model, before anything is written.
        KeyboardInterrupt: on Ctrl-C, after leaving the study resumable.
    """
    defaults = beginning(root, spec)
    spec = defaults.completed(spec)
    planned = plan(spec, source, root, defaults)
    check_writable(root)
    store = Store(study_folder(root, spec.name), spec.name, spec.storage)
    store.register(spec, planned.trials, planned.listed, drawn=planned.listed is None)
    store.recover()
    if retry_failed:
        store.retry_failed()
    finished = {record.row for record in store.records() if record.finished}
    spec = counted(spec, planned.n_train, source)
    course = Course(spec, store, planned)
    mirrored = open_mirror(spec, root, store.identity)
    due = course.due()
    expected = (planned.n_configurations or 0) * len(planned.seeds) if due else 0
    shown = open_progress(spec, store.records(), expected=expected, quiet=quiet, json_lines=json_lines)
    with mirrored as mirror, shown as progress:
        mirror.begin(store.records())
        try:
            if due:
                remember_versions(store)
                _run_all(spec, store, course, mirror, progress)
        finally:
            with suppress(StorageLostError):
                mirror.close(store.records())
    records = store.records()
    end = store.notes().get("end") or {}
    return Outcome(
        run=sum(record.finished and record.row not in finished for record in records),
        failed=sum(record.state == "failed" for record in records),
        total=len(records),
        end=end.get("reason"),
        saved=end.get("saved"),
        warnings=planned.warnings,
    )


def check_writable(root: Path) -> None:
    """Raise ``InputError`` unless files can be made under ``root``, which is made if it is missing."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=root).close()
    except OSError as error:
        raise InputError(
            f"--root {root}: cannot be written ({error.strerror}); choose another folder with --root DIR"
        ) from None


def _run_all(spec: StudySpec, store: Store, course: Course, mirror: BackgroundMirror, progress: Progress) -> None:
    waiting = sum(not record.finished for record in store.records())
    # Where trials are drawn or promoted, those that wait now are not all.
    growing = course.planned.spaces or spec.search.pruning is not None
    executor = make(spec, store.folder, None if growing else max(1, waiting))
    running: dict[int, Record] = {}
    renewed = time.monotonic()
    others = Others(store, progress)
    with _left_resumable(store, executor, running), interruption.kept():
        course.begin()
        while True:
            interruption.check()
            while len(running) < executor.capacity and (record := course.next()):
                running[record.row] = record
                progress.started(record)
                executor.submit(_job(spec, store, record, course.rungs(record)))
            if not running:
                if course.over:
                    return course.close()
                others.wait()
            for event in executor.wait(POLL_SECONDS) if running else ():
                if record := running.get(event.row):
                    try:
                        _handle(event, running, store, course, mirror, progress)
                        if event.kind == "epoch" and not course.goes_on(record, event.payload):
                            executor.stop(record.row)
                    except TakenOverError as error:
                        _give_up(record, running, executor, progress, error)
            renewed = _renew(running, store, executor, progress, renewed)
            course.tick()


@contextmanager
def _left_resumable(store: Store, executor: Executor, running: Mapping[int, Record]) -> Iterator[None]:
    """Close the executor at the end, and give running trials back where that comes early."""
    try:
        yield
    except BaseException:
        executor.close()
        store.hurry()
        # A storage that is away cannot be told; the leases then tell the next driver.
        with suppress(StorageLostError):
            for record in running.values():
                store.requeue(record, "interrupted")
        raise
    finally:
        executor.close()


def _renew(running: dict[int, Record], store: Store, executor: Executor, progress: Progress, last: float) -> float:
    if time.monotonic() - last < store.lease_seconds / 4:
        return last
    for record in list(running.values()):
        try:
            store.renew(record)
        except TakenOverError as error:
            _give_up(record, running, executor, progress, error)
    return time.monotonic()


def _give_up(
    record: Record, running: dict[int, Record], executor: Executor, progress: Progress, error: TakenOverError
) -> None:
    print(error, file=sys.stderr)
    progress.lost(record)
    executor.cancel(record.row)
    running.pop(record.row, None)


def _job(spec: StudySpec, store: Store, record: Record, rungs: tuple[int, ...]) -> Job:
    folder = store.folder / "trials" / record.key
    # Workers have no business with the storage, and its password none with them.
    return Job(
        record.row,
        record.key,
        record.configuration,
        record.seed,
        spec.model_copy(update={"storage": StorageSpec()}),
        folder,
        rungs=rungs,
        reached=len(record.history),
    )


def _handle(
    event: Event,
    running: dict[int, Record],
    store: Store,
    course: Course,
    mirror: BackgroundMirror,
    progress: Progress,
) -> None:
    record = running[event.row]
    if event.kind == "epoch":
        store.report(record, event.payload)
        record.history.append(event.payload)
        running[event.row] = record = replace(record, crashes=0)
        progress.epoch(record, event.payload)
        mirror.sync(record)
        return
    del running[event.row]
    if event.kind == "done":
        store.complete(record, event.payload, value=course.value(event.payload))
        clear_checkpoints(store.folder / "trials" / record.key)
    elif event.kind == "pruned":
        store.prune(record, event.payload, value=course.value(event.payload))
    elif event.payload.get("crashed") and (crashes := _crashes(event, record)) < 2:
        store.requeue(record, str(event.payload["reason"]), crashes=crashes)
        progress.note(f"{record.label}: {event.payload['reason']}; it goes on from its checkpoint")
        return
    else:
        store.fail(record, str(event.payload["reason"]))
        _keep_traceback(store.folder / "trials" / record.key, event)
    records = store.records()
    finished = next(one for one in records if one.key == record.key)
    progress.seen(records)
    progress.finished(finished)
    mirror.sync(finished)


def _crashes(event: Event, record: Record) -> int:
    """How often in a row the trial's worker died without finishing an epoch; a lost node is not the trial's doing."""
    return record.crashes + (not event.payload.get("lost_node"))


def _keep_traceback(folder: Path, event: Event) -> None:
    # On a full disk the reason, which is stored, has to do.
    with suppress(OSError):
        if "traceback" in event.payload:
            write_atomically(folder / "traceback.txt", event.payload["traceback"])
