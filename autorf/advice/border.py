"""Layers that cannot matter at an image size, because every path to them already spans the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autorf.fields.field import LayerField, ReceptiveField


@dataclass(frozen=True)
class Border:
    """Where a network's layers begin to see the whole image.

    Attributes:
        convolutions: how many the network has.
        widest: the first layer whose widest path spans the image; None where none does.
        useless: the convolutions to which every path, the one that widens the field least included, has spanned the
            image already. They add layers, and no context (Richter et al. 2021).
    """

    convolutions: int
    widest: str | None
    useless: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"convolutions": self.convolutions, "widest_spans_from": self.widest, "useless": list(self.useless)}


def border(field: ReceptiveField) -> Border:
    """Compare each layer's fields with the image that ``field`` was measured for.

    Paper: Richter, Schoening, Wiedenroth, Krumnack, *Should you go deeper? Optimizing convolutional neural network
    architectures without training by receptive field analysis*, 2021: the border layer.

    Examples:
        >>> from torch import nn
        >>> from autorf import receptive_field
        >>> deep = nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(6)))
        >>> border(receptive_field(deep, image_size=16)).useless
        ('4', '5')
    """
    convolutions = [layer for layer in field.layers if "conv" in layer.kind]
    spanning = (layer for layer in field.layers if layer.size is not None and _spans(layer.size, field))
    return Border(
        convolutions=len(convolutions),
        widest=next((layer.name for layer in spanning), None),
        useless=tuple(dict.fromkeys(layer.name for layer in convolutions if _is_useless(layer, field))),
    )


def _is_useless(layer: LayerField, field: ReceptiveField) -> bool:
    return layer.before is not None and _spans(layer.before, field)


def _spans(sides: tuple[float, float], field: ReceptiveField) -> bool:
    return all(side >= image for side, image in zip(sides, field.image_size, strict=True))
