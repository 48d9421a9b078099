"""The record beside a saved model's weights: what was changed in it, so that it can be changed again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from autorf.errors import InputError
from autorf.methods import METHODS
from autorf.methods.base import Method
from autorf.specification import Number, Specification, WholeNumber, parse, with_older_fields
from autorf.surgery.adaptation import adaptations
from autorf.surgery.forms import Form
from autorf.surgery.record import Adaptation
from autorf.surgery.scopes import SCOPES
from autorf.surgery.wrappers import named_modules, submodule

VERSION = 1
"""Of the record's layout; another one is refused."""


class SavedAdaptation(Specification):
    """One adaptation: the method's own fields, the names it changed, and the plain form of those that are frozen.

    ``values_per_position`` is as in :class:`autorf.methods.modules.AdaptiveRegion`.
    """

    method: dict[str, Any]
    names: tuple[str, ...]
    frozen: dict[str, Form] = {}
    values_per_position: Annotated[Number, Field(ge=0)] = 0.0


class Builder(Specification):
    """Whose code builds a model: the user's own.

    Attributes:
        reference: to the function, as its study names it.
        digest: of that code, and of all it imports of the user's own.
    """

    reference: str
    digest: str


BUILDER = "autorf_builder"
"""The attribute of a model that says whose code built it."""


class Sidecar(Specification):
    """All that a saved model needs beside its weights.

    Attributes:
        format: says whose file this is.
        version: of this layout.
        autorf: the library's version that wrote it.
        model: the model's class, for messages.
        adaptations: in the order in which they were made.
        geometry: kernel, stride, padding and dilation of every plain convolution and pooling, by name; a model built
            with others would take the weights and compute something else.
        weights_sha256: of the weights' names, types, shapes and values.
        builder: of a model that the user's own code builds; the code itself is not saved.
        prediction: of a retrained model, how pictures become its classes; see :mod:`autorf.deployment.recipe`.
    """

    format: Literal["autorf model"] = "autorf model"
    version: WholeNumber = VERSION
    autorf: str
    model: str
    adaptations: tuple[SavedAdaptation, ...]
    geometry: dict[str, str]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    builder: Builder | None = None
    prediction: dict[str, Any] | None = None


def read_sidecar(path: Path) -> Sidecar:
    """The record in ``path``.

    Raises:
        InputError: for a file that is missing, damaged, of another program or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a saved model is a folder written by autorf.save") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from None
    return parse_sidecar(text, str(path))


def parse_sidecar(text: str, path: str) -> Sidecar:
    """The record in ``text``, which stands in the file ``path``.

    Raises:
        InputError: for text that is damaged, of another program or of another version.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(values, Mapping) or values.get("format") != "autorf model":
        raise InputError(f"{path}: not a record of autorf.save (no format: 'autorf model')")
    if values.get("version") != VERSION:
        raise InputError(
            f"{path}: has version {values.get('version')!r} (written by autorf {values.get('autorf', 'unknown')}); "
            f"this autorf reads version {VERSION}: load it with the autorf that wrote it"
        )
    return parse(Sidecar, values, path)


def saved_adaptations(model: nn.Module) -> tuple[SavedAdaptation, ...]:
    """What was done to ``model``, in the record's words.

    Raises:
        InputError: for a frozen module whose plain form the record has no words for, or a method without a name.
    """
    return tuple(_saved(model, adaptation) for adaptation in adaptations(model))


def _saved(model: nn.Module, adaptation: Adaptation) -> SavedAdaptation:
    if METHODS.get(adaptation.method.method) is not type(adaptation.method):
        raise InputError(
            f"save: no one could load the method {adaptation.method.method!r}; register its class first: "
            f"autorf.methods.METHODS[{adaptation.method.method!r}] = {type(adaptation.method).__name__}"
        )
    scope = SCOPES[adaptation.method.scope]
    return SavedAdaptation(
        method=adaptation.method.model_dump(mode="json"),
        names=adaptation.names,
        frozen={name: scope.form(name, submodule(model, name)) for name in adaptation.frozen},
        values_per_position=scope.measured(model, adaptation.names),
    )


def method_of(saved: SavedAdaptation, source: str) -> Method:
    """The method that ``saved`` describes.

    Raises:
        InputError: for an unknown method or a wrong field, naming ``source``.
    """
    name = str(saved.method.get("method"))
    if name not in METHODS:
        raise InputError(f"{source}: {METHODS.unknown(name)}")
    kind = METHODS[name]
    return parse(kind, with_older_fields(kind, saved.method), f"{source}: {name}")


def geometry(model: nn.Module) -> dict[str, str]:
    """Kernel, stride, padding and dilation of every plain convolution and pooling in ``model``, by name."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d)
    return {name: _geometry(module) for name, module in named_modules(model) if isinstance(module, kinds)}


def _geometry(module: nn.Module) -> str:
    fields = ("kernel_size", "stride", "padding", "dilation")
    return ", ".join(f"{field} {_words(getattr(module, field))}" for field in fields if hasattr(module, field))


def _words(value: Any) -> str:
    return f"{value[0]}x{value[1]}" if isinstance(value, tuple | list) else str(value)


def first_differences(lines: list[str], n: int = 3) -> str:
    """At most ``n`` of ``lines``, and how many more there are."""
    more = f"; and {len(lines) - n} more" if len(lines) > n else ""
    return "; ".join(lines[:n]) + more
