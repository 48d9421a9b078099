"""The user's own code as it is when a command begins."""

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from autorf.errors import InputError
from autorf.own_code.modules import module_file, modules_from, read_source
from autorf.own_code.reference import Reference

_DIGITS = 16


@dataclass(frozen=True)
class SourceFile:
    """A file of the user's own.

    Attributes:
        path: where it lies on the machine that read it.
        text: what it says.
    """

    path: Path
    text: str


@dataclass(frozen=True)
class OwnCode:
    """Everything of the user's own that a study's references import, and nothing that is installed.

    Workers run these texts, wherever they are and whatever becomes of the files meanwhile.

    Attributes:
        folder: of the study file, to which references are relative.
        modules: the files by the name that each is imported by.
        installed: digests of the files of installed packages that are referred to, by module; every machine that
            runs trials has to have these packages itself.
        imported: the names of all modules that a module imports which a reference names, its own among them.
    """

    folder: Path = field(default_factory=Path)
    modules: Mapping[str, SourceFile] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)
    imported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.modules or self.installed)

    @property
    def digests(self) -> dict[str, str]:
        """What is known of every file, by the name of its module."""
        own = {name: digest_of(file.text) for name, file in self.modules.items()}
        return {**own, **self.installed}

    @property
    def digest(self) -> str:
        """One digest of all."""
        return digest_of("\n".join(f"{name} {digest}" for name, digest in sorted(self.digests.items())))

    def digest_of_reference(self, reference: Reference) -> str:
        """The digest of the module that a reference names, with all that it imports of the user's own."""
        return digest_of("\n".join(f"{name} {self.digests[name]}" for name in self.imported[reference.module]))

    def to_json(self) -> dict[str, Any]:
        """Plain values, for workers elsewhere."""
        modules = {name: [str(file.path), file.text] for name, file in self.modules.items()}
        imported = {module: list(names) for module, names in self.imported.items()}
        return {
            "folder": str(self.folder),
            "modules": modules,
            "installed": dict(self.installed),
            "imported": imported,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The code that :meth:`to_json` wrote."""
        modules = {name: SourceFile(Path(path), text) for name, (path, text) in values["modules"].items()}
        imported = {module: tuple(names) for module, names in values["imported"].items()}
        return cls(Path(values["folder"]), modules, values["installed"], imported)


def read_code(references: Iterable[Reference], folder: Path) -> OwnCode:
    """The code that ``references`` name, read and not run.

    Args:
        references: of a study.
        folder: of its file.

    Raises:
        InputError: for a file or module that is not there, cannot be read or is no Python, or two files of one name.
    """
    folder = folder.resolve()
    files: dict[str, Path] = {}
    installed: dict[str, str] = {}
    imported: dict[str, tuple[str, ...]] = {}
    for reference in references:
        root, start = _start(reference, folder)
        if start is None:
            installed[reference.module] = _installed(reference)
            imported[reference.module] = (reference.module,)
            continue
        own = modules_from(reference.module, root, start)
        imported[reference.module] = tuple(own)
        for name, path in own.items():
            if files.setdefault(name, path) != path:
                raise InputError(f"{reference}: {path} and {files[name]} are both imported as {name!r}; rename one")
    modules = {name: SourceFile(path, read_source(path)) for name, path in files.items()}
    return OwnCode(folder, modules, installed, imported)


def digest_of(text: str) -> str:
    """Hexadecimal digits of a text's SHA-256, as many as tell files apart."""
    # An editor's line ends change nothing that runs.
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()[:_DIGITS]


def _start(reference: Reference, folder: Path) -> tuple[Path, Path | None]:
    """The folder that a reference's names begin in, and its file; None for a module that is installed."""
    if reference.file is None:
        return folder, module_file(reference.module, folder)
    path = Path(folder / reference.file).resolve()
    if not path.is_file():
        raise InputError(f"{reference}: there is no file {path}; paths are relative to the study file's folder")
    return path.parent, path


def _root(module: str, path: Path) -> Path:
    """The folder that a module's name begins in."""
    depth = module.count(".") + (path.name == "__init__.py")
    return path.parents[depth]


def _installed(reference: Reference) -> str:
    """The digest of an installed module, with all that it imports of its own package."""
    origin = _origin(reference.module)
    if origin is None:
        raise InputError(
            f"{reference}: there is no module {reference.module!r} beside the study file, and none is installed; "
            "correct the name, or name the file: python:./FILE.py:NAME"
        )
    if origin.suffix != ".py":
        return digest_of(f"{origin.name} {origin.stat().st_size}")
    root, package = _root(reference.module, origin), reference.module.partition(".")[0]
    files = modules_from(reference.module, root, origin, package)
    return digest_of("\n".join(f"{name} {digest_of(read_source(path))}" for name, path in files.items()))


def _origin(module: str) -> Path | None:
    # Finding a module inside a package imports the package; what goes wrong there is said where it is imported.
    try:
        spec = importlib.util.find_spec(module)
    except Exception:
        return None
    return None if spec is None or spec.origin is None or not Path(spec.origin).is_file() else Path(spec.origin)
