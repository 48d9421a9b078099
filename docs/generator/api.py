"""The public names, in the marks from which mkdocstrings writes their pages."""

from importlib import import_module
from types import ModuleType

import autorf

ROOMS = ("ops", "fields", "advice")
"""Rooms whose public names have a page of their own beside the library's."""


def names(room: str) -> list[str]:
    """The public names of ``autorf`` (an empty ``room``) or of one of its rooms, with their home."""
    module: ModuleType = import_module(f"autorf.{room}") if room else autorf
    listed = sorted(module.__all__, key=str.lower)
    return [f"{module.__name__}.{name}" for name in listed if not isinstance(getattr(module, name), ModuleType)]


def page(room: str) -> str:
    """A mark for each public name."""
    return "\n".join(f"::: {name}\n" for name in names(room))
