"""Sets whose images have a map of landmarks as a further channel."""

from collections.abc import Mapping

from autorf.data.landmark_spec import LandmarkSpec
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.data.segmentation_set import SegmentationSet


def with_heat_map(sets: Mapping[str, SegmentationSet], landmarks: LandmarkSpec | None) -> Mapping[str, SegmentationSet]:
    """The sets, normalised for images that have a map of their landmarks where they have one."""
    if landmarks is not None and landmarks.heat_map:
        for images in sets.values():
            images.normalisation = COLOURS_AND_HEAT
    return sets


COLOURS_AND_HEAT = Normalisation((*IMAGENET.mean, 0.0), (*IMAGENET.std, sum(IMAGENET.std) / 3), colours=True)
"""The map is as large against the colours as in bytes, and 0 where it is black."""
