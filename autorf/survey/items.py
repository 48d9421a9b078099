"""The pictures of a data set one by one, each with its classes at its own size."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.data import DataSpec, load
from autorf.data.ade20k import ade20k_decoder
from autorf.data.camvid import camvid_decoder
from autorf.data.cityscapes import cityscapes_decoder
from autorf.data.data_set import Labels
from autorf.data.decoding import Decoder, Pixels
from autorf.data.face_spec import HelenData, LfwData
from autorf.data.fasseg import fasseg_decoder
from autorf.data.folder import folder_decoder
from autorf.data.helen import helen_decoder
from autorf.data.lfw import lfw_decoder
from autorf.data.loading import labels_of, pairs_of
from autorf.data.names import shown
from autorf.data.pairs import Pair
from autorf.data.scene_spec import Ade20kData, CityscapesData, VocData
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.spec import CamVidData, FassegData, FolderData
from autorf.data.voc import voc_decoder
from autorf.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Item:
    """One picture of a split.

    Attributes:
        split: its split.
        name: the picture's path below the data set's folder, or its number.
        read: its pixels ``(h, w, C)`` and classes ``(h, w)`` uint8; raises ``InputError`` where they cannot be had.
        digest: of the picture's content, by which two of one content are told; None where that is not asked.
    """

    split: str
    name: str
    read: Callable[[], tuple[Pixels, NDArray[np.uint8]]]
    digest: Callable[[], bytes] | None = None


@dataclass(frozen=True)
class Source:
    """A data set to look at.

    Attributes:
        items: its pictures.
        labels: what its mask values mean.
        image_size: height and width in pixels that a network sees.
        decoder: of its files; None where pictures come from a loaded data set, at ``image_size``.
    """

    items: tuple[Item, ...]
    labels: Labels
    image_size: tuple[int, int]
    decoder: Decoder | None = None


def source_of(spec: DataSpec, root: Path) -> Source:
    """The pictures of a data set: its files where they are read alike, else what loading it gives.

    Raises:
        InputError: when the layout or, of data that is loaded, a file is not as it must be.
    """
    labels, decoder = labels_of(spec), file_decoder(spec)
    if decoder is None:
        return Source(_loaded(spec), labels, spec.image_size)
    return Source(file_items(pairs_of(spec), decoder, root), labels, spec.image_size, decoder)


def file_decoder(spec: DataSpec) -> Decoder | None:
    """What reads the files of a data set; None where it reads them itself."""
    match spec:
        case FolderData():
            return folder_decoder(spec)
        case CamVidData():
            return camvid_decoder(spec)
        case FassegData():
            return fasseg_decoder(spec)
        case HelenData():
            return helen_decoder(spec)
        case LfwData():
            return lfw_decoder(spec)
        case VocData():
            return voc_decoder(spec)
        case CityscapesData():
            return cityscapes_decoder(spec)
        case Ade20kData():
            return ade20k_decoder(spec)
        case _:
            return None


def file_items(pairs: Mapping[str, Sequence[Pair]], decoder: Decoder, root: Path) -> tuple[Item, ...]:
    """The pictures of files."""
    return tuple(_of_files(split, pair, decoder, root) for split in SPLITS for pair in pairs.get(split, ()))


def _of_files(split: str, pair: Pair, decoder: Decoder, root: Path) -> Item:
    def read() -> tuple[Pixels, NDArray[np.uint8]]:
        pixels, classes = decoder.pixels(pair.image), decoder.classes(pair.mask)
        decoder.check_pair(pair, pixels, classes)
        return pixels, classes

    def digest() -> bytes:
        with pair.image.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()

    return Item(split, name_below(pair.image, root), read, digest)


def name_below(file: Path, root: Path) -> str:
    """A file's path below a folder, for people to read."""
    return shown(file.relative_to(root) if file.is_relative_to(root) else file)


def _loaded(spec: Any) -> tuple[Item, ...]:
    splits = load(spec)
    sets = {"train": splits.train, "val": splits.val, "test": splits.test}
    return tuple(
        _of_set(split, index, images)
        for split, images in sets.items()
        if images is not None
        for index in range(len(images))
    )


def _of_set(split: str, index: int, images: SegmentationSet) -> Item:
    def read() -> tuple[Pixels, NDArray[np.uint8]]:
        image, mask = images.source.read([index])
        pixels = image[0].permute(1, 2, 0).contiguous().numpy()
        classes = mask[0].numpy().astype(np.uint8)
        if pixels.size == 0 or classes.size == 0:
            raise InputError(f"{split} image {index}: holds no pixel")
        return pixels, classes

    return Item(split, f"{split} {index}", read)
