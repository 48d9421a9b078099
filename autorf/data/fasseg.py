"""FASSEG's frontal faces."""

from autorf.data.decoding import Decoder
from autorf.data.pairs import find_pairs, require_folder, split_off
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.spec import FassegData

CLASS_NAMES = ("background", "hair", "skin", "eyes", "nose", "mouth")
LABEL_GROUPS = {"overall": (3, 4, 5)}
"""The inner parts; the brows belong to the hair here."""


def fasseg_sets(spec: FassegData) -> dict[str, SegmentationSet]:
    """The official training and test splits, part of the training images set aside for validation.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    layout = f"{spec.root}/{{train,test}}/{{images,labels}}"
    require_folder(spec.root, layout)
    train, test = (
        find_pairs(spec.root / split / "images", spec.root / split / "labels", layout) for split in ("train", "test")
    )
    train, val = split_off(train, spec.val_fraction)
    return read_splits(
        {"train": train, "val": val, "test": test},
        Decoder(spec.image_size, len(CLASS_NAMES)),
        own_masks=spec.score_at == "mask",
    )
