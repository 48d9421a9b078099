"""What a study file may say about a data set of the user's own code. Light to import, without torch."""

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from autorf.data.class_spec import MOST_CLASSES, ClassData
from autorf.data.declared_classes import DeclaredClasses, count_or_names, names_of
from autorf.data.spec import Augmentation, Colour, Half, ScoreAt
from autorf.own_code.reference import parse_reference
from autorf.specification import ImageSize, PositiveInt, Several, Specification, WholeNumber

IGNORED = 255
"""What pixels without a label become, where the data set marks them by another number than a byte."""


def _reference(text: str) -> str:
    return parse_reference(text).text


class OwnData(Specification):
    """What data sets of the user's own code have, whatever their items' classes are of.

    Attributes:
        factory: ``python:./data.py:build``, relative to the study file, or ``python:package.module:build``.
        args: that it is called with, by name.
        image_size: height and width in pixels that images are brought to.
        channels: of the images.
        normalise: see the data sets.
    """

    factory: Annotated[str, AfterValidator(_reference)]
    args: dict[str, Any] = {}
    image_size: ImageSize
    channels: Annotated[PositiveInt, Field(le=4096)] = 3
    normalise: Literal["imagenet", "training", "none"] | None = None

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if self.channels != 3 and self.normalise == "imagenet":
            raise ValueError(f"normalise: imagenet is for red, green and blue, not for {self.channels} channels")
        if self.channels != 3 and self.colour != Colour():
            raise ValueError(
                f"augmentation.colour is for red, green and blue, not for {self.channels} channels; leave it out"
            )
        return self

    @property
    def colour(self) -> Colour:
        """The random changes of colours, which are for bytes of three channels."""
        changes: Colour = getattr(self, "augmentation").colour  # noqa: B009 (each kind of data has its own)
        return changes


class PythonData(OwnData, DeclaredClasses):
    """A data set of your own code.

    ``factory(**args)`` returns the training, the validation and, where there is one, the test split, as a tuple or by
    the names ``train``, ``val`` and ``test``: each a ``torch.utils.data.Dataset`` whose items are ``(image, mask)`` or
    mappings with ``image`` and ``mask``, as TorchGeo's and Albumentations' are. Images are bytes or floating-point
    numbers, tensors, arrays or pictures, channels first or last; masks are whole numbers ``(H, W)``.

    The training split may draw its own augmentation: Python's, NumPy's and torch's random numbers are seeded for every
    image and epoch. The others must give the same images every time.

    Attributes:
        factory: ``python:./data.py:build``, relative to the study file, or ``python:package.module:build``.
        args: that it is called with, by name.
        classes: how many classes there are, or their names, class 0 first.
        image_size: height and width in pixels that everything is brought to: images bilinearly, masks to the nearest
            pixel.
        channels: of the images.
        normalise: ``imagenet``: ImageNet's mean and deviation, for red, green and blue; ``training``: those of the
            training split, channel by channel; ``none``: numbers as they are, bytes from 0 to 1. None: ``imagenet``
            for bytes of three channels, else ``training``.
        ignore_index: a mask value that loss and metrics leave out, such as 255 or -1.
        groups: classes whose F1 is also reported merged, as the objective ``f1_NAME``, by the group's name.
        left_out: classes that mIoU and the mean F1 leave out; by name or number.
        augmentation: of the training split, beside what it draws itself.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
    """

    name: Literal["python"] = "python"
    ignore_index: Annotated[WholeNumber, Field(ge=-(2**31), lt=2**31)] | None = None
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None

    @property
    def ignored(self) -> int | None:
        """The byte of pixels that loss and metrics leave out."""
        if self.ignore_index is None:
            return None
        return self.ignore_index if 0 <= self.ignore_index <= IGNORED else IGNORED


class PythonClassData(OwnData, ClassData):
    """A data set of your own code, of pictures with one class each.

    ``factory(**args)`` returns the training, the validation and, where there is one, the test split, as a tuple or by
    the names ``train``, ``val`` and ``test``: each a ``torch.utils.data.Dataset`` whose items are ``(image, label)`` or
    mappings with ``image`` and ``label``. Images are bytes or floating-point numbers, tensors, arrays or pictures,
    channels first or last; labels are whole numbers, classes 0 and up.

    The training split may draw its own augmentation: Python's, NumPy's and torch's random numbers are seeded for every
    picture and epoch. The others must give the same pictures every time. In a study with ``task: classification`` the
    name ``python`` means this one.

    Attributes:
        factory: ``python:./data.py:build``, relative to the study file, or ``python:package.module:build``.
        args: that it is called with, by name.
        classes: how many classes there are, or their names, class 0 first.
        image_size: height and width in pixels that pictures are stretched to, bilinearly.
        channels: of the pictures.
        normalise: ``imagenet``: ImageNet's mean and deviation, for red, green and blue; ``training``: those of the
            training split, channel by channel; ``none``: numbers as they are, bytes from 0 to 1. None: ``imagenet``
            for bytes of three channels, else ``training``.
        augmentation: of the training split, beside what it draws itself.
        half: train on one half of the training pictures, ``a`` or ``b``, drawn at random once and for all; None for
            all.
    """

    name: Literal["python_classes"] = "python_classes"
    classes: Annotated[int | Several[str], BeforeValidator(partial(count_or_names, most=MOST_CLASSES))]

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each class."""
        return names_of(self.classes)
