"""What was changed in a model, in words and numbers."""

from dataclasses import dataclass

from torch import nn

from autorf.methods.base import AdaptiveModule
from autorf.surgery.adapt import adaptations, first_leaf


@dataclass(frozen=True)
class Change:
    """One changed module: its name, the method, and what was set or learned there."""

    name: str
    method: str
    values: dict[str, float]


@dataclass(frozen=True)
class Description:
    """All changes of a model; prints as a table."""

    changes: tuple[Change, ...]

    def __str__(self) -> str:
        if not self.changes:
            return "nothing was changed"
        width = max(len(change.name) for change in self.changes)
        return "\n".join(
            f"{change.name:<{width}}  {change.method:<16}  "
            + ", ".join(f"{key} {value:.4g}" for key, value in change.values.items())
            for change in self.changes
        )


def describe(model: nn.Module) -> Description:
    """Say which modules of ``model`` were changed by which method, and the dilation, factor or scale there now."""
    return Description(
        tuple(
            Change(name, one.method.method, _values(model.get_submodule(name)))
            for one in adaptations(model)
            for name in one.names
        )
    )


def _values(module: nn.Module) -> dict[str, float]:
    inside = getattr(first_leaf(module), "inflation", module)
    if isinstance(module, AdaptiveModule):
        return module.values()
    if isinstance(inside, AdaptiveModule):
        return inside.values()
    return {"dilation": float(module.dilation[0])} if isinstance(module, nn.Conv2d) else {}
