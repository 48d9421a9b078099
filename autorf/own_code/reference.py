"""``python:...``: how a study file names a function of the user's own."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "python:"

FORMS = "python:./FILE.py:NAME, relative to the study file, or python:PACKAGE.MODULE:NAME"

_IDENTIFIER = r"[^\W\d]\w*"
_DOTTED = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*"


@dataclass(frozen=True)
class Reference:
    """What a reference names.

    Attributes:
        text: as it is written.
        module: the name it is imported by: of a file its stem.
        attribute: in the module, dotted where it lies in a class.
        file: relative to the study file; None for a module of a package.
    """

    text: str
    module: str
    attribute: str
    file: str | None = None

    def __str__(self) -> str:
        return self.text


def is_reference(value: object) -> bool:
    """Whether a value names code of the user's own."""
    return isinstance(value, str) and value.startswith(PREFIX)


def parse_reference(text: str) -> Reference:
    """What ``text`` names.

    Raises:
        ValueError: for anything that is no reference.

    Examples:
        >>> parse_reference("python:./net.py:build").module
        'net'
        >>> parse_reference("python:package.module:Net.small").attribute
        'Net.small'
    """
    place, separator, attribute = text.removeprefix(PREFIX).rpartition(":")
    if not is_reference(text) or not separator or not re.fullmatch(_DOTTED, attribute):
        raise ValueError(f"own code is named {FORMS}, not {text!r}")
    if not place.endswith(".py"):
        if not re.fullmatch(_DOTTED, place):
            raise ValueError(f"{place!r} is no module and no .py file; own code is named {FORMS}")
        return Reference(text, place, attribute)
    stem = re.split(r"[/\\]", place)[-1].removesuffix(".py")
    if not re.fullmatch(_IDENTIFIER, stem):
        raise ValueError(f"{place!r} cannot be imported: a file's name is letters, digits and _, such as net.py")
    return Reference(text, stem, attribute, place)


def references_in(values: object) -> Iterator[Reference]:
    """Every reference among plain values, however deep, each once.

    >>> [str(reference) for reference in references_in({"model": {"name": "python:net:build"}, "epochs": 3})]
    ['python:net:build']
    """
    texts = dict.fromkeys(text for text in _leaves(values) if is_reference(text))
    return map(parse_reference, texts)


def _leaves(values: object) -> Iterator[Any]:
    if isinstance(values, Mapping):
        for value in values.values():
            yield from _leaves(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _leaves(value)
    else:
        yield values
