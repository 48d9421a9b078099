"""Which images the stages of a distillation train on."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from autorf.data import DataSpec, SegmentationSet, Splits, channels_of
from autorf.data.decoding import Decoder
from autorf.data.face_images import faces_of
from autorf.data.folder import folder_decoder, number_kind
from autorf.data.landmark_spec import WithLandmarks
from autorf.data.picture_spec import Pictures
from autorf.data.spec import FolderData
from autorf.distillation.unlabelled import folder_pictures, split_labels, without_labels
from autorf.errors import InputError
from autorf.study.distill_spec import UnlabelledSpec


class StageImages(NamedTuple):
    """What a distillation trains on.

    Attributes:
        splits: the data set; its training split holds the images that have labels.
        unlabelled: images whose labels nobody reads; None for none.
    """

    splits: Splits
    unlabelled: SegmentationSet | None


def stage_images(splits: Splits, data: DataSpec, unlabelled: UnlabelledSpec | None) -> StageImages:
    """The images of every stage.

    Raises:
        InputError: where there are no unlabelled pictures of the kind that is asked for.
    """
    if unlabelled is None:
        return StageImages(splits, None)
    if unlabelled.labelled is not None:
        labelled, others = split_labels(splits.train, unlabelled.labelled)
        return StageImages(replace(splits, train=labelled), others)
    if unlabelled.split is not None:
        if splits.test is None:
            raise InputError(
                f"distill.unlabelled.split: no unlabelled pictures: the data set {data.name} has no test split with "
                "labels; give a folder of pictures"
            )
        return StageImages(splits, without_labels(splits.test))
    assert unlabelled.folder is not None, "one of the three is given"
    decoder = _decoder(splits, data, unlabelled.landmarks)
    return StageImages(splits, folder_pictures(unlabelled.folder, decoder, splits.train))


def _decoder(splits: Splits, data: DataSpec, landmarks: Path | None) -> Decoder:
    """What reads unlabelled files as the data set's own images are read."""
    if isinstance(data, WithLandmarks) and data.landmarks is not None and (data.align or data.landmarks.heat_map):
        if landmarks is None:
            raise InputError(
                "distill.unlabelled.landmarks: the data set's pictures are prepared by their landmarks; give those of "
                "the folder's pictures too"
            )
        faces = faces_of(data.landmarks.model_copy(update={"root": landmarks}), data.align)
        return Decoder(splits.image_size, splits.n_classes, pictures=data.pictures, faces=faces)
    if landmarks is not None:
        raise InputError(
            f"distill.unlabelled.landmarks: the pictures of {data.name} are not prepared by landmarks; leave them out"
        )
    if isinstance(data, FolderData):
        return replace(folder_decoder(data), kind=number_kind(data))
    if channels_of(data) != 3:
        raise InputError(
            f"distill.unlabelled.folder: pictures have 3 channels, the images of {data.name} {channels_of(data)}; give "
            "labelled, for images of the data set itself"
        )
    pictures = getattr(data, "pictures", None) or Pictures()
    return Decoder(splits.image_size, splits.n_classes, fit=getattr(data, "fit", "resize"), pictures=pictures)
