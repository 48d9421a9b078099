"""What a search can aim at: metrics that grow, costs that shrink, and limits on either."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autorf.errors import near_names
from autorf.tasks import METRICS
from autorf.training.results import COSTS, GROUP

__all__ = [
    "COSTS",
    "METRICS",
    "Constraint",
    "group_of",
    "is_metric",
    "known_objective",
    "parse_constraint",
    "sign",
    "violated",
]

_CONSTRAINT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(<=|>=)\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*")


def sign(objective: str) -> int:
    """1 for a metric, -1 for a cost: ``sign * value`` is to be maximised."""
    return -1 if objective in COSTS else 1


def is_metric(name: str) -> bool:
    """Whether an objective is measured on the validation split; the others are costs."""
    return name in METRICS or group_of(name) is not None


def group_of(name: str) -> str | None:
    """The label group whose F1 an objective is; None for any other: ``f1_overall`` is that of ``overall``."""
    return name.removeprefix(GROUP) if name.startswith(GROUP) and name != GROUP else None


def known_objective(name: object) -> str:
    """``name`` if trials report it; whether the data set has the label group of an ``f1_GROUP`` is for others to ask.

    Raises:
        ValueError: with near names and the list, where none does.
    """
    reported = (*METRICS, *COSTS)
    if name in reported or (isinstance(name, str) and group_of(name) is not None):
        return str(name)
    near = near_names(str(name), reported)
    raise ValueError(
        f"no trial reports it{near}; metrics (maximised) are {', '.join(METRICS)} and {GROUP}GROUP of the data set's "
        f"label groups, costs (minimised) {', '.join(COSTS)}"
    )


@dataclass(frozen=True)
class Constraint:
    """A limit on a value that trials report; a trial beyond it is infeasible and never best."""

    name: str
    relation: str
    limit: float

    def holds(self, result: Mapping[str, float]) -> bool:
        """Whether a trial with this result keeps the limit; one that does not report the value does not."""
        value = result.get(self.name)
        if value is None:
            return False
        return bool(value <= self.limit if self.relation == "<=" else value >= self.limit)

    def excess(self, result: Mapping[str, float]) -> float:
        """How far the value lies beyond the limit, as a share of it; at most 0 where it holds."""
        value = result[self.name]
        beyond = value - self.limit if self.relation == "<=" else self.limit - value
        return beyond / (abs(self.limit) or 1.0)


def parse_constraint(text: object) -> Constraint:
    """The limit that ``"latency_ms <= 20"`` means.

    Raises:
        ValueError: for anything but NAME <= NUMBER or NAME >= NUMBER, or a name no trial reports.
    """
    match = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a constraint is NAME <= NUMBER or NAME >= NUMBER, such as latency_ms <= 20")
    name, relation, number = match.groups()
    reported = (*METRICS, *COSTS, "rnorm", "train_seconds")
    if name not in reported and group_of(name) is None:
        raise ValueError(f"no trial reports {name!r}{near_names(name, reported)}; known are {', '.join(reported)}")
    try:
        return Constraint(name, relation, float(number))
    except ValueError:
        raise ValueError(f"{number!r} is no number") from None


def violated(result: Mapping[str, float], constraints: Iterable[str]) -> list[str]:
    """Those of ``constraints`` that a trial with this result breaks."""
    return [text for text in constraints if not parse_constraint(text).holds(result)]
