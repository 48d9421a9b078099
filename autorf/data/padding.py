"""Pictures that keep their scale inside a larger image, whose rest right and below is filled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""Height and width in pixels."""


def kept_size(size: Size, image_size: Size) -> Size:
    """The size of a picture within the image: its own, or of a larger one that with its shape that fits.

    >>> kept_size((375, 500), (512, 512)), kept_size((512, 2048), (512, 512))
    ((375, 500), (128, 512))
    """
    scale = _shrunk(size, image_size)
    height, width = (max(1, round(side / scale)) for side in size)
    return min(height, image_size[0]), min(width, image_size[1])


def filled_size(size: Size, image_size: Size) -> Size:
    """The size of the whole image at the scale of a picture, which covers its upper left part.

    >>> filled_size((375, 500), (512, 512)), filled_size((512, 2048), (512, 512))
    ((512, 512), (2048, 2048))
    """
    scale = _shrunk(size, image_size)
    height, width = (round(side * scale) for side in image_size)
    return max(height, size[0]), max(width, size[1])


def filled_up(array: NDArray[Any], image_size: Size, filling: Any) -> NDArray[Any]:
    """``(h, w)`` or ``(h, w, C)`` in the upper left corner of an image full of ``filling``."""
    image = np.empty((*image_size, *array.shape[2:]), array.dtype)
    image[:] = filling
    image[: array.shape[0], : array.shape[1]] = array
    return image


def _shrunk(size: Size, image_size: Size) -> float:
    """By how much a picture is shrunk to fit; 1 for one that does."""
    return max(1.0, size[0] / image_size[0], size[1] / image_size[1])
