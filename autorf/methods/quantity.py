"""What a method sets or learns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Quantity:
    """What a method sets or learns, as its modules' ``values`` name it.

    Attributes:
        name: the value's name, such as ``dilation``, ``f`` or ``scale``.
        label: of a figure's axis.
        deviation: the name of the value that holds its standard deviation over pixels, where there is one.
        variance: likewise its variance.
    """

    name: str
    label: str
    deviation: str | None = None
    variance: str | None = None

    def spread(self, values: Mapping[str, Any]) -> float | None:
        """The standard deviation over pixels, of ``values`` that hold one."""
        if self.deviation is not None and self.deviation in values:
            return float(values[self.deviation])
        variance = values.get(self.variance) if self.variance else None
        return None if variance is None else math.sqrt(max(float(variance), 0.0))
