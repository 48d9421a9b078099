"""What a search can aim at: metrics that grow, costs that shrink, and limits on either."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autorf.errors import near_names
from autorf.training.results import COSTS, METRICS

__all__ = ["COSTS", "METRICS", "Constraint", "known_objective", "parse_constraint", "sign", "violated"]

_CONSTRAINT = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(<=|>=)\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*")


def sign(objective: str) -> int:
    """1 for a metric, -1 for a cost: ``sign * value`` is to be maximised."""
    return -1 if objective in COSTS else 1


def known_objective(name: object) -> str:
    """``name`` if trials report it.

    Raises:
        ValueError: with near names and the list, where none does.
    """
    reported = (*METRICS, *COSTS)
    if name in reported:
        return str(name)
    near = near_names(str(name), reported)
    raise ValueError(
        f"no trial reports it{near}; metrics (maximised) are {', '.join(METRICS)}, costs (minimised) {', '.join(COSTS)}"
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
    if name not in reported:
        raise ValueError(f"no trial reports {name!r}{near_names(name, reported)}; known are {', '.join(reported)}")
    try:
        return Constraint(name, relation, float(number))
    except ValueError:
        raise ValueError(f"{number!r} is no number") from None


def violated(result: Mapping[str, float], constraints: Iterable[str]) -> list[str]:
    """Those of ``constraints`` that a trial with this result breaks."""
    return [text for text in constraints if not parse_constraint(text).holds(result)]
