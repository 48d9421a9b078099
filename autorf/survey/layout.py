"""Which files of a folder are images, which are their masks, and which split they belong to."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autorf.data.names import shown
from autorf.data.pairs import Pair
from autorf.errors import InputError, in_one_line
from autorf.survey.file_groups import MASKS, PICTURES, FileGroup, groups_by_folder, groups_by_words, picture_files
from autorf.survey.words import IMAGE_TAILS, MASK_TAILS, is_poor

LOOKED_FOR = (
    "train/images with train/masks, images with masks, train with trainannot, or NAME_mask beside NAME, of equal names"
)

_LOSSY = (".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Side:
    """Where the images, or the masks, of a layout are.

    Attributes:
        group: the files of their folders.
        tail: what their stems end in beside what images and masks have in common.
        suffixes: of their files.
    """

    group: FileGroup
    tail: str
    suffixes: tuple[str, ...]

    def files(self, split: str | None) -> dict[str, Path]:
        """Those of a split by the common part of their stems."""
        return self.group.tailed(split, self.tail, self.suffixes)


@dataclass(frozen=True)
class Layout:
    """The pairs of a folder.

    Attributes:
        root: the folder.
        images: where the images are, and ``masks`` where their masks are.
        pairs: by split; those of a folder that names no splits are all of ``train``.
        has_splits: whether the folder names them.
        images_alone: images without a mask, by split.
        masks_alone: masks without an image.
        doubles: images of the name of another that is taken.
    """

    root: Path
    images: Side
    masks: Side
    pairs: dict[str, list[Pair]]
    has_splits: bool
    images_alone: dict[str, list[Path]]
    masks_alone: list[Path]
    doubles: list[Path]


def find_layout(root: Path) -> Layout:
    """The layout with the most pairs of an image and a mask.

    Raises:
        InputError: for what is no folder or cannot be listed; where no image has a mask, it says what was looked for.
    """
    if not os.path.isdir(root):  # noqa: PTH112 (Path's own raises for a path that is too long)
        fault = "is no folder" if os.path.lexists(root) else "does not exist"
        raise InputError(f"FOLDER {shown(root)}: {fault}; give the folder that holds the pictures and their masks")
    try:
        files = picture_files(root)
        is_empty = not any(root.iterdir())
    except OSError as error:
        raise InputError(f"{shown(root)}: cannot be listed: {error.strerror or in_one_line(error)}") from None
    if is_empty:
        raise InputError(f"{shown(root)}: is empty; give the folder that holds the pictures and their masks")
    for groups in (groups_by_words(root, files), groups_by_folder(root, files)):
        best = _best(list(_candidates(groups)))
        if best is not None:
            return _layout(root, best.images, best.masks)
    raise InputError(_nothing(root, files))


@dataclass(frozen=True)
class _Candidate:
    images: Side
    masks: Side
    n_pairs: int


def _candidates(groups: Sequence[FileGroup]) -> Iterator[_Candidate]:
    """Every way to read groups as images and masks by which one image at least has a mask."""
    for images in groups:
        for masks in groups:
            if images is not masks and (images.role == "mask" or masks.role == "image"):
                continue
            for image_side, mask_side in _sides(images, masks):
                if n_pairs := _count(image_side, mask_side):
                    yield _Candidate(image_side, mask_side, n_pairs)


def _sides(images: FileGroup, masks: FileGroup) -> Iterator[tuple[Side, Side]]:
    image_tails, mask_tails = _tails(images, IMAGE_TAILS), _tails(masks, MASK_TAILS)
    for image_tail in image_tails:
        for mask_tail in mask_tails:
            if images is not masks or image_tail != mask_tail:
                yield Side(images, image_tail, PICTURES), Side(masks, mask_tail, MASKS)
    if images is masks:
        # Of one name side by side: photographs, and what keeps classes exactly.
        yield Side(images, "", _LOSSY), Side(masks, "", (".png",))


def _tails(group: FileGroup, tails: Sequence[str]) -> list[str]:
    stems = [stem for stems in group.files.values() for stem in stems]
    return [*(tail for tail in tails if any(stem.endswith(tail) for stem in stems)), ""]


def _count(images: Side, masks: Side) -> int:
    splits = images.group.files.keys() & masks.group.files.keys()
    return sum(len(images.files(split).keys() & masks.files(split).keys()) for split in splits)


def _rank(candidate: _Candidate) -> tuple[int | bool, ...]:
    """The more pairs the better; then by what the names say."""
    images, masks = candidate.images, candidate.masks
    tail = MASK_TAILS.index(masks.tail) if masks.tail else len(MASK_TAILS)
    return (
        candidate.n_pairs,
        not is_poor(f"{masks.group.pattern}/{masks.tail}"),
        masks.group.role == "mask",
        images.group.role == "image",
        bool(images.tail),
        -tail,
    )


def _best(candidates: Sequence[_Candidate]) -> _Candidate | None:
    """The candidate of the highest rank; of several, one whose images look like images: files are read for that."""
    if not candidates:
        return None
    ranks = [_rank(candidate) for candidate in candidates]
    best = [candidate for candidate, rank in zip(candidates, ranks, strict=True) if rank == max(ranks)]
    return best[0] if len(best) == 1 else max(best, key=lambda candidate: _is_photograph(candidate.images))


def _is_photograph(images: Side) -> bool:
    """Whether the first file is one of many levels: of two folders whose names say nothing, that holds the images."""
    from autorf.data.arrays import read_numbers
    from autorf.data.picture_spec import Pictures

    first = next(iter(images.group.all_files))
    if first.suffix.lower() in _LOSSY:
        return True
    try:
        return len(np.unique(read_numbers(first, Pictures(frame=0)))) > 64
    except InputError:
        return False


def _layout(root: Path, images: Side, masks: Side) -> Layout:
    pairs: dict[str, list[Pair]] = {}
    images_alone: dict[str, list[Path]] = {}
    masks_alone: list[Path] = []
    doubles: list[Path] = []
    splits = sorted(images.group.files.keys() | masks.group.files.keys(), key=str)
    for split in splits:
        image_files, mask_files = images.files(split), masks.files(split)
        if images.group is masks.group:
            image_files = _without_masks(image_files, mask_files)
        else:
            doubles += images.group.others(split, images.suffixes, image_files.values())
        common = sorted(image_files.keys() & mask_files.keys())
        name = split or "train"
        if common:
            pairs.setdefault(name, []).extend(Pair(image_files[stem], mask_files[stem]) for stem in common)
        images_alone.setdefault(name, []).extend(file for stem, file in image_files.items() if stem not in mask_files)
        masks_alone += [file for stem, file in mask_files.items() if stem not in image_files]
    has_splits = "train" in pairs and None not in splits
    if not has_splits:
        # What only tests, or lies beside the splits' folders, is as good to train on as any.
        pairs = {"train": sorted(pair for members in pairs.values() for pair in members)}
    return Layout(root, images, masks, pairs, has_splits, images_alone, masks_alone, doubles)


def _without_masks(images: dict[str, Path], masks: dict[str, Path]) -> dict[str, Path]:
    """The images of a folder that holds the masks too: what ends like a mask of any kind is none."""
    taken = set(masks.values())
    return {
        stem: file
        for stem, file in images.items()
        if file not in taken and not any(file.stem.endswith(tail) for tail in MASK_TAILS if len(tail) > 2)
    }


def _nothing(root: Path, files: Sequence[Path]) -> str:
    if not files:
        return f"{shown(root, 80)}: holds no picture ({', '.join(PICTURES)}), here or in folders below"
    lossy = [file for group in groups_by_words(root, files) if group.role == "mask" for file in group.all_files]
    if lossy and all(file.suffix.lower() in _LOSSY for file in lossy):
        return f"{shown(lossy[0])}: masks of this kind keep no exact classes; save masks as PNG, TIFF or .npy"
    example = shown(files[0].relative_to(root), 40)
    return f"{shown(root, 80)}: none of {len(files)} pictures ({example}) has a mask; looked for {LOOKED_FOR}"
