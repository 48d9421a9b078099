"""What a trial's methods learned from step to step, put together from its epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autorf.store.record import Record

KEPT_APART = ("step", "steps_per_epoch", "rates", "window", "profiles", "losses", "alike")
"""What a trace holds beside learned values."""


def parts(values: Mapping[str, Any], name: str) -> list[str]:
    """Under which names ``values`` lists what several branches or layers learned: ``f.1``, ``f.2``; none for one."""
    numbered = (f"{name}.{index}" for index in range(1, len(values) + 1))
    return [part for part in numbered if part in values]


def alike_of(record: Record) -> list[list[float]]:
    """For every search of a trial the options that it could not tell from the one of the lowest loss, increasing.

    As its newest trace has them; none where it searches nothing, or was trained before that was kept.
    """
    newest = (epoch.trace["alike"] for epoch in reversed(record.history) if "alike" in epoch.trace)
    return [list(options) for options in next(newest, [])]


@dataclass(frozen=True)
class SteppedTrace:
    """The trace of one trial.

    Attributes:
        steps: of the whole training, from 0.
        epochs: the same in epochs, fractional.
        values: every learned value, one number a step.
        rates: the options of a search, empty without one.
        window: for the steps of the search, each option's weight; the mean over layers.
        profiles: for every search, each option's loss less the first one's when it ended; None where it was never
            tried. One, or one a layer that searches its own.
    """

    steps: list[int] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    window: list[list[float]] = field(default_factory=list)
    profiles: list[list[float | None]] = field(default_factory=list)


def stepped(record: Record) -> SteppedTrace:
    """The trace of a record; empty where its epochs hold none."""
    whole = SteppedTrace()
    for epoch in record.history:
        trace: Mapping[str, Any] = epoch.trace
        steps: Sequence[int] = trace.get("step", ())
        whole.steps.extend(steps)
        whole.epochs.extend(step / trace["steps_per_epoch"] for step in steps)
        for name, values in trace.items():
            if name not in KEPT_APART:
                whole.values.setdefault(name, []).extend(values)
        if "window" in trace:
            whole.rates[:] = trace["rates"]
            whole.window.extend(trace["window"])
            # Earlier versions kept one profile, the mean over layers.
            whole.profiles[:] = trace["profiles"] if "profiles" in trace else [trace["losses"]]
    return whole
