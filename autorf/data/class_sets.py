"""From what a study file says of pictures with one class each to checked splits."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autorf.data import fgvc_aircraft
from autorf.data.class_pairs import ClassPair
from autorf.data.class_spec import (
    DIGITS,
    MOST_CLASSES,
    AircraftData,
    ClassData,
    ClassFilesData,
    DigitClassesData,
    ImageFolderData,
    ImageNetData,
    StanfordCarsData,
)
from autorf.data.data_set import Labels
from autorf.data.fgvc_aircraft import aircraft_classes, aircraft_pairs
from autorf.data.image_folder import folder_class_pairs, folder_classes
from autorf.data.imagenet import imagenet_classes, imagenet_pairs
from autorf.data.python_data import PythonClassData
from autorf.data.stanford_cars import car_classes, car_pairs
from autorf.errors import InputError
from autorf.tasks import CLASSIFICATION

if TYPE_CHECKING:
    from autorf.data.class_pictures import ClassSet, PictureDecoder
    from autorf.data.splits import Splits


def class_labels(spec: ClassData) -> Labels:
    """The classes; of files their lists or folders are read, no picture is.

    Raises:
        InputError: when the layout is not as it must be.
    """
    match spec:
        case DigitClassesData():
            return Labels(DIGITS)
        case PythonClassData():
            return Labels(spec.class_names)
        case ImageFolderData():
            names = folder_classes(spec)
        case ImageNetData():
            names = imagenet_classes(spec)
        case StanfordCarsData():
            names = car_classes(spec)
        case AircraftData():
            names = aircraft_classes(spec)
        case _:
            raise AssertionError(f"no data set of classes is called {type(spec).__name__}")
    if len(names) > MOST_CLASSES:
        raise InputError(f"data: {len(names)} classes; at most {MOST_CLASSES} are told apart")
    return Labels(names)


def class_pairs_of(spec: ClassData) -> Mapping[str, Sequence[ClassPair]]:
    """The files of every split; none for pictures that are drawn.

    Raises:
        InputError: when the layout is not as it must be.
    """
    match spec:
        case ImageFolderData():
            return folder_class_pairs(spec)
        case ImageNetData():
            return imagenet_pairs(spec)
        case StanfordCarsData():
            return car_pairs(spec)
        case AircraftData():
            return aircraft_pairs(spec)
        case _:
            return {}


def picture_decoder(spec: ClassFilesData) -> "PictureDecoder":
    """What reads a picture."""
    from autorf.data.class_pictures import PictureDecoder

    banner = fgvc_aircraft.BANNER if isinstance(spec, AircraftData) else 0
    return PictureDecoder(spec.image_size, spec.side, spec.pictures, banner)


def class_splits(spec: ClassData, seed: int) -> "Splits":
    """The splits of a data set of classes, checked; see ``autorf.data.load``."""
    from autorf.data.splits import Splits

    names = class_labels(spec).class_names
    sets = _sets(spec)
    train = sets["train"] if spec.half is None else sets["train"].half(spec.half)
    return Splits(
        train=train.with_augmentation(spec.augmentation, seed),
        val=sets["val"],
        test=sets.get("test"),
        n_classes=len(names),
        ignore_index=None,
        class_names=names,
        image_size=spec.image_size,
        task=CLASSIFICATION,
    )


def _sets(spec: ClassData) -> "Mapping[str, ClassSet]":
    # All load torchvision, which whoever only asks for a data set's classes should not wait for.
    if isinstance(spec, ClassFilesData):
        from autorf.data.class_pictures import class_sets

        return class_sets(class_pairs_of(spec), picture_decoder(spec))
    if isinstance(spec, PythonClassData):
        from autorf.data.python_class_sets import python_class_sets

        return python_class_sets(spec)
    from autorf.data.digit_classes import digit_class_sets

    assert isinstance(spec, DigitClassesData)
    return digit_class_sets(spec)
