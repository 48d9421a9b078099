"""A control: a manual configuration trained as long as the best learned one, so that equal trainings are compared."""

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

Budget = Literal["steps", "cost"]


@dataclass(frozen=True)
class Control:
    """What a trial is a control for.

    Attributes:
        budget: what it shares with the winner: the number of optimizer steps, or the cost in seconds of the device.
        winner: the canonical configuration of the learned trials it is trained as long as.
    """

    budget: Budget
    winner: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"budget": self.budget, "winner": self.winner}

    @classmethod
    def from_json(cls, values: Any) -> Self | None:
        """The control that :meth:`to_json` wrote; None for anything else."""
        if not isinstance(values, dict) or values.get("budget") not in get_args(Budget):
            return None
        winner = values.get("winner")
        return cls(values["budget"], winner) if isinstance(winner, dict) else None
