"""The receptive field that is advised before any training: the objects' size, or the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

OBJECT, PICTURE = "1 x object", "the whole picture"
"""The two cases of the one rule."""

_BASIS = {
    OBJECT: "the network sees {rest:g} px without the layers whose dilation is the knob, less than the median kind of "
    "object, so these layers have to see it",
    PICTURE: "depth sets the field: seeing more than the objects lost least on average",
}
_UNCERTAINTY = {
    OBJECT: "a starting point for a search: where a dilation sets the field, this lost {dilation} of the metric",
    PICTURE: "where depth sets the field, this lost {depth} of the metric, and at a price: a field as large as the "
    "picture has no tiles",
}
LOST = {"depth": ".013 ± .021 in ten families of data", "dilation": ".031 ± .067 in three families of data"}
"""Against the best field of each curve, with a 95 % interval, from ``benchmarks/results/field_rules.md``."""


@dataclass(frozen=True)
class Sufficient:
    """The field that is advised, as a side in input pixels, by a rule whose basis and uncertainty are said with it."""

    rf: float
    rnorm: float
    rule: str
    basis: str
    uncertainty: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "rf": self.rf,
            "rnorm": self.rnorm,
            "rule": self.rule,
            "basis": self.basis,
            "uncertainty": self.uncertainty,
        }


def advised_field(objects: Sequence[float], image_size: tuple[int, int], rest: float | None) -> Sufficient:
    """A field to begin with, from the objects' size and what sets the network's field.

    A field that grows with depth keeps seeing the centre densely, and of such a field the whole picture lost little. A
    dilated head looks at few places, and apart: where the rest of the network does not see an object by itself, these
    should lie on it. Formed and judged on the curves of ``benchmarks/results/field_rules.md``.

    Args:
        objects: the typical side of each kind of object in pixels of the input; not empty.
        image_size: ``(height, width)`` in pixels.
        rest: what the network sees without the layers whose dilation is the knob, in pixels; None where dilation is
            none.

    Examples:
        >>> advised_field([20, 30, 40], (96, 96), rest=11).rf, advised_field([20, 30, 40], (96, 128), rest=None).rf
        (30.0, 128.0)
    """
    typical, whole = float(median(objects)), float(max(image_size))
    by_objects = rest is not None and rest < typical
    rule, rf = (OBJECT, min(typical, whole)) if by_objects else (PICTURE, whole)
    basis, uncertainty = _BASIS[rule].format(rest=rest), _UNCERTAINTY[rule].format(**LOST)
    return Sufficient(rf, rf / min(image_size), rule, basis, uncertainty)
