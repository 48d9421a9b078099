"""What a study file may say about the papers' data sets of scenes. Light to import: nothing here loads torch."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from autorf.data.mask_table import IGNORED, MaskTable
from autorf.data.patch_spec import CacheGb
from autorf.data.picture_spec import Pictures
from autorf.data.spec import Augmentation, DigestGb, Half, ScoreAt
from autorf.specification import ImageSize, Specification

_CITYSCAPES_CLASSES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label ids of Cityscapes's 19 classes, class 0 first."""

_CITYSCAPES_IDS = range(34)

ADE20K_CLASSES = 150


class _Scenes(Specification):
    """What all have.

    Attributes:
        root: the folder.
        augmentation: of the training split.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
        pictures: how picture files are read.
        digest_gb: the images are known by content up to so many GB (10^9 bytes) in all; beyond that by path, size, time
            and first and last 64 kB. Validation masks always are by content.
        cache_gb: decoded pictures are kept below the root of all studies, for all trials and workers of a machine, up
            to so many GB (10^9 bytes) for all studies together; a data set that takes more is read from its files. 0
            keeps none.
    """

    root: Path
    image_size: ImageSize
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None
    pictures: Pictures = Pictures()
    digest_gb: DigestGb = 2.0
    cache_gb: CacheGb = 32.0


class _ScenesOfManySizes(_Scenes):
    """What those have whose pictures differ in size.

    Attributes:
        fit: how pictures become ``image_size``. ``pad``: they keep their scale, and what is left right and below is
            filled with the mean colour and ignored by loss and metrics; a larger picture is shrunk until it fits, its
            shape kept. ``resize``: they are stretched.
    """

    fit: Literal["pad", "resize"] = "pad"

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if self.fit == "pad" and self.score_at == "mask":
            raise ValueError(
                "score_at: mask is for fit: resize; fit: pad keeps the masks' scale, so that it is scored at that "
                "already where image_size holds the pictures"
            )
        return self


class VocData(_ScenesOfManySizes):
    """PASCAL VOC 2012's scenes with 20 classes of things and background; the void borders of things are ignored.

    Layout, that of ``VOCdevkit/VOC2012``: ``root/JPEGImages/NAME.jpg``, ``root/SegmentationClass/NAME.png``, and the
    lists ``root/ImageSets/Segmentation/train.txt`` (1 464 images) and ``val.txt`` (1 449).
    Papers: Everingham et al., *The PASCAL visual object classes challenge: a retrospective* (2015); Hariharan et al.,
    *Semantic contours from inverse detectors* (2011).

    Attributes:
        image_size: height and width in pixels that everything is brought to; no picture is larger than 500 x 500.
        augmented: train on the augmented split, 10 582 images: on those of ``root/ImageSets/Segmentation/trainaug.txt``
            with the masks of ``root/SegmentationClassAug``, or with ``sbd`` on all images of VOC's ``train.txt`` and of
            SBD that are not in VOC's ``val.txt``.
        sbd: the folder ``benchmark_RELEASE/dataset`` of the Semantic Boundaries Dataset: ``img/NAME.jpg``,
            ``cls/NAME.mat``, ``train.txt`` and ``val.txt``. Images of VOC's ``train.txt`` keep VOC's own masks.
    """

    name: Literal["voc"] = "voc"
    image_size: ImageSize = (512, 512)
    augmented: bool = False
    sbd: Path | None = None

    @model_validator(mode="after")
    def _check_sbd(self) -> Self:
        if self.sbd is not None and not self.augmented:
            raise ValueError("sbd: is what the augmented split is read from; set augmented: true, or leave it out")
        return self


class CityscapesData(_Scenes):
    """Cityscapes's streets with fine annotations, of whose 34 label ids 19 are classes and the others ignored.

    Layout: ``root/leftImg8bit/{train,val}/CITY/NAME_leftImg8bit.png`` and ``root/gtFine/{train,val}/CITY/
    NAME_gtFine_labelIds.png``. The labels of its test split are not published, so that it has none here.
    Paper: Cordts et al., *The Cityscapes dataset for semantic urban scene understanding* (2016).

    Attributes:
        image_size: height and width in pixels that everything is resized to; the originals are 1024 x 2048.
        ids: which masks are read: ``label``, those of 34 ids that are downloaded; ``train``, those whose names end in
            ``_gtFine_labelTrainIds.png``, with 19 ids and 255, which a script of the data set's authors writes.
    """

    name: Literal["cityscapes"] = "cityscapes"
    image_size: ImageSize = (1024, 2048)
    ids: Literal["label", "train"] = "label"

    @property
    def mask_table(self) -> MaskTable:
        """What stands for the classes in masks."""
        if self.ids == "train":
            values = tuple(range(len(_CITYSCAPES_CLASSES)))
            return MaskTable(
                values=values, ignored_values=(IGNORED,), legal="labelTrainIds are 0 to 18, and 255 for the rest"
            )
        others = tuple(number for number in _CITYSCAPES_IDS if number not in _CITYSCAPES_CLASSES)
        return MaskTable(values=_CITYSCAPES_CLASSES, ignored_values=others, legal="labelIds are 0 to 33")


class Ade20kData(_ScenesOfManySizes):
    """ADE20K's scenes as the SceneParsing benchmark has them: 150 classes; pixels of others are ignored.

    Layout, that of ``ADEChallengeData2016``: ``root/images/{training,validation}/NAME.jpg`` and ``root/annotations/
    {training,validation}/NAME.png``. The labels of its test split are not published, so that it has none here.
    Paper: Zhou et al., *Scene parsing through ADE20K dataset* (2017).

    Attributes:
        image_size: height and width in pixels that everything is brought to; the smaller side of most originals is 512.
    """

    name: Literal["ade20k"] = "ade20k"
    image_size: ImageSize = (512, 512)

    @property
    def mask_table(self) -> MaskTable:
        """What stands for the classes in masks."""
        values = tuple(range(1, ADE20K_CLASSES + 1))
        return MaskTable(values=values, ignored_values=(0,), legal="1 to 150 are classes, and 0 is none of them")
