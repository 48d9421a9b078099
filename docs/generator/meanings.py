"""What the keys of a specification mean, in the words of its class's docstring."""

import inspect
import re

from autorf.specification import Specification

_ENTRY = re.compile(r"(?P<names>\w+(?:, \w+)*): (?P<text>.+)")


def summary(kind: type[Specification]) -> str:
    """The first paragraph of the class's docstring."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def meanings(kind: type[Specification]) -> dict[str, str]:
    """What each key means by its name, from the ``Attributes`` of the class and of those it is derived from."""
    described: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if issubclass(owner, Specification):
            described.update(_attributes(inspect.cleandoc(vars(owner).get("__doc__") or "")))
    return described


def _attributes(docstring: str) -> dict[str, str]:
    described: dict[str, str] = {}
    names: list[str] = []
    for line in _section(docstring):
        entry = _ENTRY.fullmatch(line.strip())
        if entry and not line.startswith("        "):
            names = entry["names"].split(", ")
            described.update(dict.fromkeys(names, entry["text"]))
        else:
            described.update({name: f"{described[name]} {line.strip()}" for name in names})
    return described


def _section(docstring: str) -> list[str]:
    """The lines that are indented below ``Attributes:``."""
    _, _, rest = docstring.partition("Attributes:\n")
    lines = []
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        if line:
            lines.append(line)
    return lines
