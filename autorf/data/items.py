"""Items of a data set of the user's own code, each checked and as every data set has them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autorf.data.python_data import OwnData, PythonClassData, PythonData
from autorf.errors import InputError, a_type, shown
from autorf.own_code.importing import said_by

_MOST_VALUES = 3


def item_of(dataset: Any, index: int, spec: PythonData, split: str) -> tuple[Tensor, Tensor]:
    """An item as image ``(C, H, W)``, bytes or float32, and mask ``(H, W)``, bytes.

    Args:
        dataset: of the user's own.
        index: of the item.
        spec: what its study file says.
        split: its name, for messages.

    Raises:
        InputError: naming the item, what is wrong with it and what is wanted.
    """
    place = f"data.factory: {split} item {index}"
    image, mask = _parts(dataset, index, "mask", place)
    classes = _classes(_tensor(mask, place, "mask"), spec, place)
    return _image_of_mask(_tensor(image, place, "image"), image, classes, spec, place), classes


def class_item_of(dataset: Any, index: int, spec: PythonClassData, split: str) -> tuple[Tensor, Tensor]:
    """An item as image ``(C, H, W)``, bytes or float32, and its class as a mask of one pixel, ``(1, 1)`` int16.

    Args:
        dataset: of the user's own.
        index: of the item.
        spec: what its study file says.
        split: its name, for messages.

    Raises:
        InputError: naming the item, what is wrong with it and what is wanted.
    """
    place = f"data.factory: {split} item {index}"
    image, label = _parts(dataset, index, "label", place)
    return _image_alone(_tensor(image, place, "image"), image, spec, place), _label(label, spec, place)


def _parts(dataset: Any, index: int, second: str, place: str) -> tuple[Any, Any]:
    """The image of an item, and what is called ``second``."""
    try:
        item = dataset[index]
    except Exception as error:
        raise InputError(f"{place} cannot be read: {said_by(error)}") from None
    if isinstance(item, Mapping) and {"image", second} <= item.keys():
        return item["image"], item[second]
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    what = f"a mapping with {', '.join(map(str, item))}" if isinstance(item, Mapping) else a_type(item)
    length = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise InputError(f"{place} is {what}{length}; an item is (image, {second}), or a mapping with image and {second}")


def _tensor(value: Any, place: str, part: str) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Image.Image):
        value = np.array(value)
    if isinstance(value, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(value))
        except TypeError:
            raise InputError(f"{place}: its {part} holds {value.dtype}; convert it to numbers") from None
    raise InputError(f"{place}: its {part} is {a_type(value)}; a tensor, an array or a picture is wanted")


def _classes(mask: Tensor, spec: PythonData, place: str) -> Tensor:
    """The mask as bytes."""
    if mask.dim() == 3 and 1 in (mask.shape[0], mask.shape[-1]):
        mask = mask[0] if mask.shape[0] == 1 else mask[..., 0]
    if mask.dim() != 2:
        raise InputError(f"{place}: its mask has the shape {tuple(mask.shape)}; it is (H, W), a class for every pixel")
    if mask.is_complex() or (mask.is_floating_point() and not bool((mask == mask.round()).all())):
        raise InputError(f"{place}: its mask holds numbers that are not whole, such as {_odd(mask)}; classes are whole")
    whole, n_classes = mask.long(), len(spec.class_names)
    ignored = torch.zeros_like(whole, dtype=torch.bool) if spec.ignore_index is None else whole == spec.ignore_index
    outside = (whole[~ignored] < 0) | (whole[~ignored] >= n_classes)
    if bool(outside.any()):
        values = whole[~ignored][outside].unique().tolist()
        listed = f"{', '.join(map(str, values[:_MOST_VALUES]))}{' and more' if len(values) > _MOST_VALUES else ''}"
        legal = f"0 to {n_classes - 1}" + ("" if spec.ignore_index is None else f" and {spec.ignore_index}, ignored")
        raise InputError(
            f"{place}: its mask holds {listed}; legal are {legal}; correct data.classes, data.ignore_index or the masks"
        )
    return whole.masked_fill(ignored, spec.ignored or 0).byte()


def _odd(mask: Tensor) -> str:
    return shown(mask[mask != mask.round()].flatten()[0].item()) if not mask.is_complex() else "complex ones"


def _label(label: Any, spec: PythonClassData, place: str) -> Tensor:
    """The class as a mask of one pixel."""
    number = torch.as_tensor(label) if isinstance(label, bool | int | float | np.generic) else label
    value = _tensor(number, place, "label")
    legal = f"0 to {len(spec.class_names) - 1}"
    if value.numel() != 1:
        raise InputError(f"{place}: its label has the shape {tuple(value.shape)}; it is one whole number, {legal}")
    whole = value.flatten()[0]
    if value.dtype == torch.bool or value.is_complex() or (value.is_floating_point() and whole != whole.round()):
        raise InputError(f"{place}: its label is {shown(whole.item())}; it is one whole number, {legal}")
    if not 0 <= int(whole) < len(spec.class_names):
        raise InputError(f"{place}: its label is {int(whole)}; legal are {legal}; correct data.classes or the labels")
    return whole.to(torch.int16).view(1, 1)


def _image_of_mask(image: Tensor, given: Any, mask: Tensor, spec: OwnData, place: str) -> Tensor:
    """The image as ``(C, H, W)``, by the mask's size."""
    image = _of_three_axes(image, place)
    size, shape = tuple(mask.shape), tuple(image.shape)
    first, last = shape[1:] == size, shape[:2] == size
    if not first and not last:
        raise InputError(
            f"{place}: its mask is {size[0]} x {size[1]} and its image {' x '.join(map(str, shape))}: they must have "
            "the same height and width"
        )
    image = _channels_first(image, given, first=first, last=last)
    if len(image) != spec.channels:
        raise InputError(
            f"{place}: its image has {len(image)} channels, data.channels says {spec.channels}; every item has as many"
        )
    return _numbers(image, place).contiguous()


def _image_alone(image: Tensor, given: Any, spec: OwnData, place: str) -> Tensor:
    """The image as ``(C, H, W)``, by its number of channels."""
    image = _of_three_axes(image, place)
    first, last = image.shape[0] == spec.channels, image.shape[2] == spec.channels
    if not first and not last:
        raise InputError(
            f"{place}: its image is {' x '.join(map(str, image.shape))}; data.channels says {spec.channels}, which are "
            "first or last in every item"
        )
    return _numbers(_channels_first(image, given, first=first, last=last), place).contiguous()


def _of_three_axes(image: Tensor, place: str) -> Tensor:
    image = image[None] if image.dim() == 2 else image
    if image.dim() != 3 or 0 in image.shape:
        raise InputError(f"{place}: its image has the shape {tuple(image.shape)}; (C, H, W) or (H, W, C) is wanted")
    return image


def _channels_first(image: Tensor, given: Any, *, first: bool, last: bool) -> Tensor:
    """By the ends that may be the channels; where both may, arrays and pictures have them last, tensors first."""
    return image.movedim(2, 0) if last and (not first or not isinstance(given, Tensor)) else image


def _numbers(image: Tensor, place: str) -> Tensor:
    """Bytes, or float32 that is finite."""
    if image.dtype == torch.uint8:
        return image
    if not image.is_floating_point():
        kind = str(image.dtype).removeprefix("torch.")
        raise InputError(f"{place}: its image holds {kind}; give bytes (uint8) or floating-point numbers")
    image = image.float()
    if not bool(image.isfinite().all()):
        raise InputError(f"{place}: its image holds nan or infinite numbers; fill them")
    return image
