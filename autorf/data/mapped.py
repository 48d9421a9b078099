"""Decoded pictures in flat files that are mapped into memory: one copy for all processes of a machine."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autorf.data.decoding import Pixels, numbers_of
from autorf.data.mask_files import Classes
from autorf.files import flush_file, write_atomically

INDEX = "index.json"
"""Of a folder of decoded pictures: what its files hold. Written last."""

VERSION = 1
"""Of the layout; another one is decoded anew."""

_PARTS = ("images", "masks")


@dataclass(frozen=True)
class SplitIndex:
    """What the two files of a split hold, one picture behind the other.

    Attributes:
        kind: of the images' numbers: uint8, uint16 or float32; masks are bytes.
        channels: of the images.
        image_sizes: height and width in pixels of each image.
        mask_sizes: likewise of each mask.
    """

    kind: str
    channels: int
    image_sizes: Sequence[tuple[int, int]]
    mask_sizes: Sequence[tuple[int, int]]

    def shapes(self, part: str) -> list[tuple[int, ...]]:
        """Of each image ``(C, H, W)``, or of each mask ``(H, W)``."""
        if part == "masks":
            return [(height, width) for height, width in self.mask_sizes]
        return [(self.channels, height, width) for height, width in self.image_sizes]

    def dtype(self, part: str) -> np.dtype[Any]:
        """Of the numbers of images or masks."""
        return np.dtype(self.kind if part == "images" else "uint8")

    def n_bytes(self, part: str) -> int:
        """Of the file."""
        return sum(math.prod(shape) for shape in self.shapes(part)) * self.dtype(part).itemsize


def read_index(folder: Path) -> dict[str, SplitIndex] | None:
    """What a folder of decoded pictures holds by split; None where it is not whole."""
    try:
        content = json.loads((folder / INDEX).read_bytes())
        if content["version"] != VERSION:
            return None
        splits = {split: _split_index(values) for split, values in content["splits"].items()}
        sizes = [
            (folder / _file(split, part)).stat().st_size == index.n_bytes(part)
            for split, index in splits.items()
            for part in _PARTS
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return splits if all(sizes) else None


def _split_index(values: Mapping[str, Any]) -> SplitIndex:
    image_sizes, mask_sizes = ([(int(h), int(w)) for h, w in values[f"{part[:-1]}_sizes"]] for part in _PARTS)
    return SplitIndex(str(values["kind"]), int(values["channels"]), image_sizes, mask_sizes)


def write_decoded(folder: Path, splits: Mapping[str, Iterable[tuple[Pixels, Classes]]]) -> None:
    """Write images ``(C, H, W)`` and masks ``(H, W)`` of every split, one after the other, and the index at last.

    Written, not mapped: of a full disk a write says so, where a map would end the process.

    Args:
        folder: that is there and empty.
        splits: images and masks, all of one kind and number of channels.

    Raises:
        OSError: where the system refuses, such as on a full disk.
    """
    indices = {split: _write_split(folder, split, pictures) for split, pictures in splits.items()}
    plain = {split: vars(index) for split, index in indices.items()}
    write_atomically(folder / INDEX, json.dumps({"version": VERSION, "splits": plain}))


def _write_split(folder: Path, split: str, pictures: Iterable[tuple[Pixels, Classes]]) -> SplitIndex:
    kinds: set[tuple[str, int]] = set()
    image_sizes: list[tuple[int, int]] = []
    mask_sizes: list[tuple[int, int]] = []
    with (folder / _file(split, "images")).open("wb") as images, (folder / _file(split, "masks")).open("wb") as masks:
        for image, mask in pictures:
            kinds.add((image.dtype.name, image.shape[0]))
            image_sizes.append((image.shape[1], image.shape[2]))
            mask_sizes.append((mask.shape[0], mask.shape[1]))
            images.write(np.ascontiguousarray(image).data)
            masks.write(np.ascontiguousarray(mask).data)
        flush_file(images)
        flush_file(masks)
    assert len(kinds) == 1, "the decoder refuses files of several kinds"
    kind, channels = kinds.pop()
    return SplitIndex(kind, channels, image_sizes, mask_sizes)


def _file(split: str, part: str) -> str:
    return f"{split}.{part}"


class Mapped:
    """A split's decoded images and masks, of one size or each of its own.

    Args:
        folder: that :func:`write_decoded` filled.
        split: which.
        index: what it holds.
        lease: is kept as long as this is, so that nobody removes the folder meanwhile.
    """

    def __init__(self, folder: Path, split: str, index: SplitIndex, lease: Any = None) -> None:
        self.folder, self.split, self.index, self._lease = folder, split, index, lease
        self._images, self._masks = (_Flat(folder / _file(split, part), index, part) for part in _PARTS)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process maps the same files; a mapped array would be pickled with all that it holds.
        return Mapped, (self.folder, self.split, self.index)

    def __len__(self) -> int:
        return len(self.index.image_sizes)

    def size_of(self, index: int) -> tuple[int, int]:
        """Height and width of an image in pixels."""
        return self.index.image_sizes[index]

    @property
    def decoded_bytes(self) -> int:
        """Of images and masks."""
        return sum(self.index.n_bytes(part) for part in _PARTS)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, C, H, W)``, uint8 or float32, and masks ``(n, H, W)``, uint8, copied; each part of one size."""
        images, masks = self.stored(indices)
        return _numbers(images.numpy()), masks

    def stored(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`read`, but images of 16 bits are uint16: half of what float32 takes."""
        chosen = [int(index) for index in indices]
        return torch.from_numpy(self._images.stacked(chosen)), torch.from_numpy(self._masks.stacked(chosen))

    def images_of(self, indices: Sequence[int]) -> Tensor:
        """The images alone."""
        return _numbers(self._images.stacked(list(indices)))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """One mask ``(H, W)``, not copied and not to be written to."""
        return self._masks[index]

    def window(self, index: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """A part of one image ``(C, h, w)`` and of its mask ``(h, w)``, copied; nothing else is read."""
        image, mask = self._images[index][:, rows, columns], self._masks[index][rows, columns]
        return _numbers(np.array(image)), torch.from_numpy(np.array(mask))

    def remembered(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``compute`` says of these images, as plain values, of this call or of one in another process."""
        path = self.folder / f"{self.split}.{name}.json"
        try:
            stored: dict[str, Any] = json.loads(path.read_bytes())
            return stored
        except (OSError, ValueError):
            values = compute()
        with suppress(OSError):
            write_atomically(path, json.dumps(values))
        return values


class _Flat:
    """The pictures of one file."""

    def __init__(self, path: Path, index: SplitIndex, part: str) -> None:
        self._shapes = index.shapes(part)
        lengths = [math.prod(shape) for shape in self._shapes]
        self._starts = np.cumsum([0, *lengths])
        self._numbers = np.memmap(path, index.dtype(part), mode="r")
        is_even = len(set(self._shapes)) == 1
        self._alike = self._numbers.reshape(len(self._shapes), *self._shapes[0]) if is_even else None

    def __getitem__(self, index: int) -> NDArray[Any]:
        start, end = self._starts[index], self._starts[index + 1]
        return np.asarray(self._numbers[start:end]).reshape(self._shapes[index])

    def stacked(self, indices: list[int]) -> NDArray[Any]:
        """A copy of some of them, one behind the other."""
        if self._alike is not None:
            return np.asarray(self._alike[indices])
        return np.stack([self[index] for index in indices])


def _numbers(images: NDArray[Any]) -> Tensor:
    return torch.from_numpy(numbers_of(images))
