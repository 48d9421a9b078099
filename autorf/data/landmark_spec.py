"""What a study file may say about the landmarks of faces. Light to import: nothing here loads torch."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from autorf.data.mask_table import IGNORED
from autorf.data.picture_spec import Pictures
from autorf.specification import ImageSize, Number, PositiveFloat, PositiveInt, Specification

Point = tuple[Number, Number]

EYES, NOSE, MOUTH = ((0.38, 0.42), (0.62, 0.42)), (0.5, 0.557), ((0.4, 0.697), (0.6, 0.697))
"""Shares of the image's side: proportions of an upright face, small enough that its hair is seen too."""


class LandmarkSpec(Specification):
    """Where the landmarks of every picture are: their pixels count from 0, to the right and down, as it is upright.

    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, sections III-B and VI-A, whose squares
    and blur are "small" and not told.

    Attributes:
        root: a folder with a file a picture, or one file of all. ``NAME.pts`` (iBUG's, whose pixels count from 1);
            Helen's ``annotation/*.txt``, a line with the picture's name and then lines ``x , y``; a ``.csv`` of lines
            ``NAME, x1, y1, x2, y2, ...``, with or without titles; a ``.json`` ``{NAME: [[x, y], ...]}``. Of a picture
            there are 5 points (eyes, nose, corners of the mouth, from the left), iBUG's 68, or Helen's 194.
        heat_map: give networks a further channel, squares of 255 at the landmarks on black, blurred; with
            ``model.added_channels: 1``.
        square: side of the squares in pixels of the image that networks see.
        sigma: of the blur, in those pixels.
    """

    root: Path
    heat_map: bool = False
    square: Annotated[PositiveInt, Field(le=255)] = 5
    sigma: PositiveFloat = 2.0


class AlignSpec(Specification):
    """Bring every face to one place and size: a rotation, a scale and a shift (a similarity) fitted to five landmarks.

    Pixels that lie outside the picture are black, and ignored by loss and metrics.

    Attributes:
        eyes: where the left and the right one come to lie, ``[x, y]`` each, as shares of the image's shorter side,
            measured from the corner of the square of that side in its middle.
        nose: likewise, of its tip.
        mouth: likewise, of its left and right corner.
        mask_size: height and width in pixels of the aligned masks where ``score_at`` is ``mask``, whatever the image
            size.
    """

    eyes: tuple[Point, Point] = EYES
    nose: Point = NOSE
    mouth: tuple[Point, Point] = MOUTH
    mask_size: ImageSize = (400, 400)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not all(0 <= share <= 1 for point in self.points for share in point):
            raise ValueError("eyes, nose and mouth must be shares of the image's side, from 0 to 1")
        if len(set(self.points)) < len(self.points):
            raise ValueError("eyes, nose and mouth must be five places, no two alike")
        return self

    @property
    def points(self) -> tuple[Point, ...]:
        """All five, in the order of a picture's landmarks."""
        return (*self.eyes, self.nose, *self.mouth)


class WithLandmarks(Specification):
    """What data sets of faces have beside their files.

    Attributes:
        pictures: how picture files are read.
        landmarks: those of every picture; None where nothing is made of any.
        align: bring every face to one place and size by its landmarks; scores are then of aligned faces.
    """

    pictures: Pictures = Pictures()
    landmarks: LandmarkSpec | None = None
    align: AlignSpec | None = None

    @model_validator(mode="after")
    def _check_landmarks(self) -> Self:
        if self.align is not None and self.landmarks is None:
            raise ValueError("align: needs landmarks, by which faces are aligned; give landmarks.root")
        colour: Any = getattr(getattr(self, "augmentation", None), "colour", None)
        if self.image_channels > 3 and colour != type(colour)():
            raise ValueError("augmentation.colour is for red, green and blue, not for a map of landmarks; leave it out")
        return self

    @property
    def image_channels(self) -> int:
        """Of the images that networks see: red, green and blue, and a map of landmarks where there is one."""
        return 4 if self.landmarks is not None and self.landmarks.heat_map else 3

    @property
    def ignored(self) -> int | None:
        """The byte of pixels that loss and metrics leave out: those of aligned images beside their picture."""
        return None if self.align is None else IGNORED
