"""How image files are to be read: as pictures of three colours, or as numbers of so many channels."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autorf.data.arrays import is_array_file, read_numbers, with_channels
from autorf.data.image_files import read_rgb
from autorf.data.names import shown
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError

_STRICT = Pictures()
_LENIENT = Pictures(extra="drop", frame=0)


@dataclass(frozen=True)
class ImageKind:
    """What one image file holds.

    Attributes:
        file: the image.
        size: height and width in pixels, upright.
        channels: None for what is read as a picture of red, green and blue.
        numbers: their kind, such as ``uint16``; None with ``channels``.
        refused: why a study that says nothing refuses it, though its colours can be read; None where it does not.
    """

    file: Path
    size: tuple[int, int]
    channels: int | None = None
    numbers: str | None = None
    refused: str | None = None

    @property
    def words(self) -> str:
        """What is told from others."""
        if self.channels is None:
            return "colours of 8 bits"
        return f"{self.channels} channel{'s' * (self.channels != 1)} of {self.numbers}"


def image_kind(file: Path, mask_size: tuple[int, int]) -> ImageKind:
    """Read one image.

    Args:
        file: the image.
        mask_size: height and width of its mask, by which channels first and channels last are told.

    Raises:
        InputError: naming a file that cannot be read, or holds numbers that no study reads.
    """
    try:
        picture = read_rgb(file, _STRICT)
    except InputError as error:
        return _of_another_kind(file, mask_size, error)
    return ImageKind(file, (picture.height, picture.width))


def _of_another_kind(file: Path, mask_size: tuple[int, int], error: InputError) -> ImageKind:
    numbers = read_numbers(file, _LENIENT)
    if not is_array_file(file) and numbers.dtype == "uint8":
        picture = read_rgb(file, _LENIENT)
        return ImageKind(file, (picture.height, picture.width), refused=str(error))
    if numbers.ndim not in (2, 3):
        shape = " x ".join(map(str, numbers.shape))
        raise InputError(f"{shown(file)}: holds {shape} numbers; an image is height x width x channels") from None
    is_first = numbers.ndim == 3 and numbers.shape[:2] != mask_size and numbers.shape[1:] == mask_size
    channels = 1 if numbers.ndim == 2 else numbers.shape[0 if is_first else 2]
    # As a study does it: it refuses other kinds of numbers, and those that are not finite.
    pixels = with_channels(numbers, channels, file)
    return ImageKind(file, (pixels.shape[0], pixels.shape[1]), channels, pixels.dtype.name)


def reading_keys(kinds: Sequence[ImageKind]) -> dict[str, Any]:
    """What a study file says of how its images are read: ``channels``, ``pictures``, or nothing.

    Raises:
        InputError: where files differ in channels or kind of numbers, naming one of each.
    """
    by_words: dict[str, list[ImageKind]] = defaultdict(list)
    for kind in kinds:
        by_words[kind.words].append(kind)
    if len(by_words) > 1:
        first, second = sorted(by_words.values(), key=len, reverse=True)[:2]
        raise InputError(
            f"{shown(second[0].file, 70)}: has {second[0].words} ({len(second)} of {len(kinds)} images), and "
            f"{shown(first[0].file, 70)} {first[0].words} ({len(first)}); images are of one kind: convert the fewer or "
            "take them away"
        )
    if kinds[0].channels is not None:
        return {"channels": kinds[0].channels}
    reasons = [kind.refused for kind in kinds if kind.refused is not None]
    pictures: dict[str, Any] = {}
    if any("pages or frames" not in reason for reason in reasons):
        pictures["extra"] = "drop"
    if any("pages or frames" in reason for reason in reasons):
        pictures["frame"] = 0
    return {"pictures": pictures} if pictures else {}
