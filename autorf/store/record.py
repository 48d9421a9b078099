"""What the storage knows of one attempt at a trial."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from autorf.errors import in_one_line
from autorf.store.damage import DAMAGED
from autorf.study.control import Control
from autorf.study.defaults import Defaults
from autorf.study.settings import FOLD
from autorf.study.trial import Trial, fold_words, key_of, trial_from
from autorf.training.results import DamagedError, EpochReport, TrialResult

State = Literal["waiting", "running", "complete", "pruned", "failed"]

_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_EPOCH = "epoch:"


@dataclass(frozen=True)
class Record:
    """What the storage knows of one attempt at a trial.

    A row that cannot be read, for its method is that of a package which is not installed here or its values are
    damaged, is a failed attempt whose ``reason`` says so.

    Attributes:
        row: the storage's own number of this attempt.
        key: the trial's key.
        configuration: canonical, as :attr:`autorf.study.trial.Trial.configuration`: in terms of today's defaults; empty
            where it is damaged.
        seed: of the trial.
        state: of the attempt.
        attempt: 1 for the first.
        trial: the configuration under the seed, decoded; None where this process does not know it.
        result: what the trial reported at its end; None without.
        history: what every epoch reported, those of earlier attempts that this one continued included.
        reason: why it failed or was interrupted, or what went wrong on the way to a result.
        lease: who runs it, see :mod:`autorf.store.lease`.
        crashes: how often in a row its worker died without finishing an epoch.
        ended: when the attempt ended, in seconds since 1970; None before.
        again: whether an attempt that failed is to be followed by another, as after an interruption.
        control: what it is a control for; None for a trial of the search.
    """

    row: int
    key: str
    configuration: dict[str, Any]
    seed: int
    state: State
    attempt: int
    trial: Trial | None = None
    result: TrialResult | None = None
    history: tuple[EpochReport, ...] = ()
    reason: str | None = None
    lease: dict[str, Any] = field(default_factory=dict)
    ended: float | None = None
    crashes: int = 0
    again: bool = False
    control: Control | None = None

    @property
    def method(self) -> str:
        """The method's name; empty where the configuration is damaged."""
        return str(self.configuration.get("method", ""))

    @property
    def params(self) -> dict[str, Any]:
        """The configuration without the method's name."""
        return {name: value for name, value in self.configuration.items() if name != "method"}

    @property
    def setting(self) -> str:
        """The parameters in a few words."""
        if self.trial is not None:
            return self.trial.setting
        return ", ".join(f"{name} {value}" for name, value in self.params.items()) or "unknown"

    @property
    def set_dilation(self) -> float | None:
        """The dilation that the configuration sets, where it does."""
        return None if self.trial is None else self.trial.method.set_dilation

    @property
    def label(self) -> str:
        """The trial in a few words."""
        return f"{self.method or 'unknown'} ({self.setting}) seed {self.seed}{fold_words(self.fold)}"

    @property
    def fold(self) -> int | None:
        """The fold of the data that validates the trial; None where the data has none."""
        fold = self.configuration.get(FOLD)
        return fold if isinstance(fold, int) else None

    @property
    def last(self) -> EpochReport | None:
        """The newest epoch; None before the first."""
        return self.history[-1] if self.history else None

    @property
    def finished(self) -> bool:
        """Whether the attempt has ended, well or not."""
        return self.state not in ("waiting", "running")

    def value(self, name: str) -> float:
        """A metric or cost of the result; nan where it has none."""
        return float("nan") if self.result is None else self.result.by_name.get(name, float("nan"))


def record_from(row: FrozenTrial, defaults: Defaults, before: Record | None = None) -> Record:
    """The record of a row of the storage.

    Args:
        row: as the storage has it.
        defaults: those that the study began with.
        before: what was read of this row earlier: its configuration stays what it is and is not decoded again.
    """
    attributes = row.user_attrs
    problems = [str(problem) for problem in attributes.get(DAMAGED) or ()]
    configuration, seed = attributes.get("configuration"), attributes.get("seed")
    if before is not None:
        configuration = before.configuration
    elif isinstance(configuration, dict):
        configuration = defaults.to_today(configuration)
    if not isinstance(configuration, dict):
        problems.append("configuration: holds no names and values")
    if not isinstance(seed, int) or isinstance(seed, bool):
        problems.append("seed: is no whole number")
    key = _key(attributes, row._trial_id)
    trial = None
    if before is not None and before.trial is not None:
        trial = before.trial
    elif isinstance(configuration, dict) and isinstance(seed, int):
        trial = _trial(configuration, seed, problems)
    result, history = _result(attributes, problems), _history(attributes, problems)
    if row.state in (TrialState.COMPLETE, TrialState.PRUNED) and result is None and not problems:
        problems.append("result: is missing")
    notes = "; ".join(result.notes) if result is not None else None
    return Record(
        row=row._trial_id,
        key=key,
        configuration=configuration if isinstance(configuration, dict) else {},
        seed=seed if isinstance(seed, int) else 0,
        state="failed" if problems else _STATES[row.state],
        attempt=_count(attributes.get("attempt")) or 1,
        trial=trial,
        result=result,
        history=history,
        reason=_reason(problems, attributes.get("reason"), notes),
        lease=_lease(attributes.get("lease")),
        ended=row.datetime_complete.timestamp() if row.datetime_complete else None,
        crashes=_count(attributes.get("crashes")),
        again=not problems and attributes.get("again") is True,
        control=_control(attributes, defaults) if before is None else before.control,
    )


def _key(attributes: Mapping[str, Any], row: int) -> str:
    """The trial's key, which becomes a folder's name; a damaged one follows from what it is the hash of."""
    key, configuration, seed = (attributes.get(name) for name in ("key", "configuration", "seed"))
    if isinstance(key, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key):
        return key
    if isinstance(configuration, dict) and isinstance(seed, int):
        return key_of(configuration, seed, Control.from_json(attributes.get("control")))
    return f"row {row}"


def _count(stored: object) -> int:
    return stored if isinstance(stored, int) and stored >= 0 else 0


def _reason(problems: list[str], stored: object, notes: str | None) -> str | None:
    if problems:
        more = f"; and {len(problems) - 2} more" if len(problems) > 2 else ""
        return f"cannot be read: {'; '.join(problems[:2])}{more}"
    return (stored if isinstance(stored, str) else None) or notes or None


def _lease(stored: object) -> dict[str, Any]:
    """A lease as it was written; a damaged one is nobody's."""
    if not isinstance(stored, dict) or not isinstance(stored.get("host"), str):
        return {}
    return stored if all(isinstance(stored.get(name), int | float) for name in ("pid", "time")) else {}


def _control(attributes: Mapping[str, Any], defaults: Defaults) -> Control | None:
    control = Control.from_json(attributes.get("control"))
    return None if control is None else replace(control, winner=defaults.to_today(control.winner))


def _trial(configuration: Mapping[str, Any], seed: int, problems: list[str]) -> Trial | None:
    try:
        return trial_from(configuration, seed)
    # An edited configuration may hold anything.
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        problems.append(in_one_line(error, 120))
        return None


def _result(attributes: Mapping[str, Any], problems: list[str]) -> TrialResult | None:
    try:
        return TrialResult.from_json(attributes["result"]) if "result" in attributes else None
    except DamagedError as error:
        problems.append(f"result: {error}")
        return None


def _history(attributes: Mapping[str, Any], problems: list[str]) -> tuple[EpochReport, ...]:
    """The epochs that can be read, in their order."""
    epochs: dict[int, EpochReport] = {}
    for name, stored in attributes.items():
        if name.startswith(_EPOCH):
            try:
                report = EpochReport.from_json(stored)
            except DamagedError as error:
                problems.append(f"{name}: {error}")
            else:
                epochs[report.epoch] = report
    return tuple(epochs[number] for number in sorted(epochs))


def newest_attempts(attempts: Iterable[Record]) -> list[Record]:
    """The attempt that counts of every trial, in the order the trials were enqueued."""
    by_key: dict[str, list[Record]] = {}
    for record in attempts:
        by_key.setdefault(record.key, []).append(record)
    return [_newest(records) for records in by_key.values()]


def _newest(attempts: list[Record]) -> Record:
    """The attempt that counts, with the epochs of those it continued."""
    if len(attempts) == 1:
        return attempts[0]
    ordered = sorted(attempts, key=_rank)
    # An epoch that was trained twice counts as the attempt that ranks higher reported it.
    epochs = {report.epoch: report for record in ordered for report in record.history}
    return replace(ordered[-1], history=tuple(epochs[number] for number in sorted(epochs)))


def _rank(record: Record) -> tuple[bool, int, int]:
    """Newer attempts win; a complete one always does; of two rows of one attempt the first."""
    # A driver thought dead may still finish the attempt it had: its result is whole, and nothing is trained twice.
    return record.state == "complete", record.attempt, -record.row
