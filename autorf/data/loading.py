"""From what a study file says to checked splits."""

from autorf.data.digits import CLASS_NAMES, digit_sets
from autorf.data.segmentation_set import FILL_INDEX, SegmentationSet, Splits
from autorf.data.spec import DigitsData


def load_splits(spec: DigitsData, seed: int) -> Splits:
    """Read and check the data set that ``spec`` describes."""
    sets = digit_sets(spec)
    return _assemble(spec, sets, CLASS_NAMES, seed)


def _assemble(spec: DigitsData, sets: dict[str, SegmentationSet], class_names: tuple[str, ...], seed: int) -> Splits:
    ignore = FILL_INDEX if spec.augmentation.fills(spec.image_size) else None
    return Splits(
        train=sets["train"].with_augmentation(spec.augmentation, seed),
        val=sets["val"],
        test=sets.get("test"),
        n_classes=len(class_names),
        ignore_index=ignore,
        class_names=class_names,
        image_size=spec.image_size,
    )
