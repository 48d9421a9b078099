"""The study's own memory: an Optuna storage that says what is wanted, running and done."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from autorf.errors import InputError, near_names
from autorf.store.changes import check_none_gone, check_unchanged
from autorf.store.damage import ESSENTIAL
from autorf.store.lease import is_stale, new_lease
from autorf.store.parameters import Axes, axis_values, study_axes, waiting_row
from autorf.store.reader import StudyReader, defaults_in
from autorf.store.record import Record, newest_attempts
from autorf.store.storage import FORMAT, POINTER, attributes_at, stored_url
from autorf.study.control import Control
from autorf.study.defaults import Defaults, file_defaults, method_defaults
from autorf.study.spec import StudySpec
from autorf.study.storage_spec import StorageSpec
from autorf.study.trial import Trial, key_of
from autorf.training.results import EpochReport, TrialResult

__all__ = ["Record", "Store", "TakenOverError", "newest_attempts", "open_store", "study_folder"]


class TakenOverError(RuntimeError):
    """The attempt has ended in the storage: another driver took the trial over while this one was silent."""


def study_folder(root: Path, name: str) -> Path:
    """The folder of one study."""
    return root / name


def open_store(root: Path, name: str, storage: StorageSpec | None = None) -> "Store":
    """The store of a study that exists.

    Args:
        root: the folder of all studies.
        name: of the study.
        storage: where it is, when known; otherwise what its folder says. PostgreSQL's password then comes from
            ``PGPASSWORD`` or ``~/.pgpass``.

    Raises:
        InputError: when there is none of that name, with near names.
    """
    folder = study_folder(root, name)
    url = (storage.url if storage else None) or stored_url(folder)
    if url is None and not (folder / "study.db").is_file():
        study_names = sorted({path.parent.name for kind in ("study.db", POINTER) for path in root.glob(f"*/{kind}")})
        hint = f"{near_names(name, study_names)}; studies there: {', '.join(study_names) or 'none'}"
        raise InputError(f"no study {name!r} under {root.resolve()}{hint}; run it first: autorf search {name}")
    return Store(folder, name, (storage or StorageSpec()).model_copy(update={"url": url}), exists=True)


def beginning(root: Path, spec: StudySpec) -> Defaults:
    """The defaults that a study began with, or those of today where there is no study of that name yet.

    Nothing is written, and nothing said of a storage that cannot be used: whoever opens it does.
    """
    folder = study_folder(root, spec.name)
    if spec.storage.url is not None:
        return defaults_in(attributes_at(spec.storage.url, spec.name))
    if not (folder / "study.db").is_file():
        return Defaults()
    return Store(folder, spec.name, spec.storage).defaults


class Store(StudyReader):
    """One study's trials in an Optuna storage.

    A row is one attempt at a trial; a trial's state is that of its newest attempt. One driver at a time claims,
    requeues and registers, so no two run one trial; a writer whose attempt was taken over meanwhile gets
    :class:`TakenOverError`.
    """

    _axes: Axes | None = None

    def register(
        self, spec: StudySpec, trials: Sequence[Trial], listed: Iterable[Trial] | None = None, *, drawn: bool = False
    ) -> None:
        """Enqueue every trial that the storage does not have yet; remember the study file.

        Args:
            spec: the study.
            trials: to run.
            listed: every trial that belongs to the study, where a budget runs fewer.
            drawn: whether a sampler draws trials, so that any may belong to the study.

        Raises:
            InputError: when the study file changed in more than adding trials since the study began.
        """
        allowed = None if drawn else (trials if listed is None else tuple(listed))
        self._patiently(lambda: self._register(spec, trials, allowed))

    def _register(self, spec: StudySpec, trials: Sequence[Trial], allowed: Collection[Trial] | None) -> None:
        with self._opened.exclusive():
            records = self._read()
            before = self._attributes().get("spec")
            if lost := [name for name in self.damaged if name in ESSENTIAL]:
                raise InputError(
                    f"{self._opened.label}: what study {self.name!r} is cannot be read: {', '.join(lost)}; restore it "
                    "from a backup, or give the study another name"
                )
            if before is not None:
                check_unchanged(before, spec)
                if allowed is not None:
                    check_none_gone(self.name, records, map(self._key, allowed))
            elif (leftover := next((self.folder / "trials").glob("*/*"), None)) is not None:
                raise InputError(
                    f"{leftover.parent}: is left of an earlier study {self.name!r}, which the storage does not know; "
                    "restore that, or remove the folder trials to begin anew"
                )
            self._study.set_user_attr("format", FORMAT)
            if "identity" not in self._attributes():
                self._study.set_user_attr("identity", uuid.uuid4().hex[:12])
            if before is None:
                self._study.set_user_attr("file_defaults", file_defaults(spec))
            self._study.set_user_attr("spec", spec.model_dump(mode="json"))
            self._remember_axes(spec, begins=before is None)
            self._enqueue_new(trials, records)

    def note_once(self, name: str, value: object) -> Any:
        """Remember something that never changes; returns what is remembered, by whoever was first."""
        return self._patiently(lambda: self._note_once(f"note:{name}", value))

    def _note_once(self, name: str, value: object) -> Any:
        with self._opened.exclusive():
            stored = self._attributes().get(name)
            if stored is None:
                self._study.set_user_attr(name, value)
            return value if stored is None else stored

    def add(self, trials: Iterable[Trial]) -> None:
        """Enqueue those of ``trials`` that the storage does not have yet."""
        listed = tuple(trials)
        self._patiently(lambda: self._add(listed))

    def add_controls(self, controls: Iterable[tuple[Trial, Control]]) -> int:
        """Enqueue those of ``controls`` that the storage does not have yet; returns how many."""
        planned = tuple(controls)
        return self._patiently(lambda: self._add_controls(planned))

    def _add_controls(self, planned: Sequence[tuple[Trial, Control]]) -> int:
        with self._opened.exclusive():
            keys = {record.key for record in self._read()}
            new = {key: pair for pair in planned if (key := self._key(*pair)) not in keys}
            for key, (trial, control) in new.items():
                self._enqueue(key, trial.configuration, trial.seed, attempt=1, control=control)
        return len(new)

    def _add(self, trials: Sequence[Trial]) -> None:
        with self._opened.exclusive():
            self._enqueue_new(trials, self._read())

    def _enqueue_new(self, trials: Sequence[Trial], records: Iterable[Record]) -> None:
        keys = {record.key for record in records}
        self._remember_defaults()
        for trial in trials:
            key = self._key(trial)
            if key not in keys:
                keys.add(key)
                self._enqueue(key, trial.configuration, trial.seed, attempt=1)

    def _remember_defaults(self) -> None:
        """Keep what configurations mean by what they leave out, of methods that were not there before too."""
        stored, today = self._attributes().get("defaults", {}), method_defaults()
        if not today.keys() <= stored.keys():
            self._study.set_user_attr("defaults", {**today, **stored})
            self._defaults = None

    def _remember_axes(self, spec: StudySpec, *, begins: bool) -> None:
        """Keep the axes of a study that begins, and those that are added to it: Optuna's parameters do not change."""
        stored = self._attributes().get("axes")
        if begins or stored is not None:
            self._study.set_user_attr("axes", {**study_axes(spec), **(stored or {})})
        self._axes = None

    def _known_axes(self) -> Axes | None:
        if self._axes is None:
            self._axes = self._attributes().get("axes")
        return self._axes

    def _key(self, trial: Trial, control: Control | None = None) -> str:
        """The key that a trial has in this study, whatever the defaults of today are."""
        return key_of(
            self._known_defaults().to_stored(trial.configuration), trial.seed, control and self._stored(control)
        )

    def _stored(self, control: Control) -> Control:
        """A control in the study's terms."""
        return replace(control, winner=self._known_defaults().to_stored(control.winner))

    def claim(self, *, controls: bool = False) -> Record | None:
        """The next waiting trial, now running and leased to this process; None when none waits.

        Args:
            controls: claim a control, instead of a trial that is none.
        """
        claim = uuid.uuid4().hex[:12]
        return self._patiently(lambda: self._claim(claim, controls))

    def _claim(self, claim: str, controls: bool) -> Record | None:
        with self._opened.exclusive():
            records = self._read()
            # The storage may have taken this very claim and been lost before it said so.
            ours = (record for record in records if record.state == "running" and record.lease.get("claim") == claim)
            if (record := next(ours, None)) is not None:
                return record
            for record in (record for record in records if (record.control is not None) == controls):
                if record.state == "waiting" and self._storage.set_trial_state_values(record.row, TrialState.RUNNING):
                    lease = {**new_lease(self.driver, self._opened.now()), "claim": claim}
                    self._set(record, "lease", lease)
                    return replace(record, state="running", lease=lease)
        return None

    def renew(self, record: Record) -> None:
        """Say that the trial is still being worked on.

        Raises:
            TakenOverError: when another driver took it over.
        """
        self._write(record, lambda: self._set(record, "lease", new_lease(self.driver, self._opened.now())))

    def report(self, record: Record, epoch: EpochReport) -> None:
        """Store what an epoch measured; renews the lease. Reporting an epoch again replaces it.

        Raises:
            TakenOverError: when another driver took the trial over.
        """

        def write() -> None:
            if isfinite(epoch.headline):
                self._storage.set_trial_intermediate_value(record.row, epoch.epoch, epoch.headline)
            self._set(record, f"epoch:{epoch.epoch}", epoch.to_json())
            self._set(record, "lease", new_lease(self.driver, self._opened.now()))

        self._write(record, write)

    def complete(self, record: Record, result: TrialResult, value: float) -> None:
        """Finish a trial with its results; one whose score is no number has failed.

        Raises:
            TakenOverError: when another driver took it over.
        """
        if isfinite(value):
            self._finish(record, TrialState.COMPLETE, {"result": result.to_json()}, [value])
        else:
            self.fail(record, f"its score is no number ({value}): nothing can be compared with it")

    def prune(self, record: Record, result: TrialResult, value: float) -> None:
        """Finish an attempt that was stopped early, with the result so far; its ``epochs`` is the budget it reached.

        Raises:
            TakenOverError: when another driver took the trial over.
        """
        self._finish(record, TrialState.PRUNED, {"result": result.to_json()}, [value] if isfinite(value) else None)

    def promote(self, record: Record) -> None:
        """Enqueue the next attempt at a pruned trial, which continues from its checkpoint."""
        self._patiently(lambda: self._again(record, "pruned"))

    def _again(self, record: Record, state: str) -> None:
        with self._opened.exclusive():
            # Read anew under the lock: another driver may have enqueued the next attempt since the record was read.
            newest = next(attempt for attempt in self._read() if attempt.key == record.key)
            if newest.row == record.row and newest.state == state:
                self._enqueue_next(record)

    def fail(self, record: Record, reason: str) -> None:
        """Finish a trial without a result.

        Raises:
            TakenOverError: when another driver took it over.
        """
        self._finish(record, TrialState.FAIL, {"reason": reason})

    def requeue(self, record: Record, reason: str, *, crashes: int = 0) -> None:
        """End this attempt and enqueue the next one, which continues from the last checkpoint.

        Args:
            record: of the attempt.
            reason: why it ended.
            crashes: how often in a row the trial's worker died without finishing an epoch.
        """
        self._patiently(lambda: self._requeue(record, reason, crashes))

    def _requeue(self, record: Record, reason: str, crashes: int) -> None:
        with self._opened.exclusive():
            newest = next(attempt for attempt in self._read() if attempt.key == record.key)
            if newest.row == record.row:
                self._follow(newest, reason, crashes)

    def _follow(self, record: Record, reason: str, crashes: int) -> None:
        if record.state == "running":
            # Should this driver die between the two, whoever looks next sees that another attempt is due.
            for name, value in (("reason", reason), ("crashes", crashes), ("again", True)):
                self._set(record, name, value)
            self._storage.set_trial_state_values(record.row, TrialState.FAIL)
        elif not (record.state == "failed" and record.again):
            return
        self._enqueue_next(record, crashes)

    def recover(self) -> list[Record]:
        """Requeue running trials whose driver is gone; returns them."""
        return self._patiently(self._recover)

    def _recover(self) -> list[Record]:
        with self._opened.exclusive():
            records = self._read()
            stale = [record for record in records if record.state == "running" and self._is_stale(record)]
            due = [record for record in records if record.state == "failed" and record.again]
            for record in [*stale, *due]:
                self._follow(record, "interrupted", record.crashes)
        return stale

    def is_abandoned(self, record: Record) -> bool:
        """Whether the driver that runs a trial is gone."""
        return self._patiently(lambda: self._is_stale(record))

    def _is_stale(self, record: Record) -> bool:
        if record.lease.get("driver") == self.driver:
            return False
        seconds, one_machine = self._spec.lease_seconds, self._opened.one_machine
        return is_stale(record.lease, self._opened.now(), seconds, one_machine=one_machine)

    def retry_failed(self) -> list[Record]:
        """Enqueue another attempt at every failed trial that this process knows how to run; returns these."""
        failed = [record for record in self.records() if record.state == "failed" and record.trial is not None]
        for record in failed:
            self._patiently(partial(self._again, record, "failed"))
        return failed

    def _write(self, record: Record, action: Any) -> None:
        try:
            self._patiently(action)
        except UpdateFinishedTrialError:
            raise TakenOverError(f"{record.label}: another driver took this trial over") from None

    def _finish(
        self, record: Record, state: TrialState, facts: Mapping[str, Any], values: list[float] | None = None
    ) -> None:
        sent = False

        def write() -> None:
            nonlocal sent
            if sent and self._storage.get_trial(record.row).state == state:
                # The storage took it before its answer was lost.
                return
            for name, value in facts.items():
                self._set(record, name, value)
            sent = True
            self._storage.set_trial_state_values(record.row, state, values)

        self._write(record, write)

    def _set(self, record: Record, name: str, value: object) -> None:
        self._storage.set_trial_user_attr(record.row, name, value)

    def _enqueue_next(self, record: Record, crashes: int = 0) -> None:
        attempt, control = record.attempt + 1, record.control
        self._enqueue(record.key, record.configuration, record.seed, attempt, crashes, control)

    def _enqueue(
        self,
        key: str,
        configuration: Mapping[str, Any],
        seed: int,
        attempt: int,
        crashes: int = 0,
        control: Control | None = None,
    ) -> None:
        stored = self._known_defaults().to_stored(configuration)
        facts = {"key": key, "configuration": stored, "seed": seed, "attempt": attempt, "crashes": crashes}
        if control is not None:
            facts["control"] = self._stored(control).to_json()
        axes = self._known_axes()
        self._study.add_trial(waiting_row(stored, facts, axes, axis_values(configuration, axes or {})))
