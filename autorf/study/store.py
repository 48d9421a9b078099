"""The study's own memory: an Optuna storage that says what is wanted, running and done."""

import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from autorf.errors import InputError, near_names
from autorf.study.search_space import TRAINING
from autorf.study.search_spec import SearchSpec
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, trial_from

State = Literal["waiting", "running", "complete", "pruned", "failed"]
LEASE_SECONDS = 120.0
"""A running trial whose lease was not renewed for so long is taken over."""

FORMAT = 1
"""Version of what is stored; a newer one is refused."""

_METHOD_NAMES = ("dilation", "inflation", "learned_dilation", "pixel_adaptive", "scale_adaptive")
"""Fixed here because Optuna refuses a categorical parameter that grows."""

_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Record:
    """What the storage knows of one attempt at a trial.

    Attributes:
        row: the storage's own number of this attempt.
        key: the trial's key.
        configuration: canonical, as :attr:`autorf.study.trial.Trial.configuration`.
        seed: of the trial.
        state: of the attempt.
        attempt: 1 for the first.
        result: what the trial reported at its end (metrics, receptive field, seconds).
        history: one mapping an epoch.
        reason: why it failed or was interrupted.
        ended: when the attempt ended, in seconds since 1970; None before.
    """

    row: int
    key: str
    configuration: dict[str, Any]
    seed: int
    state: State
    attempt: int
    result: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    lease: dict[str, Any] = field(default_factory=dict)
    ended: float | None = None

    @property
    def label(self) -> str:
        """The trial in a few words."""
        return trial_from(self.configuration, self.seed).label


def study_folder(root: Path, name: str) -> Path:
    """The folder of one study."""
    return root / name


def open_store(root: Path, name: str) -> "Store":
    """The store of a study that exists.

    Raises:
        InputError: when there is none of that name, with near names.
    """
    if not (study_folder(root, name) / "study.db").is_file():
        known = sorted(path.parent.name for path in root.glob("*/study.db"))
        hint = f"{near_names(name, known)}; studies there: {', '.join(known) or 'none'}"
        raise InputError(f"no study {name!r} under {root.resolve()}{hint}; run it first: autorf search {name}")
    return Store(study_folder(root, name), name)


class Store:
    """One study's trials in an Optuna storage.

    A row is one attempt at a trial; a trial's state is that of its newest attempt. Claiming a row and finishing it are
    atomic in the storage, so that two drivers never run one trial and a late writer is refused.
    """

    def __init__(self, folder: Path, name: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(folder / 'study.db').resolve()}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
                self._study = optuna.create_study(
                    study_name=name, storage=self._storage, direction="maximize", load_if_exists=True
                )
        except (OptunaError, SQLAlchemyError, RuntimeError) as error:
            raise InputError(
                f"{folder / 'study.db'}: is no storage of this version: {str(error).splitlines()[0]}"
            ) from None
        stored = self._study.user_attrs.get("format", FORMAT)
        if stored > FORMAT:
            raise InputError(f"{folder / 'study.db'}: was written by a newer autorf (format {stored}); upgrade autorf")
        self.folder = folder
        self.name = name

    @property
    def spec(self) -> dict[str, Any] | None:
        """The study file as it was when the study began, or None before."""
        return self._study.user_attrs.get("spec")

    @property
    def identity(self) -> str:
        """Tells this study from every other, those of the same name too; empty before :meth:`register`."""
        return str(self._study.user_attrs.get("identity", ""))

    def register(self, spec: StudySpec, trials: Iterable[Trial]) -> None:
        """Enqueue every trial that the storage does not have yet; remember the study file.

        Raises:
            InputError: when the study file changed in more than adding trials since the study began.
        """
        wanted = {trial.key: trial for trial in trials}
        if self.spec is not None:
            _check_unchanged(self.spec, spec)
            gone = {record.key: record for record in self.records() if record.key not in wanted}
            if gone:
                lost = next(iter(gone.values()))
                raise InputError(
                    f"study {self.name!r} already has {len(gone)} trials that the study file no longer lists, such as "
                    f"{lost.configuration} with seed {lost.seed}; put them back, or give the study another name"
                )
        self._study.set_user_attr("format", FORMAT)
        if not self.identity:
            self._study.set_user_attr("identity", uuid.uuid4().hex[:12])
        self._study.set_user_attr("spec", spec.model_dump(mode="json"))
        known = {record.key for record in self.records()}
        for key, trial in wanted.items():
            if key not in known:
                self._enqueue(key, trial.configuration, trial.seed, attempt=1)

    def attempts(self) -> list[Record]:
        """Every attempt at every trial, each with its own epochs only, in the order they were enqueued."""
        return [_record(row) for row in self._study.get_trials(deepcopy=False)]

    def records(self) -> list[Record]:
        """The newest attempt at every trial, in the order the trials were enqueued."""
        return newest_attempts(self.attempts())

    def record(self, key: str) -> Record:
        """The newest attempt at the trial ``key``."""
        return next(record for record in self.records() if record.key == key)

    def claim(self) -> Record | None:
        """The next waiting trial, now running and leased to this process; None when none waits."""
        for record in self.records():
            if record.state == "waiting" and self._storage.set_trial_state_values(record.row, TrialState.RUNNING):
                self.renew(record)
                return replace(record, state="running")
        return None

    def renew(self, record: Record) -> None:
        """Say that the trial is still being worked on."""
        lease = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
        self._set(record, "lease", lease)

    def report(self, record: Record, epoch: dict[str, Any]) -> None:
        """Store what an epoch measured; renews the lease. Reporting an epoch again replaces it."""
        step = int(epoch["epoch"])
        self._storage.set_trial_intermediate_value(record.row, step, float(epoch["miou"]))
        self._set(record, f"epoch:{step}", epoch)
        self.renew(record)

    def complete(self, record: Record, result: dict[str, Any], value: float) -> None:
        """Finish a trial with its results."""
        self._set(record, "result", result)
        self._storage.set_trial_state_values(record.row, TrialState.COMPLETE, [value])

    def prune(self, record: Record, result: dict[str, Any], value: float) -> None:
        """Finish an attempt that was stopped early, with the result so far; its ``epochs`` is the budget it reached."""
        self._set(record, "result", result)
        self._storage.set_trial_state_values(record.row, TrialState.PRUNED, [value])

    def promote(self, record: Record) -> None:
        """Enqueue the next attempt at a pruned trial, which continues from its checkpoint."""
        self._enqueue(record.key, record.configuration, record.seed, attempt=record.attempt + 1)

    def fail(self, record: Record, reason: str) -> None:
        """Finish a trial without a result."""
        self._set(record, "reason", reason)
        self._storage.set_trial_state_values(record.row, TrialState.FAIL)

    def requeue(self, record: Record, reason: str) -> None:
        """End this attempt and enqueue the next one, which continues from the last checkpoint."""
        try:
            self.fail(record, reason)
        except optuna.exceptions.UpdateFinishedTrialError:
            return
        self._enqueue(record.key, record.configuration, record.seed, attempt=record.attempt + 1)

    def recover(self) -> list[Record]:
        """Requeue running trials whose process is gone; returns them."""
        stale = [record for record in self.records() if record.state == "running" and _is_stale(record.lease)]
        for record in stale:
            self.requeue(record, "interrupted")
        return stale

    def retry_failed(self) -> list[Record]:
        """Enqueue another attempt at every failed trial; returns the failed ones."""
        failed = [record for record in self.records() if record.state == "failed"]
        for record in failed:
            self._enqueue(record.key, record.configuration, record.seed, attempt=record.attempt + 1)
        return failed

    def add_retrain(self, key: str, facts: Mapping[str, Any]) -> None:
        """Remember that a trial was retrained; ``seconds`` of an earlier retrain of it are added up."""
        before = self.retrains().get(key, {}).get("seconds", 0.0)
        self._study.set_user_attr(f"retrain:{key}", {**facts, "seconds": facts["seconds"] + before})

    def retrains(self) -> dict[str, dict[str, Any]]:
        """What was retrained, by trial key: ``seconds`` in all, ``epochs``, ``seeds``, ``with_val``, ``fixed``."""
        return {
            name.removeprefix("retrain:"): value
            for name, value in self._study.user_attrs.items()
            if name.startswith("retrain:")
        }

    def _set(self, record: Record, name: str, value: object) -> None:
        self._storage.set_trial_user_attr(record.row, name, value)

    def _enqueue(self, key: str, configuration: Mapping[str, Any], seed: int, attempt: int) -> None:
        method = configuration["method"]
        named = {n if n == "method" or n.startswith(TRAINING) else f"{method}.{n}": v for n, v in configuration.items()}
        distributions = {name: d for name, value in named.items() if (d := _distribution(name, value))}
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.WAITING,
                params={name: named[name] for name in distributions},
                distributions=distributions,
                user_attrs={"key": key, "configuration": configuration, "seed": seed, "attempt": attempt},
            )
        )


def _record(row: FrozenTrial) -> Record:
    attributes = row.user_attrs
    epochs = sorted((name for name in attributes if name.startswith("epoch:")), key=lambda name: int(name[6:]))
    return Record(
        row=row._trial_id,
        key=attributes["key"],
        configuration=attributes["configuration"],
        seed=attributes["seed"],
        state=_STATES[row.state],
        attempt=attributes["attempt"],
        result=attributes.get("result", {}),
        history=[attributes[name] for name in epochs],
        reason=attributes.get("reason"),
        lease=attributes.get("lease", {}),
        ended=row.datetime_complete.timestamp() if row.datetime_complete else None,
    )


def newest_attempts(attempts: Iterable[Record]) -> list[Record]:
    """The attempt that counts of every trial, in the order the trials were enqueued."""
    by_key: dict[str, list[Record]] = {}
    for record in attempts:
        by_key.setdefault(record.key, []).append(record)
    return [_newest(records) for records in by_key.values()]


def _newest(attempts: list[Record]) -> Record:
    """The attempt that counts, with the epochs of those it continued."""
    ordered = sorted(attempts, key=_rank)
    epochs = {int(epoch["epoch"]): epoch for record in ordered for epoch in record.history}
    return replace(ordered[-1], history=[epochs[number] for number in sorted(epochs)])


def _rank(record: Record) -> tuple[bool, int, int]:
    """Newer attempts win; a complete one always does; of two rows of one attempt the first."""
    return record.state == "complete", record.attempt, -record.row


def _is_stale(lease: Mapping[str, Any]) -> bool:
    if not lease:
        return True
    if lease["host"] == socket.gethostname():
        return not _alive(int(lease["pid"]))
    return time.time() - float(lease["time"]) > LEASE_SECONDS


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _distribution(name: str, value: object) -> BaseDistribution | None:
    if name == "method":
        return CategoricalDistribution(_METHOD_NAMES)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return IntDistribution(0, 2**16) if isinstance(value, int) else FloatDistribution(-1e9, 1e9)


def _check_unchanged(old: Mapping[str, Any], spec: StudySpec) -> None:
    """Refuse a change of anything that results depend on; executor, tracking, seeds and search space may grow."""
    old, new = _comparable(old), _comparable(spec.model_dump(mode="json"))
    changes = [
        f"{path}: {before!r} became {after!r}"
        for part in ("data", "model", "training", "search")
        for path, before, after in _differences(part, old.get(part), new[part])
        if path not in _MAY_CHANGE and not path.startswith(_MAY_GROW)
    ]
    if changes:
        raise InputError(
            f"the study file changed since study {spec.name!r} began ({'; '.join(changes)}); "
            "change it back, or give the study another name"
        )


_MAY_CHANGE = ("training.seeds",)
_MAY_GROW = ("search.budget", "search.stop")
"""What says how much to run, but not with what result."""


def _comparable(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A study file as plain values, settings that an older version did not know filled in."""
    plain: dict[str, Any] = json.loads(json.dumps(stored))
    return {**plain, "search": SearchSpec.model_validate(plain.get("search", {})).model_dump(mode="json")}


def _differences(path: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*old, *new])
        return [found for key in keys for found in _differences(f"{path}.{key}", old.get(key), new.get(key))]
    return [] if old == new else [(path, old, new)]
