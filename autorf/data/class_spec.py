"""What a study file may say about pictures with one class each. Light to import: nothing here loads torch."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from autorf.data.fold_spec import FOLDER, Foldable
from autorf.data.picture_spec import Pictures
from autorf.data.spec import SMALLEST_DIGIT, Augmentation, Colour, DigestGb, Half, Share
from autorf.specification import ImageSize, Number, PositiveFloat, PositiveInt, Several, Specification, WholeNumber

SHORTER_SHARE = 0.875
"""Of the shorter side of a picture, what the usual crop keeps: 224 of 256, 448 of 512."""

MOST_CLASSES = 32_767
"""The numbers of classes are kept in two bytes."""

DIGITS = tuple(str(digit) for digit in range(10))
"""The classes of ``digit_classes``."""


class PictureAugmentation(Specification):
    """Random changes of a training picture; all off by default.

    They are made in this order: resized crop, rotation, flips, colour, blur.

    Attributes:
        resized_crop: ``[low, high]``: a random part of the picture, of this share of its area, brought to the image
            size, such as ``[0.08, 1]`` as networks for ImageNet are trained (Szegedy et al., *Going deeper with
            convolutions*, CVPR 2015); None cuts the middle, as in validation.
        aspect: ``[low, high]``: width over height of such parts.
        rotation: by an angle of at most so many degrees to either side.
        flip: mirror left and right in half of the draws.
        flip_vertical: mirror top and bottom in half of the draws.
        colour: brightness, contrast, saturation and hue.
        blur: ``[low, high]`` of a Gaussian blur's deviation in pixels, in half of the draws; None for none.
    """

    resized_crop: tuple[PositiveFloat, PositiveFloat] | None = None
    aspect: tuple[PositiveFloat, PositiveFloat] = (3 / 4, 4 / 3)
    rotation: Annotated[Number, Field(ge=0, le=180)] = 0.0
    flip: bool = False
    flip_vertical: bool = False
    colour: Colour = Colour()
    blur: tuple[PositiveFloat, PositiveFloat] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.resized_crop is not None and not self.resized_crop[0] <= self.resized_crop[1] <= 1:
            raise ValueError("resized_crop must be [low, high], shares of the area with 0 < low <= high <= 1")
        if not 0.1 <= self.aspect[0] <= self.aspect[1] <= 10:
            raise ValueError("aspect must be [low, high] with 0.1 <= low <= high <= 10")
        # Its checks and changes are those of segmentation.
        assert self.of_image is not None
        return self

    @property
    def of_image(self) -> Augmentation:
        """The changes that leave the picture's size as it is."""
        return Augmentation(
            rotation=self.rotation,
            flip=self.flip,
            flip_vertical=self.flip_vertical,
            colour=self.colour,
            blur=self.blur,
        )

    crop: ClassVar[None] = None
    """Parts of a picture are brought to the image size."""

    def fills(self, image_size: tuple[int, int]) -> bool:
        """Whether a mask may need filling at its border: a class has none."""
        return False

    @property
    def is_identity(self) -> bool:
        """Whether nothing would change."""
        return self.resized_crop is None and self.of_image.is_identity


class ClassData(Specification):
    """What all data sets have whose pictures have one class each.

    Attributes:
        image_size: height and width in pixels that every picture is brought to.
        augmentation: of the training split.
        half: train on one half of the training pictures, ``a`` or ``b``, drawn at random once and for all; None for
            all.
    """

    score_at: ClassVar[Literal["mask"]] = "mask"
    """A picture has its class at any size: scores of all image sizes can be compared."""

    image_size: ImageSize
    augmentation: PictureAugmentation = PictureAugmentation()
    half: Half | None = None


class ClassFilesData(ClassData):
    """What those have whose pictures are files.

    Attributes:
        root: the folder.
        fit: how pictures become ``image_size``. ``crop``: their shorter side is brought to ``shorter_side``, their
            shape kept, and the middle is cut out. ``resize``: they are stretched.
        shorter_side: with ``fit: crop``, pixels; None for the image size over 0.875, 256 for 224 and 512 for 448.
        pictures: how picture files are read; transparency, inks and bits beyond 8 are dropped unless it says otherwise.
        digest_gb: the pictures are known by content up to so many GB (10^9 bytes) in all; beyond that by path, size,
            time and first and last 64 kB.
    """

    root: Path
    fit: Literal["crop", "resize"] = "crop"
    shorter_side: PositiveInt | None = None
    pictures: Pictures = Pictures(extra="drop")
    digest_gb: DigestGb = 2.0

    @model_validator(mode="after")
    def _check_side(self) -> Self:
        if self.shorter_side is None:
            return self
        if self.fit == "resize":
            raise ValueError("shorter_side goes with fit: crop; fit: resize stretches pictures to image_size")
        if self.shorter_side < max(self.image_size):
            raise ValueError(
                f"shorter_side: {self.shorter_side} is less than image_size needs, {max(self.image_size)}; what is cut "
                "out lies inside"
            )
        return self

    @property
    def side(self) -> int | None:
        """The shorter side in pixels that pictures have before their middle is cut out; None where none is."""
        if self.fit == "resize":
            return None
        return self.shorter_side or max(*self.image_size, round(max(self.image_size) / SHORTER_SHARE))


class ImageFolderData(ClassFilesData, Foldable):
    """Pictures of your own, a folder a class.

    Layout: ``root/train/CLASS/*``, likewise ``val`` and, where there is one, ``test``. Without ``val``, or with just
    ``root/CLASS/*``, ``val_fraction`` of the training pictures of every class validate. Classes are numbered in the
    order of their folders' names.

    Attributes:
        classes: how many classes there are, or their folders' names, which the folders must agree with; None for all
            folders of the training split.
        val_fraction: share of the training pictures of every class that validate where there is no ``val``; chosen by
            file name.
        folds: cross-validation: into how many parts of about equal size, with all classes in about equal shares, the
            training pictures are drawn; a trial trains on all but one, which validates it, and under each seed every
            picture validates once. For data without ``val``. None validates on one split.
        fold: the part that validates; a search gives it to every trial, and no study file does.
        group_by: with ``folds``, which pictures stay together, such as all of one object: a regular expression found in
            a picture's path below ``root``, whose first group names them, such as ``(plant[0-9]+)_``. None draws every
            picture by itself.
        train, val, test: names of the splits' folders.
    """

    name: Literal["image_folder"] = "image_folder"
    classes: PositiveInt | Several[str] | None = None
    val_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2
    train: str = "train"
    val: str = "val"
    test: str = "test"

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if self.classes is not None and not isinstance(self.classes, int) and len(set(self.classes)) < 2:
            raise ValueError("classes: one class is nothing to tell apart; give two or more folders' names")
        if self.group_by == FOLDER:
            raise ValueError(
                "group_by: a folder is a class here, which one fold must not have whole; give a regular expression "
                "such as (plant[0-9]+)_"
            )
        return self


class ImageNetData(ClassFilesData):
    """ImageNet's classification, ILSVRC 2012.

    Layout: ``root/train/SYNSET/*.JPEG``, and ``root/val`` in folders of synsets, or flat as in its archive; the truth
    is then taken from ``ILSVRC2012_devkit_t12/data`` or ``LOC_val_solution.csv``. ``root`` may also be Kaggle's folder
    of ``ILSVRC/Data/CLS-LOC``. Names of classes are those of ``LOC_synset_mapping.txt`` or of the devkit, else the
    synsets. A part of ImageNet's classes is read alike, with ``classes``.
    Paper: Russakovsky et al., "ImageNet large scale visual recognition challenge" (IJCV 2015).

    Attributes:
        classes: how many folders of synsets there are.
    """

    name: Literal["imagenet"] = "imagenet"
    image_size: ImageSize = (224, 224)
    classes: Annotated[WholeNumber, Field(ge=2, le=MOST_CLASSES)] = 1000


Protocol = Literal["official", "held_out"]
"""What validates: the official test pictures, as papers report them, or a part that is held out for it."""


class StanfordCarsData(ClassFilesData):
    """Stanford Cars: 196 makes, models and years.

    Layout: ``root/cars_train``, ``root/cars_test`` and ``root/devkit`` with ``cars_meta.mat``,
    ``cars_train_annos.mat`` and ``cars_test_annos_withlabels.mat``, which may lie in ``root`` too.
    Paper: Krause et al., "3D object representations for fine-grained categorization" (2013).

    Attributes:
        protocol: ``official`` trains on the training pictures and validates on the test pictures, as papers report
            them; nothing is held out then. ``held_out`` validates on ``val_fraction`` of the training pictures and
            leaves the test pictures to ``autorf retrain``.
        val_fraction: with ``held_out``, of every class; chosen by file name.
    """

    name: Literal["stanford_cars"] = "stanford_cars"
    image_size: ImageSize = (448, 448)
    protocol: Protocol = "official"
    val_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2


class AircraftData(ClassFilesData):
    """FGVC-Aircraft: 100 variants; the banner of 20 pixels at the bottom of every picture is cut off.

    Layout, that of ``fgvc-aircraft-2013b``: ``root/data/images/NUMBER.jpg``, ``root/data/variants.txt``, and the lists
    ``root/data/images_variant_{train,val,trainval,test}.txt``.
    Paper: Maji et al., "Fine-grained visual classification of aircraft" (2013).

    Attributes:
        protocol: ``official`` trains on ``trainval`` and validates on ``test``, as papers report them; nothing is held
            out then. ``held_out`` trains on ``train``, validates on ``val`` and leaves ``test`` to ``autorf retrain``.
    """

    name: Literal["fgvc_aircraft"] = "fgvc_aircraft"
    image_size: ImageSize = (448, 448)
    protocol: Protocol = "official"


def _listed(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


class DigitClassesData(ClassData):
    """Handwritten digits (UCI, bundled with scikit-learn) at several sizes on a textured canvas; no download.

    All digits of a picture show the same one of the ten, which is its class. No two splits share a digit.

    Attributes:
        image_size: height and width of the pictures in pixels.
        canvas: height and width at which the pictures are drawn; they are then resized to ``image_size``, so that one
            picture can be had at several sizes. None draws at ``image_size``.
        object_size: sides of the digits in pixels of the canvas, of which every digit has one at random; at least 8.
        per_image: how many digits a picture has.
        noise: standard deviation of the canvas's pixel noise; black to white is 1.
        texture: standard deviation of the canvas; black to white is 1.
        n_train: number of training pictures.
        n_val: number of validation pictures.
        n_test: number of test pictures; 0 for none.
        seed: of everything that is drawn; the same seed gives the same pictures.
    """

    name: Literal["digit_classes"] = "digit_classes"
    image_size: ImageSize = (64, 64)
    canvas: ImageSize | None = None
    object_size: Annotated[
        tuple[Annotated[WholeNumber, Field(ge=SMALLEST_DIGIT)], ...], BeforeValidator(_listed), Field(min_length=1)
    ] = (12, 24, 48)
    per_image: Annotated[PositiveInt, Field(le=64)] = 1
    noise: Share = 0.05
    texture: Share = 0.05
    n_train: PositiveInt = 1200
    n_val: PositiveInt = 400
    n_test: Annotated[WholeNumber, Field(ge=0)] = 400
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        limit, place = min(self.drawn_size), "image" if self.canvas is None else "canvas"
        if max(self.object_size) > limit:
            raise ValueError(f"object_size must be at most the {place}'s smaller side, {limit}")
        if self.augmentation.resized_crop is not None:
            raise ValueError("augmentation.resized_crop: would cut digits off their pictures; leave it out")
        return self

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Height and width in pixels at which pictures are drawn."""
        return self.canvas or self.image_size
