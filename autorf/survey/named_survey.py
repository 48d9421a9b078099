"""A data set that this library or a package reads, by its name and folder alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import autorf.data
from autorf.data import ClassData, DataSpec
from autorf.data.data_set import DATA
from autorf.data.mask_table import Rgb
from autorf.data.spec import FolderData
from autorf.errors import InputError, shown
from autorf.specification import Specification, parse
from autorf.study.plain_yaml import parse_yaml

_USUAL_SIZE = 256
"""Height and width in pixels at which objects are measured, of data sets that have none of their own."""


class _Data(Specification):
    """The part of a study file that is the data."""

    data: DataSpec


def named_spec(name: str, folder: Path, settings: Sequence[str]) -> tuple[Any, dict[int, Rgb]]:
    """The data set of a name in a folder, and the colours of its classes where it has some.

    Args:
        name: as in a study file.
        folder: that it lies in.
        settings: further keys, ``KEY=VALUE``.

    Raises:
        InputError: for a name that is none, a data set without a folder, or a key that it does not have.
    """
    values: dict[str, Any] = {"name": name, "root": str(folder)}
    kind = _kind(name)
    if issubclass(kind, ClassData):
        raise InputError(
            f"NAME {name}: has one class a picture and no masks, which autorf data measures; autorf search STUDY "
            "--dry-run checks its files"
        )
    fields = kind.model_fields
    if "root" not in fields:
        raise InputError(f"NAME {name}: has no key root: it is drawn, or read by code, and not from a folder")
    if fields["image_size"].is_required():
        values["image_size"] = _USUAL_SIZE
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise InputError(f"--set {shown(setting)}: expected KEY=VALUE, such as classes=4")
        values[key] = parse_yaml(text, f"--set {key}")
    spec = parse(_Data, {"data": values}, f"autorf data {name}").data
    table = spec.mask_table if isinstance(spec, FolderData) else None
    return spec, dict(enumerate((table.colours if table is not None else None) or ()))


def _kind(name: str) -> Any:
    """The specification of a data set, built in or a package's."""
    built_in = {
        kind.model_fields["name"].default: kind
        for kind in vars(autorf.data).values()
        if isinstance(kind, type) and issubclass(kind, Specification) and "name" in kind.model_fields
    }
    if name in DATA.built_in:
        return built_in[name]
    if not DATA.knows(name):
        raise InputError(f"NAME: {DATA.unknown(name)}")
    return DATA[name]
