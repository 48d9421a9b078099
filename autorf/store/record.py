"""What the storage knows of one attempt at a trial."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from autorf.study.defaults import Defaults
from autorf.study.trial import trial_from

State = Literal["waiting", "running", "complete", "pruned", "failed"]

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
        configuration: canonical, as :attr:`autorf.study.trial.Trial.configuration`: in terms of today's defaults.
        seed: of the trial.
        state: of the attempt.
        attempt: 1 for the first.
        result: what the trial reported at its end (metrics, receptive field, seconds).
        history: one mapping an epoch, those of earlier attempts that this one continued included.
        reason: why it failed or was interrupted, or what went wrong on the way to a result.
        lease: who runs it, see :mod:`autorf.store.lease`.
        crashes: how often in a row its worker died without finishing an epoch.
        ended: when the attempt ended, in seconds since 1970; None before.
        again: whether an attempt that failed is to be followed by another, as after an interruption.
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
    crashes: int = 0
    again: bool = False

    @property
    def label(self) -> str:
        """The trial in a few words."""
        return trial_from(self.configuration, self.seed).label

    @property
    def finished(self) -> bool:
        """Whether the attempt has ended, well or not."""
        return self.state not in ("waiting", "running")


def record_from(row: FrozenTrial, defaults: Defaults) -> Record:
    """The record of a row of the storage of a study that began with these defaults."""
    attributes = row.user_attrs
    epochs = sorted((name for name in attributes if name.startswith("epoch:")), key=lambda name: int(name[6:]))
    result = attributes.get("result", {})
    return Record(
        row=row._trial_id,
        key=attributes["key"],
        configuration=defaults.to_today(attributes["configuration"]),
        seed=attributes["seed"],
        state=_STATES[row.state],
        attempt=attributes["attempt"],
        result=result,
        history=[attributes[name] for name in epochs],
        reason=attributes.get("reason") or "; ".join(result.get("notes", [])) or None,
        lease=attributes.get("lease", {}),
        ended=row.datetime_complete.timestamp() if row.datetime_complete else None,
        crashes=attributes.get("crashes", 0),
        again=attributes.get("again", False),
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
