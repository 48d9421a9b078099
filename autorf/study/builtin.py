"""Study files and search spaces that come with autorf, found by name."""

from pathlib import Path
from typing import Literal

from autorf.errors import InputError, near_names

Kind = Literal["studies", "search_spaces"]

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(kind: Kind) -> Path:
    """Where the built-in files are: inside an installed package, or beside it in a checkout."""
    installed = _PACKAGE / "_builtin" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names(kind: Kind) -> list[str]:
    """The built-in names, sorted."""
    return sorted(path.stem for path in folder(kind).glob("*.yaml"))


def locate(kind: Kind, name: str, *, field: str) -> Path:
    """The file that ``name`` means: a path that exists, or a built-in name.

    Raises:
        InputError: for neither, with near names.
    """
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml") or "/" in name:
        if path.is_file():
            return path
        raise InputError(f"{field}: no such file: {path.resolve()}")
    builtin_names = names(kind)
    if name in builtin_names:
        return folder(kind) / f"{name}.yaml"
    raise InputError(
        f"{field}: no built-in {kind.replace('_', ' ')[:-1] if kind != 'studies' else 'study'} {name!r}"
        f"{near_names(name, builtin_names)}; built in: {', '.join(builtin_names)}; or give the path of a .yaml file"
    )
