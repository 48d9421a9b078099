"""Numbers and settings as the report writes them."""

from collections.abc import Mapping
from typing import Any

from autorf.study.trial import trial_from

METRIC_NAMES = {"miou": "mIoU", "f1": "F1", "pixel_accuracy": "pixel accuracy"}

NONE = "\N{EN DASH}"
"""What a table shows where a value does not apply."""


def number(value: float | None, places: int = 3) -> str:
    """``value`` to at most ``places`` digits behind the point, without trailing zeros."""
    return NONE if value is None else f"{round(value, places):g}"


def fixed(value: float | None, places: int = 3) -> str:
    """``value`` with exactly ``places`` digits behind the point."""
    return NONE if value is None else f"{value:.{places}f}"


def signed(value: float | None, places: int = 3) -> str:
    """``value`` with its sign; a typographic minus."""
    return NONE if value is None else f"{value:+.{places}f}".replace("-", "\N{MINUS SIGN}")


def duration(seconds: float | None) -> str:
    """Seconds as people say them: ``48 s``, ``12 min``, ``3.4 h``."""
    if seconds is None:
        return NONE
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def setting(method: str, params: Mapping[str, Any]) -> str:
    """A configuration's parameters in a few words."""
    return trial_from({"method": method, **params}, 0).setting


def configuration(group: Mapping[str, Any]) -> str:
    """A configuration's method and parameters in a few words."""
    return f"{group['method']} ({setting(group['method'], group['params'])})"
