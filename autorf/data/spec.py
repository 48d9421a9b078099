"""What a study file may say about its data. Light to import: nothing here loads torch."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from autorf.specification import ImageSize, PositiveFloat, PositiveInt, Specification

SMALLEST_DIGIT = 8
"""Pixels: the side of the bundled digits, which are never shrunk."""


class Augmentation(Specification):
    """Random changes of a training image and its mask together; all off by default.

    Attributes:
        flip: mirror left and right in half of the draws.
        scale: ``[low, high]``, the range of a random zoom; what a zoom out leaves empty is filled with the mean colour
            and ignored by loss and metrics.
        crop: ``[height, width]`` of a random crop in pixels; None for the whole image size.
    """

    flip: bool = False
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    crop: ImageSize | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.scale
        if not 0.1 <= low <= high <= 10:
            raise ValueError(f"scale must be [low, high] with 0.1 <= low <= high <= 10, got [{low:g}, {high:g}]")
        return self

    def fills(self, image_size: tuple[int, int]) -> bool:
        """Whether a training image of ``image_size`` (height, width) may need filling at its border."""
        height, width = self.crop or image_size
        return self.scale[0] * image_size[0] < height or self.scale[0] * image_size[1] < width

    @property
    def is_identity(self) -> bool:
        """Whether nothing would change."""
        return not self.flip and self.scale == (1.0, 1.0) and self.crop is None


def _listed(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


class DigitsData(Specification):
    """Handwritten digits (UCI, bundled with scikit-learn) of a chosen size on a textured canvas; no download.

    Class 0 is background, class ``d + 1`` is digit ``d``. Only the strokes are foreground, so that the class of a pixel
    is told by its digit as a whole: the right receptive field is about ``object_size``. No two splits share a digit.

    Attributes:
        image_size: height and width of the canvas in pixels.
        object_size: side of the digits in pixels, or a list of sides that are mixed in every image; at least 8.
        size_jitter: largest relative change of a digit's side.
        noise: standard deviation of the pixel noise; black to white is 1.
        texture: standard deviation of the canvas; black to white is 1.
        n_train: number of training images.
        n_val: number of validation images.
        n_test: number of test images; 0 for none.
        seed: of everything that is drawn; the same seed gives the same images.
        augmentation: of the training split.
    """

    name: Literal["digits"] = "digits"
    image_size: ImageSize = (96, 96)
    object_size: Annotated[
        tuple[Annotated[int, Field(ge=SMALLEST_DIGIT)], ...], BeforeValidator(_listed), Field(min_length=1)
    ] = (32,)
    size_jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    noise: Annotated[float, Field(ge=0, le=1)] = 0.05
    texture: Annotated[float, Field(ge=0, le=1)] = 0.05
    n_train: PositiveInt = 1200
    n_val: PositiveInt = 200
    n_test: Annotated[int, Field(ge=0)] = 200
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if max(self.object_size) > min(self.image_size):
            limit = min(self.image_size)
            raise ValueError(f"object_size must be at most the image's smaller side, {limit}")
        return self
