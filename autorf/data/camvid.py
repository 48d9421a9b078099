"""CamVid's street scenes as the SegNet tutorial lays them out."""

from autorf.data.decoding import Decoder, Fit
from autorf.data.names import on_disk
from autorf.data.pairs import Pair, find_pairs, require_folder
from autorf.data.picture_cache import PictureCache
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.spec import CamVidData

CLASS_NAMES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
IGNORE_INDEX = 11


def camvid_sets(spec: CamVidData, cache: PictureCache | None = None) -> dict[str, SegmentationSet]:
    """The official training, validation and test splits.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    return read_splits(camvid_pairs(spec), camvid_decoder(spec), own_masks=spec.score_at == "mask", cache=cache)


def camvid_decoder(spec: CamVidData) -> Decoder:
    """What reads the files."""
    fit: Fit = "resize" if spec.patches is None else "whole"
    return Decoder(spec.image_size, len(CLASS_NAMES), IGNORE_INDEX, fit, pictures=spec.pictures)


def camvid_pairs(spec: CamVidData) -> dict[str, list[Pair]]:
    """The files of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root, layout = on_disk(spec.root), "{train,val,test} with images and {train,val,test}annot with masks"
    require_folder(root, layout)
    splits, names = ("train", "val", "test"), spec.pictures.names
    return {split: find_pairs(root / split, root / f"{split}annot", layout, names) for split in splits}
