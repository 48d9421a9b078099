"""Run a study, or what is missing of it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from autorf.data.cache_place import cache_folder
from autorf.driver.beyond_the_image import BeyondTheImage
from autorf.driver.first_steps import NOTE, take_first_steps, untried
from autorf.driver.listeners import Listeners, MirrorListener
from autorf.driver.loop import TrialLoop
from autorf.driver.places import placed
from autorf.driver.plan import StudyPlan, plan
from autorf.driver.progress import open_progress
from autorf.driver.scheduler import Scheduler
from autorf.driver.study_trials import StudyTrials
from autorf.errors import InputError, StorageLostError
from autorf.executors import Executor, check_address, make
from autorf.own_code.importing import importable
from autorf.store.code import check_code, remember_code
from autorf.store.images import StudyImages
from autorf.store.store import Store, beginning, study_folder
from autorf.store.versions import remember_versions
from autorf.study.scale import scored
from autorf.study.spec import StudySpec, counted
from autorf.tracking import open_mirror


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
    accept_code_change: bool = False,
) -> Outcome:
    """Run every trial of the study that is not done yet.

    Args:
        spec: the study, with the user's own code that it names, see :func:`autorf.study.own_code.with_own_code`.
        source: where it was read from, for messages.
        root: the folder of all studies; the study's own is made inside it.
        retry_failed: run failed trials again.
        quiet: print nothing but problems.
        json_lines: takes one JSON object an event, instead of what is printed.
        accept_code_change: keep the trials of a study whose own code has changed.

    Raises:
        InputError: for anything wrong with the study file, its data or its model, or a first step that fails, before
            anything is written.
        KeyboardInterrupt: on Ctrl-C, after leaving the study resumable.
    """
    folder = study_folder(root, spec.name)
    check_name(folder)
    check_address(spec.executor)
    defaults = beginning(root, spec)
    spec = defaults.completed(scored(spec, source)).with_cache(cache_folder(root))
    existing = _existing(spec, folder)
    changed = None if existing is None else check_code(existing, spec.code, accept=accept_code_change)
    with ExitStack() as ended:
        ended.enter_context(importable(spec.code))
        planned = plan(spec, source, root, defaults)
        spec = placed(spec, planned.places)
        check_writable(root)
        with nothing_left_behind(folder, ended):
            executor, tried = _first_steps(spec, source, folder, planned, ended, anew=changed is not None)
            store = Store(folder, spec.name, spec.storage)
            images = StudyImages(store, spec.data, root)
            images.check()
            store.register(spec, planned.trials, planned.listed, drawn=planned.listed is None)
            remember_code(store, spec.code, accept=accept_code_change)
            cautions = [line for line in (changed, images.remember()) if line is not None]
            if tried:
                store.note(NOTE, sorted({*store.notes().get(NOTE, ()), *tried}))
            outcome = carry_out(spec, source, root, store, planned, executor, retry_failed, quiet, json_lines)
            return replace(outcome, warnings=(*outcome.warnings, *cautions))


@contextmanager
def nothing_left_behind(folder: Path, ended: ExitStack) -> Iterator[None]:
    """Have a study that cannot begin, such as at an executor's address, leave no folder.

    Args:
        folder: of the study.
        ended: closed before the folder goes.
    """
    is_new = not folder.exists()
    try:
        yield
    except InputError:
        if is_new and not (folder / "trials").exists():
            ended.close()
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _existing(spec: StudySpec, folder: Path) -> Store | None:
    """The store of a study that there may be already; None where there is none."""
    is_there = spec.storage.url is not None or (folder / "study.db").is_file()
    return Store(folder, spec.name, spec.storage) if is_there else None


def carry_out(
    spec: StudySpec,
    source: str,
    root: Path,
    store: Store,
    planned: StudyPlan,
    executor: Executor | None,
    retry_failed: bool,
    quiet: bool,
    json_lines: TextIO | None,
    own_trials: type[StudyTrials] | None = None,
) -> Outcome:
    """Run what a registered study is due.

    Args:
        spec: the study.
        source: where it was read from, for messages.
        root: the folder of all studies.
        store: of the study.
        planned: what is to run.
        executor: where trials run; None to make the one that the study asks for, where any are due.
        retry_failed, quiet, json_lines: see :func:`search`.
        own_trials: what keeps the trials of a study whose trainings are a function; None for a study file's.
    """
    store.recover()
    if retry_failed:
        store.retry_failed()
    finished = {record.row for record in store.records() if record.finished}
    spec = counted(spec, planned.n_train, source)
    scheduler = Scheduler(spec, store, planned)
    due = scheduler.due()
    if due and executor is None:
        # Before the mirror: where trials cannot run, nothing is to be mirrored.
        waiting = sum(not record.finished for record in store.records())
        executor = _executor(spec, store.folder, planned, waiting)
    mirrored = open_mirror(spec, root, store.identity)
    expected = (planned.n_configurations or 0) * planned.trials_each if due else 0
    shown = open_progress(spec, store.records(), expected=expected, quiet=quiet, json_lines=json_lines)
    with closing(executor) if executor is not None else nullcontext(), mirrored as mirror, shown as progress:
        mirror.begin(store.records())
        try:
            if due and executor is not None:
                remember_versions(store)
                listener = Listeners(progress, MirrorListener(mirror))
                if own_trials is None:
                    listener = Listeners(listener, BeyondTheImage(spec, progress.note))
                trials = (own_trials or StudyTrials)(spec, store, scheduler, listener)
                TrialLoop(executor, trials, listener).run()
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


def check_name(folder: Path) -> None:
    """Raise ``InputError`` where a new study would take a place under the root that is not for studies."""
    name = folder.name.casefold()
    if (name in _NOT_STUDIES or name.startswith("mlflow.db")) and not (folder / "study.db").is_file():
        raise InputError(f"name: {folder.name!r} under {folder.parent} is not for studies; give the study another name")


_NOT_STUDIES = ("cache", "mlartifacts")
"""Folders that the root holds beside those of studies, and ``mlflow.db``."""


def check_writable(root: Path) -> None:
    """Raise ``InputError`` unless files can be made under ``root``, which is made if it is missing."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=root).close()
    except OSError as error:
        raise InputError(
            f"--root {root}: cannot be written ({error.strerror}); choose another folder with --root DIR"
        ) from None


def _first_steps(
    spec: StudySpec, source: str, folder: Path, planned: StudyPlan, ended: ExitStack, *, anew: bool
) -> tuple[Executor | None, list[str]]:
    """Take the first steps that nobody has taken, before anything of the study is registered.

    Args:
        spec: the study.
        source: where it was read from.
        folder: of the study.
        planned: what is to run.
        ended: what is closed when the search ends.
        anew: whether steps of before say nothing, for the user's own code has changed.

    Returns:
        The executor they were taken on, for the trials, and the kinds; None where there was none to take.

    Raises:
        InputError: when a step fails.
    """
    store = _existing(spec, folder)
    records = [] if store is None else store.records()
    tried = () if store is None or anew else store.notes().get(NOTE, ())
    begun = [replace(record, history=()) for record in records] if anew else records
    due = untried(planned, begun, tried)
    if not due:
        return None, []
    finished = {record.trial for record in records if record.finished}
    # Ray keeps its own files there while it runs.
    folder.mkdir(parents=True, exist_ok=True)
    ended.callback(_remove_empty, folder)
    executor = _executor(spec, folder, planned, sum(trial not in finished for trial in planned.trials))
    ended.callback(executor.close)
    return executor, take_first_steps(counted(spec, planned.n_train, source), source, folder, due, executor)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _executor(spec: StudySpec, folder: Path, planned: StudyPlan, waiting: int) -> Executor:
    # Where trials are drawn or promoted, or controls follow, those that wait now are not all.
    growing = planned.spaces or planned.bisected or spec.search.pruning is not None or spec.search.controls
    return make(spec, folder, None if growing else max(1, waiting))
