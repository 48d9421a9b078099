"""How a study's search ended, in words."""

from collections.abc import Mapping
from typing import Any

WHOLE_GRID = "every trial of the grid was run"


def ending(notes: Mapping[str, Any]) -> list[str]:
    """How a study's search ended, for people, from the store's notes; nothing where it was a whole grid or has not."""
    end = notes.get("end") or {}
    reason = end.get("reason")
    sentences = [f"The search ended: {reason}."] if reason and reason != WHOLE_GRID else []
    return [*sentences, *([end["saved"]] if end.get("saved") else [])]
