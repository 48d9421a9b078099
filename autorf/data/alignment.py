"""Similarities between a picture of a face and an aligned one, and warps of pixels, labels and scores by them."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from autorf.data.landmark_spec import AlignSpec
from autorf.data.landmarks import Points

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Similarity:
    """A rotation, scale and shift: ``x' = a x - b y + across`` and ``y' = b x + a y + down``, in pixels.

    Whole numbers are pixels' centres. It is never a reflection.

    Examples:
        >>> turn = Similarity(0.0, 2.0, 5.0, 0.0)
        >>> turn(np.array([[1.0, 0.0]])).tolist()
        [[5.0, 2.0]]
        >>> turn.inverse(turn(np.array([[1.0, 7.0]]))).tolist()
        [[1.0, 7.0]]
    """

    a: float
    b: float
    across: float
    down: float

    @classmethod
    def between(cls, points: Points, targets: Points) -> Self:
        """The one that brings ``points (n, 2)`` nearest to ``targets (n, 2)`` in the sum of squares (Umeyama 1991).

        Raises:
            ValueError: where the points are all at one place.
        """
        start, end = points.mean(0), targets.mean(0)
        before, after = points - start, targets - end
        spread = float((before**2).sum())
        if spread == 0:
            raise ValueError("the points are all at one place")
        a = float((before * after).sum()) / spread
        b = float((before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]).sum()) / spread
        return cls(a, b, float(end[0] - a * start[0] + b * start[1]), float(end[1] - b * start[0] - a * start[1]))

    def __call__(self, points: Points) -> Points:
        """Where ``points (n, 2)`` come to lie."""
        x, y = points[:, 0], points[:, 1]
        return np.stack([self.a * x - self.b * y + self.across, self.b * x + self.a * y + self.down], 1)

    @property
    def scale(self) -> float:
        """By which lengths grow."""
        return math.hypot(self.a, self.b)

    @property
    def inverse(self) -> "Similarity":
        """The way back."""
        square = self.a**2 + self.b**2
        a, b = self.a / square, -self.b / square
        return Similarity(a, b, -a * self.across + b * self.down, -b * self.across - a * self.down)


def canonical_points(spec: AlignSpec, size: Size) -> Points:
    """Where the five landmarks come to lie in an image ``size`` high and wide."""
    height, width = size
    side = min(size)
    corner = np.array([(width - side) / 2, (height - side) / 2])
    # Shares count from edges of pixels, points from their centres.
    return np.array(spec.points, np.float64) * side + corner - 0.5


def warped(pixels: NDArray[Any], similarity: Similarity, size: Size, *, labels: bool) -> NDArray[Any]:
    """Pixels ``(h, w)`` or ``(h, w, C)`` of bytes after a similarity, in an image ``size`` high and wide; 0 outside.

    Args:
        pixels: of the picture.
        similarity: from the picture to the image.
        size: of the image.
        labels: take the nearest pixel; else bilinear, shrunk without aliasing first.
    """
    if not labels and similarity.scale < 1:
        shape = max(round(pixels.shape[0] * similarity.scale), 1), max(round(pixels.shape[1] * similarity.scale), 1)
        shrunk = np.array(Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
        return _sampled(shrunk, _after_resize(similarity, pixels.shape[:2], shape), size, Image.Resampling.BILINEAR)
    return _sampled(
        pixels,
        _coefficients(similarity.inverse),
        size,
        Image.Resampling.NEAREST if labels else Image.Resampling.BILINEAR,
    )


def _coefficients(back: Similarity) -> tuple[float, ...]:
    """Pillow's, from places in the image to those in the picture, both counted from the edge of the first pixel."""
    a, b = back.a, back.b
    return (a, -b, back.across + 0.5 - (a - b) / 2, b, a, back.down + 0.5 - (a + b) / 2)


def _after_resize(similarity: Similarity, before: tuple[int, ...], after: Size) -> tuple[float, ...]:
    """Coefficients to a picture that was resized meanwhile, whose sides are rounded to whole pixels."""
    a, b, c, d, e, f = _coefficients(similarity.inverse)
    down, across = after[0] / before[0], after[1] / before[1]
    return (a * across, b * across, c * across, d * down, e * down, f * down)


def _sampled(
    pixels: NDArray[Any], coefficients: tuple[float, ...], size: Size, resampling: Image.Resampling
) -> NDArray[Any]:
    height, width = size
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(image.transform((width, height), Image.Transform.AFFINE, coefficients, resampling))


def inside(similarity: Similarity, picture: Size, size: Size) -> NDArray[np.bool_]:
    """Which pixels ``(H, W)`` of an aligned image lie in the picture that is ``picture`` high and wide."""
    return warped(np.ones(picture, np.uint8), similarity, size, labels=True).astype(np.bool_)


def scores_on_picture(scores: Tensor, similarity: Similarity, picture: Size) -> Tensor:
    """Class scores of an aligned image on the pixels of its picture, bilinear; those of its border beyond it.

    Args:
        scores: ``(1, n_classes, H, W)``, at the aligned image's size.
        similarity: from the picture to the aligned image.
        picture: height and width of the picture in pixels.

    Returns:
        ``(1, n_classes, h, w)``.
    """
    height, width = scores.shape[-2:]
    rows, columns = np.mgrid[: picture[0], : picture[1]]
    places = similarity(np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float64))
    # torch counts from -1 to 1 between the edges of the first and the last pixel.
    grid = (2 * (places + 0.5) / np.array([width, height]) - 1).reshape(1, *picture, 2)
    sampled: Tensor = functional.grid_sample(
        scores.float(),
        torch.from_numpy(grid).to(scores.device, torch.float32),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return sampled
