"""How pictures become what a retrained model sees, and its scores classes: kept with the model, without its study."""

from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import nn

from autorf.data import DataSpec, FolderData, Pictures, Splits, channels_of
from autorf.data.class_colours import palette
from autorf.data.class_pictures import PictureDecoder
from autorf.data.class_sets import picture_decoder
from autorf.data.class_spec import ClassFilesData
from autorf.data.decoding import Decoder, Fit
from autorf.data.folder import number_kind
from autorf.data.landmark_spec import AlignSpec, LandmarkSpec, WithLandmarks
from autorf.data.loading import labels_of
from autorf.data.mask_table import MaskTable
from autorf.data.names import shown
from autorf.data.normalisation import Normalisation
from autorf.data.patch_spec import PictureFiles
from autorf.data.python_data import OwnData
from autorf.errors import InputError
from autorf.files import write_atomically
from autorf.networks.spec import ModelSpec
from autorf.own_code.reference import is_reference
from autorf.running.runner import saved_model
from autorf.specification import ImageSize, Number, PositiveInt, Specification, WholeNumber, parse
from autorf.study.spec import StudySpec
from autorf.surgery.sidecar import read_sidecar
from autorf.surgery.storage import SIDECAR
from autorf.training.device import computed_precision, own_device

VERSION = 1
"""Of the recipe's layout; another one is refused."""

_RANGE_OF = 64
"""So many images of the user's own data set tell the range of their numbers."""

Colour = tuple[WholeNumber, WholeNumber, WholeNumber]


class Recipe(Specification):
    """All that predictions need beside weights and adaptations.

    Attributes:
        version: of this layout.
        model: the network.
        threshold: of two classes that one channel tells apart; None for a channel for every class.
        precision: that the model was trained and validated with.
        class_names: one for each class.
        ignore_index: the mask value that metrics leave out.
        groups: classes whose F1 is also reported merged, by the group's name.
        left_out: classes that mIoU and the mean F1 leave out.
        colours: red, green and blue of every class.
        channels: of the images.
        image_size: height and width in pixels of the training images, or of patches of them.
        fit: how pictures are brought to that: ``resize``; ``pad``, which keeps the scale of those that fit in; or
            ``crop`` and ``whole``, which keep it: models that were trained on the pictures' middles, and on patches.
        resampling: who resizes: ``pillow`` for files, ``torch`` for items of the user's own data set.
        score_at: the scale at which the study scores: that of the training images, or of the masks.
        mean, std: of every channel.
        is_rgb: whether the channels are red, green and blue from 0 to 1.
        value_range: the lowest and highest number in images of the user's own data set; None of bytes and of files.
        pictures: how picture files are read.
        stored: the kind of numbers that image files store; None for pictures of red, green and blue, 8 bits each.
        masks: what stands for the classes in masks; None where their numbers do.
        task: what the model was trained for.
        shorter_side: of a classification: the pixels that a picture's shorter side is brought to before its middle is
            cut out; None where pictures are stretched.
        banner: of a classification: rows in pixels at the bottom of every picture that are cut off.
        landmarks: how the landmarks of faces are shown to the network, whatever file they are in; None where nothing is
            made of any.
        align: where aligned faces have them; None where they are not aligned.
    """

    version: WholeNumber = VERSION
    model: ModelSpec
    threshold: Number | None = None
    precision: Literal["32", "bf16"] = "32"
    class_names: tuple[str, ...]
    ignore_index: WholeNumber | None = None
    groups: dict[str, tuple[WholeNumber, ...]] = {}
    left_out: tuple[WholeNumber, ...] = ()
    colours: tuple[Colour, ...]
    channels: PositiveInt
    image_size: ImageSize
    fit: Fit
    resampling: Literal["pillow", "torch"]
    score_at: Literal["training", "mask"]
    mean: tuple[Number, ...]
    std: tuple[Number, ...]
    is_rgb: bool
    value_range: tuple[Number, Number] | None = None
    pictures: Pictures
    stored: str | None = None
    masks: MaskTable | None = None
    task: Literal["segmentation", "classification"] = "segmentation"
    shorter_side: PositiveInt | None = None
    banner: WholeNumber = 0
    landmarks: LandmarkSpec | None = None
    align: AlignSpec | None = None

    @classmethod
    def of(cls, spec: StudySpec, splits: Splits) -> Self:
        """That of a study as one of its trials has it, whose images were normalised as those of ``splits``."""
        data, labels, normalisation = spec.data, labels_of(spec.data), splits.train.normalisation
        plain = {"pretrained": False, "weights": None, "encoder_weights": None, "places": None}
        return cls(
            model=spec.model.model_copy(update=plain),
            threshold=spec.training.threshold,
            # A retrain's models are trained on the machine that writes this.
            precision=computed_precision(spec.training.precision, own_device()),
            class_names=labels.class_names,
            ignore_index=labels.ignore_index,
            groups=dict(labels.groups or {}),
            left_out=labels.left_out,
            colours=_colours(data, len(labels.class_names)),
            channels=channels_of(data),
            image_size=data.image_size,
            fit=_fit(data),
            resampling="torch" if isinstance(data, OwnData) else "pillow",
            score_at=data.score_at,
            mean=normalisation.mean,
            std=normalisation.std,
            is_rgb=normalisation.colours,
            value_range=_value_range(data, splits),
            pictures=getattr(data, "pictures", Pictures()),
            stored=number_kind(data) if isinstance(data, FolderData) else None,
            masks=getattr(data, "mask_table", None),
            task=spec.task,
            **_class_pictures(data),
            **_landmarks(data),
        )

    def check_file_numbers(self, folder: Path) -> None:
        """Raise ``InputError`` where the network in ``folder`` learned from other numbers than a file's, 0 to 1."""
        if self.value_range is None or (self.value_range[0] >= 0 and self.value_range[1] <= 1):
            return
        low, high = self.value_range
        raise InputError(
            f"{shown(folder, 90)}: its model learned from images of your own data set, numbers from {low:.3g} to "
            f"{high:.3g}, and picture files are read as 0 to 1: train on such, or on bytes, or give autorf.load's "
            "network your images"
        )

    @property
    def normalisation(self) -> Normalisation:
        """Of the images."""
        return Normalisation(self.mean, self.std, self.is_rgb)

    @property
    def picture_decoder(self) -> PictureDecoder:
        """What reads the pictures of a classification, as in validation."""
        return PictureDecoder(self.image_size, self.shorter_side, self.pictures, self.banner)

    @property
    def decoder(self) -> Decoder:
        """What reads pictures and masks, as in training."""
        return Decoder(
            self.image_size,
            len(self.class_names),
            self.ignore_index,
            self.fit,
            pictures=self.pictures,
            channels=None if self.stored is None else self.channels,
            kind=self.stored,
            table=self.masks,
        )

    def write(self, folder: Path) -> None:
        """Add the recipe to the record of the model in ``folder``."""
        path = folder / SIDECAR
        own = self.model_dump(mode="json", exclude_none=True)
        sidecar = read_sidecar(path).model_copy(update={"prediction": own})
        write_atomically(path, sidecar.model_dump_json(indent=1, exclude_none=True) + "\n")

    def load(self, folder: Path) -> nn.Module:
        """The model in ``folder``, in evaluation mode.

        Raises:
            InputError: when it is not there or damaged, or its own code cannot be found.
        """
        with torch.random.fork_rng(devices=[]):
            return saved_model(folder, self.model, self.class_names, self.channels, self.threshold).eval()


def _value_range(data: DataSpec, splits: Splits) -> tuple[float, float] | None:
    """The range of the numbers in the first training images of the user's own data set; None for bytes, and files."""
    if not isinstance(data, OwnData):
        return None
    images = splits.train.stored(range(min(_RANGE_OF, len(splits.train))))[0]
    return (float(images.min()), float(images.max())) if images.is_floating_point() else None


def _class_pictures(data: DataSpec) -> dict[str, Any]:
    """How a classification's pictures are cut; training cuts them at random and validation alike."""
    if not isinstance(data, ClassFilesData):
        return {}
    decoder = picture_decoder(data)
    return {"shorter_side": decoder.side, "banner": decoder.banner}


def _landmarks(data: DataSpec) -> dict[str, Any]:
    """What a model that sees faces by their landmarks has to be told; those of its training are of no use elsewhere."""
    if not isinstance(data, WithLandmarks) or data.landmarks is None or not (data.align or data.landmarks.heat_map):
        return {}
    return {"landmarks": data.landmarks.model_copy(update={"root": Path()}), "align": data.align}


def read_recipe(folder: Path) -> Recipe:
    """The recipe of the retrained model in ``folder``.

    Raises:
        InputError: for a folder that holds no retrained model, a damaged one, or one of another version.
    """
    path = folder / SIDECAR
    sidecar = read_sidecar(path)
    values = sidecar.prediction
    if values is None:
        raise InputError(
            f"{path}: says nothing of pictures and classes (written by autorf {sidecar.autorf}, or by autorf.save); "
            "autorf predict takes what autorf retrain writes: retrain with --force"
        )
    if values.get("version") != VERSION:
        raise InputError(
            f"{path}: its prediction has version {values.get('version')!r} (written by autorf {sidecar.autorf}); this "
            f"autorf reads version {VERSION}: predict with the autorf that wrote it, or retrain with --force"
        )
    return parse(Recipe, values, f"{path}: prediction")


def needs_code(recipe: Recipe) -> bool:
    """Whether the user's own code builds the network."""
    return is_reference(recipe.model.name)


def _fit(data: DataSpec) -> Fit:
    if isinstance(data, PictureFiles) and data.patches is not None:
        return "whole"
    fit: Fit = getattr(data, "fit", "resize")
    return fit


def _colours(data: DataSpec, n_classes: int) -> tuple[Colour, ...]:
    """Those of the masks, else those of the reports, which repeat beyond 255 classes."""
    if isinstance(data, FolderData) and data.mask_table is not None and data.mask_table.colours is not None:
        return data.mask_table.colours
    table = palette()[:-1].tolist()
    return tuple(
        (table[c % len(table)][0], table[c % len(table)][1], table[c % len(table)][2]) for c in range(n_classes)
    )
