"""Data sets: what a study file may say about them, and how they are read."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SerializeAsAny, TypeAdapter, WrapValidator

from autorf.data.built_in import BuiltIn
from autorf.data.class_spec import (
    AircraftData,
    ClassData,
    DigitClassesData,
    ImageFolderData,
    ImageNetData,
    PictureAugmentation,
    StanfordCarsData,
)
from autorf.data.data_set import DATA, DataSet, Labels
from autorf.data.face_spec import HelenData, LfwData
from autorf.data.picture_spec import Pictures
from autorf.data.python_data import PythonClassData, PythonData
from autorf.data.scene_spec import Ade20kData, CityscapesData, VocData
from autorf.data.spec import Augmentation, CamVidData, DigitsData, FassegData, FolderData
from autorf.specification import parse

if TYPE_CHECKING:
    from autorf.data.segmentation_set import SegmentationSet
    from autorf.data.sources import InMemory
    from autorf.data.splits import Splits

__all__ = [
    "Ade20kData",
    "AircraftData",
    "Augmentation",
    "CamVidData",
    "CityscapesData",
    "ClassData",
    "DataSet",
    "DataSpec",
    "DigitClassesData",
    "DigitsData",
    "FassegData",
    "FolderData",
    "HelenData",
    "ImageFolderData",
    "ImageNetData",
    "InMemory",
    "Labels",
    "LfwData",
    "PictureAugmentation",
    "Pictures",
    "PythonClassData",
    "PythonData",
    "SegmentationSet",
    "Splits",
    "StanfordCarsData",
    "VocData",
    "channels_of",
    "labels_in",
    "load",
]

_BUILT_IN: TypeAdapter[BuiltIn] = TypeAdapter(Annotated[BuiltIn, Field(discriminator="name")])


def _by_name(value: Any, _: Any) -> Any:
    """Validate ``value`` as the data set that it names, one of an installed package too."""
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
    if name is None or name in DATA.built_in:
        DATA.check_owner(str(name))
        return _BUILT_IN.validate_python(value)
    if not DATA.knows(name):
        raise ValueError(DATA.unknown(name))
    return parse(DATA[name], value, name) if isinstance(value, Mapping) else DATA[name].model_validate(value)


DataSpec = Annotated[BuiltIn | DataSet, WrapValidator(_by_name), SerializeAsAny()]
"""Any data set, told apart by its ``name``."""


_ANY: TypeAdapter[Any] = TypeAdapter(DataSpec)


def load(spec: DataSpec, seed: int = 0, cache: Path | None = None) -> "Splits":
    """Read a data set and check all of it.

    Args:
        spec: which.
        seed: of the training split's augmentation and patches.
        cache: a folder that keeps decoded pictures for all who load them, up to ``cache_gb``, such as ``cache`` below
            the root of studies; None decodes into this process's memory, or on every use what is too much for that.

    Raises:
        InputError: one line that names the file at fault, what is wrong with it and what is legal.
    """
    from autorf.data.loading import load_splits

    return load_splits(spec, seed, cache)


def channels_of(spec: DataSpec) -> int:
    """How many channels the images of a data set have, without reading it."""
    return int(getattr(spec, "channels", None) or getattr(spec, "image_channels", None) or 3)


def labels_in(section: Mapping[str, Any]) -> Labels | None:
    """What the classes of a study's stored ``data`` section are, without reading the data set.

    None where this version cannot tell: there is no section, or it is of a package that is not installed.
    """
    from autorf.data.loading import labels_of

    try:
        return labels_of(_ANY.validate_python(section))
    except ValueError:
        return None


_WHERE = {"InMemory": "sources", "SegmentationSet": "segmentation_set", "Splits": "splits"}
"""Modules of names that load torch, which only those who read images wait for."""


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"autorf.data.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
