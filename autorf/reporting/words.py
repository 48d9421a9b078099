"""Numbers and settings as the report writes them."""

from collections.abc import Callable, Sequence

from autorf.comparison import Comparison, Group
from autorf.comparison.judging import metric_name, number, signed
from autorf.tasks import TASKS, TITLES

NONE = "\N{EN DASH}"
"""What a table shows where a value does not apply."""

COST_NAMES = {
    "parameters": "parameters",
    "flops": "FLOPs",
    "latency_ms": "latency in ms",
    "peak_memory_mb": "peak memory in MB",
}


def named(objective: str) -> str:
    """A metric or cost as people call it."""
    return COST_NAMES.get(objective) or metric_name(objective)


def headline(comparison: Comparison) -> str:
    """What people call the first metric of the task, mIoU or top-1 accuracy."""
    return TITLES[TASKS[comparison.task].metrics[0]]


def short(value: float | None, places: int = 3) -> str:
    """``value`` to at most ``places`` digits behind the point, without trailing zeros."""
    return NONE if value is None else f"{round(value, places):g}"


def fixed(value: float | None, places: int = 3) -> str:
    """``value`` with exactly ``places`` digits behind the point."""
    return NONE if value is None else f"{value:.{places}f}"


def several(values: Sequence[float], written: Callable[[float, int], str]) -> str:
    """What branches or layers learned: one by one, or of more than three the least and the largest."""
    if len(values) > 3:
        return f"{written(min(values), 2)} to {written(max(values), 2)}"
    return ", ".join(written(value, 2) for value in values) or NONE


def score(value: float | None, metric: str) -> str:
    """A score of ``metric``."""
    return NONE if value is None else number(value, metric)


def difference(value: float | None, metric: str) -> str:
    """A difference of scores with its sign, a typographic minus."""
    return NONE if value is None else signed(value, metric).replace("-", "\N{MINUS SIGN}")


def device_time(seconds: float | None, unit: str) -> str:
    """Seconds of a device as people say them: ``48 CPU-seconds``, ``12 CPU-minutes``; ``unit`` as of a ``Cost``."""
    if seconds is None:
        return NONE
    device = unit.removesuffix("-seconds")
    if seconds < 120:
        return f"{seconds:.3g} {device}-seconds"
    return f"{seconds / 60:.0f} {device}-minutes" if seconds < 7200 else f"{seconds / 3600:.1f} {device}-hours"


def percent(fraction: float) -> str:
    """A ratio as a percentage, of small ones with a decimal."""
    return f"{fraction:.0%}" if fraction >= 0.1 else f"{fraction:.1%}"


def size_limits(low: float, high: float | None) -> str:
    """Limits of an object's side in pixels."""
    return f"{low:g} px and more" if high is None else f"{low:g} to {high:g} px"


def plural(count: int, thing: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {thing}{'s' * (count != 1)}"


def configuration(group: Group) -> str:
    """A configuration's method and parameters in a few words."""
    return f"{group.method} ({group.setting})"
