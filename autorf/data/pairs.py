"""Images and their masks, matched by stem."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autorf.data.names import Names, check_file, check_name, on_disk, shown, spelled
from autorf.errors import InputError, in_one_line

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png",)
ARRAY_SUFFIXES = (".npy",)
"""Of images where the study file says how many channels they have."""

OTHER_MASKS = (".tif", ".tiff", ".npy", ".bmp")
"""Of masks that have no PNG."""


@dataclass(frozen=True, order=True)
class Pair:
    """The files of one image and its mask.

    Attributes:
        image: the picture.
        mask: the file that is read for the classes.
        others: further files that are read with them: the rest of a mask that no single file holds, landmarks.
    """

    image: Path
    mask: Path
    others: tuple[Path, ...] = ()

    @property
    def mask_files(self) -> tuple[Path, ...]:
        """All but the picture."""
        return (self.mask, *self.others)


def require_folder(folder: Path, layout: str, key: str = "data.root") -> None:
    """Check that ``folder``, that of a ``key`` of the study file, is one.

    Raises:
        InputError: naming the folder and the ``layout`` expected.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 (Path's own raises for a path that is too long or behind a closed door)
        raise InputError(f"{shown(folder)}: {_fault(folder)}; expected in {key}: {layout}")


def _fault(folder: Path) -> str:
    try:
        folder.stat()
    except FileNotFoundError:
        return "does not exist"
    except (OSError, ValueError) as error:
        return f"cannot be opened ({getattr(error, 'strerror', None) or in_one_line(error)})"
    return "is no folder"


def find_pairs(
    images: Path, masks: Path, layout: str, names: Names = "nfc", image_suffixes: Sequence[str] = IMAGE_SUFFIXES
) -> list[Pair]:
    """All images of a folder with the mask of the same stem, sorted by name.

    Args:
        images: the folder of the images.
        masks: that of the masks.
        layout: what is expected, for messages.
        names: when two spellings are one name.
        image_suffixes: of images.

    Raises:
        InputError: when a folder is missing or empty, a file has no partner, or what is called a picture is no file.
    """
    images, masks = on_disk(images), on_disk(masks)
    for folder in (images, masks):
        require_folder(folder, layout)
    image_files = by_stem(images, image_suffixes, names)
    mask_files = mask_files_of(masks, image_files, names)
    for stem, file in image_files.items():
        if stem not in mask_files:
            expected = shown(masks / f"{file.stem}.png", 100)
            raise InputError(f"{shown(file)}: has no mask; expected {expected}{_foreign(masks, stem, names)}")
    for stem, file in mask_files.items():
        if stem not in image_files:
            expected = shown(images / file.stem, 80)
            raise InputError(
                f"{shown(file)}: has no image; expected {expected} with one of {', '.join(IMAGE_SUFFIXES)}"
            )
    if not image_files:
        raise InputError(
            f"{shown(images)}: holds no image ({', '.join(IMAGE_SUFFIXES)}); expected in data.root: {layout}"
        )
    for file in (*image_files.values(), *mask_files.values()):
        check_file(file)
    return [Pair(file, mask_files[stem]) for stem, file in sorted(image_files.items())]


def mask_files_of(masks: Path, images: Iterable[str], names: Names = "nfc") -> dict[str, Path]:
    """The masks of a folder by their stems: PNG, and other kinds for ``images`` that have none."""
    own = by_stem(masks, MASK_SUFFIXES, names)
    lacking = {stem for stem in images if stem not in own}
    others = by_stem(masks, OTHER_MASKS, names) if lacking else {}
    return {**own, **{stem: file for stem, file in others.items() if stem in lacking}}


def split_off(pairs: Sequence[Pair], fraction: float, names: Names = "nfc") -> tuple[list[Pair], list[Pair]]:
    """Two parts, ``1 - fraction`` and ``fraction`` of the pairs, neither empty; chosen by the hash of the file name.

    Raises:
        InputError: when there are fewer than two pairs.
    """
    if len(pairs) < 2:
        folder = shown(pairs[0].image.parent)
        raise InputError(f"{folder}: one image cannot be split into training and validation; add more")

    def place(pair: Pair) -> bytes:
        return hashlib.sha256(spelled(pair.image.stem, names).encode()).digest()

    by_hash = sorted(pairs, key=place)
    count = min(max(round(fraction * len(pairs)), 1), len(pairs) - 1)
    return sorted(by_hash[count:]), sorted(by_hash[:count])


def by_stem(folder: Path, suffixes: Sequence[str], names: Names = "nfc") -> dict[str, Path]:
    """The files of a folder with one of ``suffixes``, by their stems.

    Raises:
        InputError: for a folder that cannot be listed, or two files of one stem.
    """
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{shown(folder)}: cannot be listed: {error.strerror}") from None
    by_stem: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() not in suffixes or file.name.startswith("."):
            continue
        check_name(file)
        stem = spelled(file.stem, names)
        if stem in by_stem:
            raise InputError(
                f"{shown(file)}: has the same stem as {shown(Path(by_stem[stem].name), 60)}; keep one of them"
            )
        by_stem[stem] = file
    return by_stem


def _foreign(masks: Path, stem: str, names: Names) -> str:
    """A hint where the mask is there in a format that does not keep classes exactly."""
    others = [file for file in sorted(masks.glob("*")) if spelled(file.stem, names) == stem]
    return f"; {shown(Path(others[0].name), 60)} is no PNG: save masks as 8-bit PNG" if others else ""
