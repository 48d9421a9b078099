"""Importing the user's own code, from the texts that were read when the command began."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from autorf.errors import InputError, a_type, in_one_line, near_names, shown, shown_place
from autorf.own_code.code import OwnCode, SourceFile, read_code
from autorf.own_code.modules import with_parents
from autorf.own_code.reference import Reference

_active: OwnCode | None = None


class _TextLoader(SourceLoader):
    """Runs a text; whoever asks a module for its file hears where that lies, or lay."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source

    def get_filename(self, fullname: str) -> str:
        return str(self._source.path)

    def get_data(self, path: str | bytes) -> bytes:
        return self._source.text.encode()


class _OwnFinder(MetaPathFinder):
    """Finds the modules of the user's own code, and the folders without ``__init__.py`` that lead to them."""

    def __init__(self, code: OwnCode) -> None:
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = self._code.modules.get(fullname)
        if source is not None:
            is_package = source.path.name == "__init__.py"
            spec = ModuleSpec(fullname, _TextLoader(source), origin=str(source.path), is_package=is_package)
            spec.has_location = True
            if is_package:
                spec.submodule_search_locations = [str(source.path.parent)]
            return spec
        if any(name.startswith(f"{fullname}.") for name in self._code.modules):
            return ModuleSpec(fullname, None, is_package=True)
        return None


@contextmanager
def importable(code: OwnCode | None) -> Iterator[None]:
    """Have references be found in ``code`` meanwhile; afterwards everything is as it was.

    Args:
        code: of a study; None for one that names none.
    """
    global _active
    if code is None or not code or code is _active:
        yield
        return
    before, finder = _active, _OwnFinder(code)
    replaced = _taken_out(code)
    _active = code
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        _active = before
        sys.meta_path.remove(finder)
        _taken_out(code)
        sys.modules.update(replaced)


def active_digest() -> str | None:
    """The digest of the code in which references are found now; None outside a study that names some."""
    return None if _active is None else _active.digest


def _taken_out(code: OwnCode) -> dict[str, ModuleType]:
    """Remove the loaded modules that have the names of the user's own; what was removed."""
    names = {parent for name in code.modules for parent in with_parents(name)}
    return {name: sys.modules.pop(name) for name in sorted(names) if name in sys.modules}


@contextmanager
def _code_of(reference: Reference) -> Iterator[OwnCode]:
    """The code that holds a reference: that of the study, else what lies in the working directory."""
    code = _active
    if code is None or reference.module not in code.imported:
        code = read_code([reference], Path.cwd())
    with importable(code):
        yield code


def resolve(reference: Reference, place: str) -> Callable[..., Any]:
    """The function or class that a reference names.

    Args:
        reference: to it.
        place: the key of the study file, for messages.

    Raises:
        InputError: where it cannot be imported, with the original error's last line and file, or cannot be called.
    """
    with _code_of(reference):
        try:
            module = importlib.import_module(reference.module)
        except Exception as error:
            raise InputError(f"{place}: {reference} cannot be imported: {said_by(error)}") from None
        try:
            target = reduce(getattr, reference.attribute.split("."), module)
        except AttributeError:
            names = [name for name in vars(module) if not name.startswith("_")]
            hint = near_names(reference.attribute, names)
            raise InputError(f"{place}: {reference}: the module has no {reference.attribute!r}{hint}") from None
    if not callable(target):
        raise InputError(f"{place}: {reference} is {a_type(target)}; name a function or a class, which is called")
    return target


def call(reference: Reference, place: str, *values: Any, **named: Any) -> Any:
    """What the function of a reference returns.

    Raises:
        InputError: where it cannot be had, or raises: with the original error's last line and file.
    """
    with _code_of(reference):
        function = resolve(reference, place)
        try:
            return function(*values, **named)
        except InputError:
            raise
        except Exception as error:
            given = ", ".join((*map(shown, values), *(f"{name}={shown(value)}" for name, value in named.items())))
            raise InputError(f"{place}: {reference} called with ({given[:60]}) failed: {said_by(error)}") from None


def named_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters that a function takes by name; none of one that has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters if parameter.kind in by_name)


def required_arguments(function: Callable[..., Any]) -> frozenset[str]:
    """The arguments that a function cannot be called without; none of one that has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    gathering = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return frozenset(
        parameter.name
        for parameter in parameters
        if parameter.default is inspect.Parameter.empty and parameter.kind not in gathering
    )


def digest_of_reference(reference: Reference) -> str:
    """The digest of the code that a reference names and all it imports of the user's own."""
    with _code_of(reference) as code:
        return code.digest_of_reference(reference)


def said_by(error: Exception) -> str:
    """The last line of an error in the user's own code, with the file and line that it came from."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({shown_place(str(error.filename))}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    own = set() if _active is None else {str(source.path) for source in _active.modules.values()}
    frame = next((frame for frame in reversed(frames) if frame.filename in own), frames[-1] if frames else None)
    place = "" if frame is None else f" ({shown_place(frame.filename)}, line {frame.lineno})"
    return f"{type(error).__name__}: {in_one_line(error, 120)}{place}"


def _is_ours(file: str) -> bool:
    """Whether a traceback's file is autorf's or the import system's."""
    return file.startswith(("<frozen", str(Path(__file__).parents[1]))) or "importlib" in file
