"""What a trained model scores when its class probabilities are averaged over several sizes of the images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from autorf.training.plain_values import DamagedError, is_number, mapping, numbers, per_class, written


@dataclass(frozen=True)
class MultiScaleScores:
    """Scores beside those at the images' own size; nothing is chosen by them.

    Attributes:
        scales: factors of the images' sides.
        flip: whether mirrored images were averaged over too.
        metrics: by name.
        groups: F1 of label groups, by the group's name.
        iou_per_class, f1_per_class: by class name; None for a class without a labelled pixel.
    """

    scales: tuple[float, ...]
    flip: bool
    metrics: Mapping[str, float]
    groups: Mapping[str, float] = field(default_factory=dict)
    iou_per_class: Mapping[str, float | None] = field(default_factory=dict)
    f1_per_class: Mapping[str, float | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return written(
            {
                "scales": list(self.scales),
                "flip": self.flip,
                "metrics": dict(self.metrics),
                "groups": dict(self.groups),
                "iou_per_class": dict(self.iou_per_class),
                "f1_per_class": dict(self.f1_per_class),
            }
        )

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """The scores that :meth:`to_json` wrote.

        Raises:
            DamagedError: for anything else.
        """
        values = mapping(stored)
        scales = values.get("scales")
        if not isinstance(scales, list) or not all(map(is_number, scales)):
            raise DamagedError(f"multiscale.scales is {str(scales)[:40]!r}, no list of numbers")
        return cls(
            scales=tuple(scales),
            flip=bool(values.get("flip")),
            metrics=numbers(mapping(values.get("metrics"))),
            groups=numbers(mapping(values.get("groups") or {})),
            iou_per_class=per_class(values, "iou_per_class"),
            f1_per_class=per_class(values, "f1_per_class"),
        )
