"""What was changed in a model, in words and numbers."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from autorf.surgery.adaptation import adaptations
from autorf.surgery.record import Adaptation
from autorf.surgery.scopes import SCOPES


@dataclass(frozen=True)
class Change:
    """One changed layer or region.

    Attributes:
        name: of the layer; a region is ``"first to last"``.
        method: its name.
        values: what was set or learned there: ``dilation``, ``f`` and the like.
        options: the method's fields that differ from their defaults, targets left out.
        frozen: whether ``freeze`` has made it plain.
    """

    name: str
    method: str
    values: dict[str, float]
    options: dict[str, Any] = field(default_factory=dict)
    frozen: bool = False

    def __str__(self) -> str:
        values = ", ".join(f"{key} {value:.4g}" for key, value in self.values.items())
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return values + (f"  ({options})" if options else "") + ("  frozen" if self.frozen else "")


@dataclass(frozen=True)
class Description:
    """All changes of a model; prints as a table."""

    changes: tuple[Change, ...]

    def __str__(self) -> str:
        if not self.changes:
            return "nothing was changed"
        names = max(len(change.name) for change in self.changes)
        methods = max(len(change.method) for change in self.changes)
        rows = (f"{change.name:<{names}}  {change.method:<{methods}}  {change}" for change in self.changes)
        return "\n".join(row.rstrip() for row in rows)


def describe(model: nn.Module) -> Description:
    """Say which modules of ``model`` were changed by which method, and the dilation, factor or scale there now.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> print(autorf.describe(autorf.adapt(model, autorf.Dilation(targets="1", rate=4))))
        1  dilation  dilation 4  (rate=4)
    """
    return Description(tuple(change for adaptation in adaptations(model) for change in _changes(model, adaptation)))


def _changes(model: nn.Module, adaptation: Adaptation) -> list[Change]:
    method = adaptation.method
    options = method.model_dump(exclude_defaults=True, exclude={"method", *method.place})
    places = SCOPES[method.scope].values(model, adaptation.names)
    return [
        Change(title, method.method, values, options, name in adaptation.frozen)
        for title, (name, values) in places.items()
    ]
