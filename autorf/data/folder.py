"""Images and masks of the user's own."""

import os
from pathlib import Path

from autorf.data.decoding import Decoder
from autorf.data.names import on_disk
from autorf.data.pairs import Pair, find_pairs, require_folder, split_off
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.spec import FolderData


def folder_sets(spec: FolderData) -> dict[str, SegmentationSet]:
    """The splits under ``spec.root``.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    decoder = Decoder(spec.image_size, len(spec.class_names), spec.ignore_index, spec.fit, pictures=spec.pictures)
    return read_splits(folder_pairs(spec), decoder, own_masks=spec.score_at == "mask")


def folder_pairs(spec: FolderData) -> dict[str, list[Pair]]:
    """The files of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root, layout, names = on_disk(spec.root), _layout(spec), spec.pictures.names
    require_folder(root, layout)
    flat = not _is_there(root / spec.train) and _is_there(root / spec.images)
    train_root = root if flat else root / spec.train
    pairs = {"train": find_pairs(train_root / spec.images, train_root / spec.masks, layout, names)}
    for split, folder in (("val", spec.val), ("test", spec.test)):
        named = folder != FolderData.model_fields[split].default
        if not flat and (named or _is_there(root / folder)):
            pairs[split] = find_pairs(root / folder / spec.images, root / folder / spec.masks, layout, names)
    if "val" not in pairs:
        pairs["train"], pairs["val"] = split_off(pairs["train"], spec.val_fraction, names)
    return pairs


def _is_there(folder: Path) -> bool:
    return os.path.isdir(on_disk(folder))  # noqa: PTH112 (Path's own raises for a name that is too long)


def _layout(spec: FolderData) -> str:
    inner = f"{{{spec.images},{spec.masks}}}"
    return f"{{{spec.train},{spec.val}}}/{inner} or {inner}"
