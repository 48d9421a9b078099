"""Pictures of faces as a network sees them: aligned by their landmarks, with a map of these as a further channel."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from autorf.data.alignment import Similarity, Size, canonical_points, inside, warped
from autorf.data.landmark_spec import AlignSpec, LandmarkSpec
from autorf.data.landmarks import Landmarks, Points, five_of, read_landmarks
from autorf.data.mask_table import IGNORED
from autorf.data.names import shown, spelled
from autorf.data.pairs import Pair
from autorf.errors import InputError

HEAT = 255
"""Of a landmark's square."""


@dataclass(frozen=True)
class FaceImages:
    """How pictures of faces are prepared.

    Attributes:
        landmarks: where they are, and whether they are shown to the network.
        align: where five of them come to lie; None to stretch pictures to the image size as they are.
        of_pictures: those of every picture, by its stem.
    """

    landmarks: LandmarkSpec
    align: AlignSpec | None
    of_pictures: Mapping[str, Landmarks]

    def similarity(self, file: Path, picture: Size, size: Size) -> Similarity | None:
        """From a picture to its aligned image; None where it is not aligned.

        Raises:
            InputError: naming a picture without landmarks, or with some outside of it or all at one place.
        """
        points = self.points(file, picture)
        if self.align is None:
            return None
        try:
            return Similarity.between(five_of(points), canonical_points(self.align, size))
        except ValueError:
            raise InputError(f"{shown(file)}: its landmarks are all at one place; correct data.landmarks") from None

    def of_picture(self, file: Path) -> Landmarks:
        """The landmarks of a picture, and their file; raises ``InputError`` naming one without."""
        landmarks = self.of_pictures.get(spelled(file.stem))
        if landmarks is None:
            raise InputError(f"{shown(file)}: has no landmarks in {shown(self.landmarks.root, 80)}; add them there")
        return landmarks

    def points(self, file: Path, picture: Size) -> Points:
        """The landmarks of a picture ``picture`` high and wide.

        Raises:
            InputError: naming one without landmarks, or with some outside of it.
        """
        points = self.of_picture(file).points
        height, width = picture
        outside = points[((points < -0.5) | (points > np.array([width, height]) - 0.5)).any(1)]
        if len(outside):
            x, y = outside[0]
            raise InputError(
                f"{shown(file)}: is {height} x {width} pixels and has a landmark outside, at x {x:g}, y {y:g}; "
                "landmarks are in pixels of the picture as it is stored, upright: were they made for another size?"
            )
        return points

    def fitted(self, file: Path, pixels: NDArray[Any], size: Size) -> NDArray[Any]:
        """A picture ``(h, w, 3)`` of bytes as an image ``(H, W, 3)``, with the map of landmarks ``(H, W, 4)``."""
        picture = pixels.shape[0], pixels.shape[1]
        similarity, points = self.similarity(file, picture, size), self.points(file, picture)
        if similarity is None:
            height, width = size
            image = np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
            shares = (points + 0.5) / np.array([picture[1], picture[0]])
            points = shares * np.array([width, height]) - 0.5
        else:
            image, points = warped(pixels, similarity, size, labels=False), similarity(points)
        if not self.landmarks.heat_map:
            return image
        return np.concatenate([image, heat_map(points, size, self.landmarks)[..., None]], 2)

    def fitted_classes(self, file: Path, classes: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
        """The labels ``(h, w)`` of a picture as those ``(H, W)`` of its image; ignored outside of it."""
        picture = classes.shape[0], classes.shape[1]
        similarity = self.similarity(file, picture, size)
        if similarity is None:
            return np.array(Image.fromarray(classes).resize((size[1], size[0]), Image.Resampling.NEAREST), np.uint8)
        aligned = warped(classes, similarity, size, labels=True)
        aligned[~inside(similarity, picture, size)] = IGNORED
        return aligned


def paired(pair: Pair, faces: FaceImages | None) -> Pair:
    """The pair with the file of its picture's landmarks, of which a study knows its images too."""
    return pair if faces is None else replace(pair, others=(*pair.others, faces.of_picture(pair.image).file))


def heat_map(points: Points, size: Size, spec: LandmarkSpec) -> NDArray[np.uint8]:
    """A black map ``(H, W)`` with a square of 255 at each point ``(x, y)``, blurred; what is outside is cut off."""
    height, width = size
    squares = np.zeros(size, np.uint8)
    before, after = spec.square // 2, spec.square - spec.square // 2
    for x, y in np.round(points).astype(int):
        if -after < x < width + before and -after < y < height + before:
            squares[max(y - before, 0) : max(y + after, 0), max(x - before, 0) : max(x + after, 0)] = HEAT
    blurred = Image.fromarray(squares).filter(ImageFilter.GaussianBlur(spec.sigma))
    return np.array(blurred, np.uint8)


def faces_of(landmarks: LandmarkSpec | None, align: AlignSpec | None) -> FaceImages | None:
    """How pictures are prepared by their landmarks, which are read; None where nothing is made of them.

    Raises:
        InputError: for landmarks that cannot be read.
    """
    if landmarks is None or not (landmarks.heat_map or align is not None):
        return None
    return FaceImages(landmarks, align, read_landmarks(landmarks.root))
