"""What an adapted model remembers of what was done to it."""

from dataclasses import dataclass

from autorf.methods.base import Method

RECORD = "autorf_adaptations"
"""The attribute of an adapted model that says what was done to it."""

CHANGED = "autorf_changed_by"
"""The attribute of a changed layer, or of a module at a region's end, that holds the method's name."""


@dataclass(frozen=True)
class Adaptation:
    """One method and the modules of the model it changed.

    Attributes:
        method: what was asked for.
        names: the changed layers, or the first and the last module of a region.
        frozen: those of ``names`` that ``freeze`` has turned into plain layers; a region goes by its first module.
    """

    method: Method
    names: tuple[str, ...]
    frozen: tuple[str, ...] = ()
