"""Which files a module imports of those that lie beside it, read without running any."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from autorf.errors import InputError, shown_place

NEVER_OWN = frozenset({"autorf", *sys.stdlib_module_names})
"""Names that a file beside the user's own does not take over."""

MOST_BYTES = 2 * 2**20
"""Of one source file: what is larger is data."""


def modules_from(module: str, folder: Path, file: Path | None = None, package: str | None = None) -> dict[str, Path]:
    """A module and all that it imports from its folder, by the name that each is imported by.

    Packages come with the modules inside them that are imported, and with their ``__init__.py``.

    Args:
        module: its name.
        folder: that the names begin in, as an entry of Python's search path.
        file: of the module; None where its name tells.
        package: follow imports inside this one only; None for all that lie in the folder.

    Raises:
        InputError: for a file that cannot be read, or is no Python.
    """
    modules: dict[str, Path] = {}
    waiting = [(module, file or module_file(module, folder))]
    while waiting:
        name, path = waiting.pop()
        if path is None or name in modules:
            continue
        modules[name] = path
        holder = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for imported in _imported(path, holder):
            top = imported.partition(".")[0]
            if top not in NEVER_OWN and package in (None, top):
                waiting.append((imported, module_file(imported, folder)))
    return dict(sorted(modules.items()))


def module_file(name: str, folder: Path) -> Path | None:
    """The file of a module whose name begins in ``folder``; None where there is none."""
    place = folder.joinpath(*name.split("."))
    # A package wins over a file of its name, as where Python looks itself.
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((path for path in candidates if path.is_file()), None)


def read_source(path: Path) -> str:
    """The text of a source file.

    Raises:
        InputError: when it cannot be read.
    """
    place = shown_place(str(path))
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{place}: has {path.stat().st_size} bytes; a source file has at most {MOST_BYTES}")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"{place}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{place}: is not UTF-8 text; save it as UTF-8") from None


def _imported(path: Path, package: str) -> Iterator[str]:
    """Every name that may be a module: of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield from with_parents(base)
            for alias in node.names:
                yield f"{base}.{alias.name}" if base else alias.name


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(read_source(path), str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{shown_place(str(path))}{'' if line is None else f', line {line}'}"
        raise InputError(f"{place}: is no Python: {getattr(error, 'msg', error)}") from None


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")[: max(0, len(package.split(".")) - node.level + 1)]
    return ".".join(filter(None, (*above, node.module)))


def with_parents(name: str) -> Iterator[str]:
    """A dotted name and those of the packages around it, outermost first."""
    parts = name.split(".") if name else []
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))
