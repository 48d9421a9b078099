"""Images and masks of the user's own."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from autorf.data.decoding import Decoder
from autorf.data.face_images import faces_of, paired
from autorf.data.folds import check_no_validation, train_and_val
from autorf.data.heat_map import with_heat_map
from autorf.data.mapped import Mapped
from autorf.data.names import on_disk
from autorf.data.normalisation import IMAGENET, Normalisation, normalisation_of, unchanged
from autorf.data.pairs import ARRAY_SUFFIXES, IMAGE_SUFFIXES, Pair, find_pairs, require_folder
from autorf.data.patterns import check_disjoint, has_files, split_pairs
from autorf.data.picture_cache import PictureCache
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.spec import FolderData


def folder_sets(spec: FolderData, cache: PictureCache | None = None) -> dict[str, SegmentationSet]:
    """The splits under ``spec.root``; decoded pictures are kept in ``cache``.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    sets = read_splits(folder_pairs(spec), folder_decoder(spec), own_masks=spec.score_at == "mask", cache=cache)
    normalisation = _normalisation(spec, sets["train"])
    for images in sets.values():
        images.normalisation = normalisation
    return dict(with_heat_map(sets, spec.landmarks))


def folder_decoder(spec: FolderData) -> Decoder:
    """What reads the files, whatever kind of numbers they hold."""
    return Decoder(
        spec.image_size,
        len(spec.class_names),
        spec.ignored,
        spec.fit if spec.patches is None else "whole",
        pictures=spec.pictures,
        channels=spec.channels,
        table=spec.mask_table,
        faces=faces_of(spec.landmarks, spec.align),
        ignored_beside_only=spec.align is not None and spec.ignore_index is None,
    )


def number_kind(spec: FolderData) -> str | None:
    """The kind of numbers that the first training image stores; None where images are read as pictures.

    Raises:
        InputError: when it cannot be read.
    """
    if spec.channels is None:
        return None
    return folder_decoder(spec).knowing_kind(folder_pairs(spec)["train"][0].image).kind


def _normalisation(spec: FolderData, train: SegmentationSet) -> Normalisation:
    channels, rule = spec.channels or 3, spec.normalise
    if rule is None:
        rule = "imagenet" if channels == 3 and train.source.read([0])[0].dtype == torch.uint8 else "training"
    if rule == "training" and isinstance(train.source, Mapped):
        # A pass over all pixels, which the next trial need not make.
        kept = train.source.remembered("normalisation", lambda: _plain(normalisation_of(train.source, channels)))
        return Normalisation(tuple(kept["mean"]), tuple(kept["std"]))
    if rule == "training":
        return normalisation_of(train.source, channels)
    return IMAGENET if rule == "imagenet" else unchanged(channels)


def _plain(normalisation: Normalisation) -> dict[str, list[float]]:
    return {"mean": list(normalisation.mean), "std": list(normalisation.std)}


def folder_pairs(spec: FolderData) -> dict[str, list[Pair]]:
    """The files of every split, with those of their landmarks where something is made of them.

    Raises:
        InputError: when the layout is not as it must be, or a picture has no landmarks.
    """
    faces = faces_of(spec.landmarks, spec.align)
    return {split: [paired(pair, faces) for pair in pairs] for split, pairs in _plain_pairs(spec).items()}


def _plain_pairs(spec: FolderData) -> dict[str, list[Pair]]:
    root, layout, names = on_disk(spec.root), _layout(spec), spec.pictures.names
    suffixes = IMAGE_SUFFIXES if spec.channels is None else (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
    require_folder(root, layout)
    if spec.has_patterns:
        return _pattern_pairs(spec, root, suffixes)
    flat = not _is_there(root / spec.train) and _is_there(root / spec.images)
    train_root = root if flat else root / spec.train
    pairs = {"train": find_pairs(train_root / spec.images, train_root / spec.masks, layout, names, suffixes)}
    for split, folder in (("val", spec.val), ("test", spec.test)):
        named = folder != FolderData.model_fields[split].default
        if not flat and (named or _is_there(root / folder)):
            pairs[split] = find_pairs(root / folder / spec.images, root / folder / spec.masks, layout, names, suffixes)
    return _with_val(pairs, spec, root)


def _pattern_pairs(spec: FolderData, root: Path, suffixes: Sequence[str]) -> dict[str, list[Pair]]:
    """The files of every split that lists or patterns name."""
    pairs: dict[str, list[Pair]] = {}
    for split in ("train", "val", "test"):
        place = getattr(spec, split)
        named = split == "train" or place != FolderData.model_fields[split].default
        if named or any(has_files(root, place, pattern) for pattern in (spec.images, spec.masks)):
            pairs[split] = split_pairs(root, place, spec.images, spec.masks, suffixes, spec.pictures)
    check_disjoint(pairs)
    return _with_val(pairs, spec, root)


def _with_val(pairs: dict[str, list[Pair]], spec: FolderData, root: Path) -> dict[str, list[Pair]]:
    """The splits with a validation split: their own, or a part of the training images."""
    if "val" not in pairs:
        train, val = train_and_val(pairs["train"], spec, root, spec.val_fraction, spec.pictures.names)
        return {**pairs, "train": train, "val": val}
    if spec.folds is not None:
        check_no_validation(root, spec.val, pairs)
    return pairs


def _is_there(folder: Path) -> bool:
    return os.path.isdir(on_disk(folder))  # noqa: PTH112 (Path's own raises for a name that is too long)


def _layout(spec: FolderData) -> str:
    inner = f"{{{spec.images},{spec.masks}}}"
    return f"{{{spec.train},{spec.val}}}/{inner} or {inner}"
