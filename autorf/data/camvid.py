"""CamVid's street scenes as the SegNet tutorial lays them out."""

from autorf.data.decoding import Decoder
from autorf.data.pairs import find_pairs, require_folder
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


def camvid_sets(spec: CamVidData) -> dict[str, SegmentationSet]:
    """The official training, validation and test splits.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    layout = f"{spec.root}/{{train,val,test}} with images and {spec.root}/{{train,val,test}}annot with masks"
    require_folder(spec.root, layout)
    pairs = {
        split: find_pairs(spec.root / split, spec.root / f"{split}annot", layout) for split in ("train", "val", "test")
    }
    return read_splits(
        pairs, Decoder(spec.image_size, len(CLASS_NAMES), IGNORE_INDEX), own_masks=spec.score_at == "mask"
    )
