"""Run a study whose trainings are a function of the user's own, or what is missing of it."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from autorf.driver.plan import StudyPlan, configuration_limit, ends_of
from autorf.driver.search import Outcome, carry_out, check_name, check_writable, nothing_left_behind
from autorf.driver.study_trials import StudyTrials
from autorf.errors import InputError
from autorf.executors import Event, Failure, check_address
from autorf.executors.inline import InlineExecutor
from autorf.methods import method_class
from autorf.own_code.importing import importable, resolve
from autorf.own_code.reference import is_reference, parse_reference
from autorf.running.confusions import other_images
from autorf.running.evidence import read_evidence
from autorf.running.own_loop import Train, run_own_loop
from autorf.store.code import check_code, remember_code
from autorf.store.record import Record
from autorf.store.recorded import first_confusions
from autorf.store.store import Store, beginning, study_folder
from autorf.study.defaults import Defaults
from autorf.study.own_loop import ARGUMENTS, OwnLoopSpec, is_own_loop
from autorf.study.search_space import Space, read_spaces
from autorf.study.settings import is_setting
from autorf.study.trial import configurations
from autorf.training.results import EpochReport, TrialResult

ACCEPT = "accept_code_change=True"


def search_own_loop(
    spec: OwnLoopSpec,
    source: str,
    root: Path,
    train: Train,
    *,
    inline: bool,
    retry_failed: bool = False,
    quiet: bool = False,
    accept_code_change: bool = False,
) -> Outcome:
    """Run every trial of the study that is not done yet.

    Args:
        spec: the study, with the code of its function.
        source: what is called, for messages.
        root: the folder of all studies.
        train: the function.
        inline: train in this process, one trial at a time.
        retry_failed, quiet, accept_code_change: see :func:`autorf.driver.search.search`.

    Raises:
        InputError: for anything wrong with the study, before anything is written.
        KeyboardInterrupt: on Ctrl-C, after leaving the study resumable.
    """
    folder = study_folder(root, spec.name)
    check_name(folder)
    check_address(spec.executor)
    existing = _existing(folder, spec, source, accept=accept_code_change)
    defaults = beginning(root, spec)
    completed = defaults.completed(spec)
    assert isinstance(completed, OwnLoopSpec)
    spec = completed
    changed = None if existing is None else check_code(existing, spec.code, accept=accept_code_change, option=ACCEPT)
    planned = plan_own_loop(spec, source, defaults)
    with ExitStack() as ended:
        # A function that only this process has is not imported; what it imports is loaded as it is.
        if is_reference(spec.loop) and not inline:
            ended.enter_context(importable(spec.code))
            resolve(parse_reference(spec.loop), source)
        check_writable(root)
        # Others are made where trials are due.
        executor = InlineExecutor(partial(run_own_loop, train=train)) if inline else None
        with nothing_left_behind(folder, ended):
            store = Store(folder, spec.name, spec.storage)
            store.register(spec, planned.trials, planned.listed, drawn=planned.listed is None)
            remember_code(store, spec.code, accept=accept_code_change)
            outcome = carry_out(
                spec, source, root, store, planned, executor, retry_failed, quiet, None, own_trials=OwnLoopTrials
            )
    return outcome if changed is None else replace(outcome, warnings=(*outcome.warnings, changed))


def _existing(folder: Path, spec: OwnLoopSpec, source: str, *, accept: bool) -> Store | None:
    """The store of the study where it has begun.

    Raises:
        InputError: where the study of that name is of another kind, or another function's, unless that is accepted.
    """
    if not (folder / "study.db").is_file():
        return None
    store = Store(folder, spec.name, spec.storage)
    before = store.spec
    if before is not None and not is_own_loop(before):
        kind = "a study file" if "model" in before else "trainings that were recorded"
        raise InputError(f"{source}: {spec.name!r} under {folder.parent} is the study of {kind}; give another name")
    # A script is another module where it is imported; the function's own name stays.
    names = [loop.rpartition(":")[2] for loop in ((before or {}).get("loop", spec.loop), spec.loop)]
    if names[0] != names[1] and not accept:
        raise InputError(
            f"{source}: study {spec.name!r} began with the function {names[0]}, not {names[1]}; give another name, or "
            f"keep its trials with {ACCEPT}"
        )
    return store


def plan_own_loop(spec: OwnLoopSpec, source: str, defaults: Defaults | None = None) -> StudyPlan:
    """The trials of a study whose network nobody knows before its function builds it.

    Args:
        spec: the study.
        source: what is called, for messages.
        defaults: those that the study began with; None for today's.

    Raises:
        InputError: for a bad search space, or what takes the network to be known.
    """
    spaces = read_spaces(spec.search_space, source, spec, defaults)
    for space in spaces:
        check_space(space)
    search = spec.search
    if search.sampler == "sufficient" or search.prior is not None:
        part = "sampler sufficient" if search.prior is None else "a prior"
        raise InputError(
            f"{source}: search: {part} orders configurations by their fields, which of a network that train builds are "
            "not known before; leave it out"
        )
    drawn = search.sampler != "grid"
    listed = () if drawn else tuple(configurations(spec, spaces))
    if drawn:
        # Every end is decoded once, so that what is drawn can be.
        ends_of(spec, spaces)
    return StudyPlan(
        configurations=listed,
        unordered=listed,
        limit=configuration_limit(spec),
        seeds=spec.training.seeds,
        spaces=tuple(spaces) if drawn else (),
        # Of the images nothing is known; a step is what is counted.
        n_train=1,
    )


def check_space(space: Space) -> None:
    """Raise ``InputError`` for a space that a training function cannot search."""
    if not method_class(space.method).trained:
        raise InputError(f"{space.source}: {space.method} trains nothing, so there is nothing for train to do")
    for name in space.axes:
        if is_setting(name) and not name.startswith(ARGUMENTS):
            raise InputError(
                f"{space.source}: {name}: is a key of study files, which train does not read; call the axis "
                f"{ARGUMENTS}NAME and read trial.args['NAME']"
            )


class OwnLoopTrials(StudyTrials):
    """The trials of a study whose trainings are a function, which may count other images than it did before."""

    _is_warned = False

    def goes_on(self, record: Record, measured: EpochReport) -> bool:
        """Whether the scheduler has the trial go on; it compares the reports of one number, whatever their steps."""
        if self._scheduler.spec.search.pruning is not None and not self._is_warned:
            self._check_steps(measured)
        return super().goes_on(record, measured)

    def _check_steps(self, measured: EpochReport) -> None:
        """Say once where reports that pruning compares are of different steps."""
        reports = (report for record in self._store.records() for report in record.history if record.control is None)
        steps = {report.steps for report in reports if report.epoch == measured.epoch}
        if len(steps) > 1:
            self._is_warned = True
            listed = " and ".join(str(step) for step in sorted(step or 0 for step in steps)[:2])
            self._listener.note(
                f"pruning compares report {measured.epoch + 1} of each trial, and these are of steps {listed}: have "
                "train report at the same steps"
            )

    def end(self, record: Record, event: Event) -> Record | None:
        """Store the end; confusions of other images than the study's first trial make it a failure."""
        if isinstance(event.payload, TrialResult) and event.kind == "done":
            problem = self._problem(record, event.payload)
            if problem is not None:
                event = Event(event.row, "failed", Failure(problem))
        return super().end(record, event)

    def _problem(self, record: Record, result: TrialResult) -> str | None:
        others = [other for other in self._store.records() if other.state == "complete" and other.key != record.key]
        if not others:
            return None
        before = first_confusions(self._store.folder, others)
        evidence = read_evidence(self._folder(record)) if result.iou_per_class else None
        if before is None and evidence is None:
            return None
        if before is None or evidence is None:
            return (
                f"trial.report had {'no ' if evidence is None else ''}confusions, unlike in the study's earlier "
                "trials; give them in all or in none"
            )
        return other_images("trial.report", before, evidence.confusion.long(), "the study's earlier trials")
