"""What was changed in a model, in words and numbers."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from autorf.methods.modules import AdaptiveRegion
from autorf.ops._arguments import check_module
from autorf.surgery.adaptation import adaptations
from autorf.surgery.record import Adaptation
from autorf.surgery.scopes import SCOPES
from autorf.surgery.verification import notes, search_in_words
from autorf.surgery.wrappers import submodule, unwrapped


@dataclass(frozen=True)
class Change:
    """One changed layer or region.

    Attributes:
        name: of the layer; a region is ``"first to last"``.
        method: its name.
        values: what was set or learned there: ``dilation``, ``f`` and the like.
        options: the method's fields that differ from their defaults, targets left out.
        frozen: whether ``freeze`` has made it plain.
        search: where a search that is not over stands, in words.
    """

    name: str
    method: str
    values: dict[str, float]
    options: dict[str, Any] = field(default_factory=dict)
    frozen: bool = False
    search: str = ""

    def __str__(self) -> str:
        values = ", ".join(f"{key} {value:.4g}" for key, value in self.values.items())
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        ends = ("frozen" if self.frozen else "", self.search)
        return "  ".join([values, *([f"({options})"] if options else []), *(end for end in ends if end)])


@dataclass(frozen=True)
class Description:
    """All changes of a model; prints as a table.

    Attributes:
        changes: one for each layer or region.
        notes: what of them was not trained as it should be, in sentences.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        if not self.changes:
            return "nothing was changed"
        names = max(len(change.name) for change in self.changes)
        methods = max(len(change.method) for change in self.changes)
        rows = (f"{change.name:<{names}}  {change.method:<{methods}}  {change}" for change in self.changes)
        return "\n".join([*(row.rstrip() for row in rows), *self.notes])


def describe(model: nn.Module) -> Description:
    """Say which modules of ``model`` were changed by which method, and the dilation, factor or scale there now.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> print(autorf.describe(autorf.adapt(model, autorf.Dilation(targets="1", rate=4))))
        1  dilation  dilation 4  (rate=4)
    """
    check_module("describe", model)
    model = unwrapped(model)
    changes = tuple(change for adaptation in adaptations(model) for change in _changes(model, adaptation))
    return Description(changes, notes(model))


def _changes(model: nn.Module, adaptation: Adaptation) -> list[Change]:
    method = adaptation.method
    options = method.model_dump(exclude_defaults=True, exclude={"method", *method.place})
    places = SCOPES[method.scope].values(model, adaptation.names)
    return [
        Change(title, method.method, values, options, name in adaptation.frozen, _search(model, name))
        for title, (name, values) in places.items()
    ]


def _search(model: nn.Module, name: str) -> str:
    module = submodule(model, name)
    # A region lies within its first module.
    inside = next((child for child in module.modules() if isinstance(child, AdaptiveRegion)), module)
    return search_in_words(module) or search_in_words(inside)
