"""A function of the user's own that a program holds: how another process imports it, and what it says."""

import inspect
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from autorf.errors import InputError, a_type
from autorf.own_code.code import OwnCode, digest_of, read_code
from autorf.own_code.reference import PREFIX, Reference, parse_reference

_INSTALLED = tuple({Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")})


def code_of_function(function: Callable[..., Any], *, other_processes: bool) -> tuple[str, OwnCode | None]:
    """The name of a function in a study, and the code that is compared when the study goes on.

    Args:
        function: that a program holds.
        other_processes: whether other processes have to import it.

    Returns:
        A reference, and the code that it names with all that this imports of the user's own. For what only this
        process has, such as a lambda, its name and the digest of its own text; None where Python has no text of it.

    Raises:
        InputError: for one that other processes need and cannot import, or code that cannot be read.
    """
    try:
        reference, folder = _reference(function)
    except _NotImportableError as reason:
        if other_processes:
            raise InputError(
                f"search: train {_name(function)} {reason}, so other processes cannot import it; define it at the top "
                "of a module or script, or leave workers and executor out"
            ) from None
        return _name(function), _own_text(function)
    return str(reference), read_code([reference], folder)


class _NotImportableError(Exception):
    """Why no other process can import a function, as the rest of a sentence."""


def _reference(function: Any) -> tuple[Reference, Path]:
    """How other processes import a function, and the folder that this is relative to."""
    name, module = getattr(function, "__qualname__", None), sys.modules.get(getattr(function, "__module__", None) or "")
    if not isinstance(name, str) or module is None:
        raise _NotImportableError(f"is {a_type(function)}, no function of a module")
    if "<lambda>" in name:
        raise _NotImportableError("is a lambda")
    if "<locals>" in name:
        raise _NotImportableError("is defined inside another function")
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        raise _NotImportableError("is defined in no file")
    path = Path(file).resolve()
    place = _module_name(module)
    if place is None:
        folder, place = path.parent, f"./{path.name}"
    elif any(path.is_relative_to(folder) for folder in _INSTALLED):
        folder = Path.cwd()
    else:
        folder = path.parents[place.count(".") + (path.name == "__init__.py")]
    try:
        return parse_reference(f"{PREFIX}{place}:{name}"), folder
    except ValueError as error:
        raise _NotImportableError(f"has a name that is none of a module: {error}") from None


def _module_name(module: ModuleType) -> str | None:
    """The name that a module is imported by; None for a script."""
    if module.__name__ != "__main__":
        return module.__name__
    # Of ``python -m package.module``.
    return None if module.__spec__ is None else module.__spec__.name


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _own_text(function: Any) -> OwnCode | None:
    try:
        return OwnCode(installed={_name(function): digest_of(inspect.getsource(function))})
    except (OSError, TypeError):
        return None
