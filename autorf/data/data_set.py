"""What every data set says of itself, and those that packages of others add. Light to import, without torch."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from autorf import plugins
from autorf.data.spec import Augmentation, DigestGb, Half, ScoreAt
from autorf.specification import ImageSize, Specification

if TYPE_CHECKING:
    from autorf.data.pairs import Pair
    from autorf.data.segmentation_set import SegmentationSet


@dataclass(frozen=True)
class Labels:
    """What the values of a data set's masks mean.

    Attributes:
        class_names: one for each class, class 0 first.
        ignore_index: the mask value that loss and metrics leave out; None for none.
        groups: classes whose F1 is also reported merged, by the name of the group.
        left_out: classes that mIoU and the mean F1 leave out.
    """

    class_names: tuple[str, ...]
    ignore_index: int | None = None
    groups: Mapping[str, tuple[int, ...]] | None = None
    left_out: tuple[int, ...] = ()


class DataSet(Specification):
    """The base of data sets that packages of others add (entry points ``autorf.data``).

    A subclass gives its ``name`` as a literal, adds the fields that a study file may set, and reads its images. One
    that can give the masks of its validation and test splits at their own size says so by ``own_masks = True``, and
    does so where ``score_at`` is ``mask``.

    Attributes:
        name: by which a study file asks for it.
        image_size: height and width in pixels that every image is brought to.
        augmentation: of the training split.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
        digest_gb: the files that :meth:`files` names are known by content up to so many GB (10^9 bytes) in all; beyond
            that by path, size, time and first and last 64 kB.
    """

    own_masks: ClassVar[bool] = False

    name: str
    image_size: ImageSize
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None
    digest_gb: DigestGb = 2.0

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if self.score_at == "mask" and not self.own_masks:
            raise ValueError(
                f"score_at: the data set {self.name} has its masks at image_size only; leave it at training"
            )
        return self

    @abstractmethod
    def labels(self) -> Labels:
        """The classes, without reading an image."""

    @abstractmethod
    def sets(self) -> "Mapping[str, SegmentationSet]":
        """The splits ``train`` and ``val``, and ``test`` where there is one, each of :attr:`image_size`.

        Where ``score_at`` is ``mask``, the masks of ``val`` and ``test`` are of their own size: the set's
        ``mask_sizes`` says which.

        Raises:
            InputError: one line that names the file at fault, what is wrong with it and what is legal.
        """

    def files(self) -> "Mapping[str, Sequence[Pair]]":
        """The files of every split, by which a study knows its images; none for a data set that is generated."""
        return {}


def _problem(name: str, plugin: Any) -> str | None:
    if not (isinstance(plugin, type) and issubclass(plugin, DataSet)):
        return "is no subclass of autorf.data.DataSet"
    given = plugin.model_fields["name"].default
    return None if given == name else f"calls itself {given!r} in its field name"


DATA: plugins.Registry[type[DataSet]] = plugins.Registry(
    plugins.DATA,
    "data set",
    (
        "digits",
        "folder",
        "camvid",
        "fasseg",
        "helen",
        "lfw",
        "voc",
        "cityscapes",
        "ade20k",
        "python",
        "digit_classes",
        "image_folder",
        "imagenet",
        "stanford_cars",
        "fgvc_aircraft",
        "python_classes",
    ),
    _problem,
)
"""The data sets that packages add."""
