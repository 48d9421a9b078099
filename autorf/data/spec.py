"""What a study file may say about its data. Light to import: nothing here loads torch."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from autorf.data.declared_classes import DeclaredClasses
from autorf.data.fold_spec import Foldable
from autorf.data.landmark_spec import WithLandmarks
from autorf.data.mask_table import IGNORED, Colours, MaskTable, MaskValue, Rgb, Values, ordered
from autorf.data.patch_spec import PictureFiles
from autorf.data.picture_spec import Pictures
from autorf.specification import ImageSize, Number, PositiveFloat, PositiveInt, Specification, WholeNumber

SMALLEST_DIGIT = 8
"""Pixels: the side of the bundled digits, which are never drawn smaller."""

ScoreAt = Literal["training", "mask"]
"""The scale at which predictions are scored: that of the training images, or that of the masks as they are stored."""

DigestGb = Annotated[Number, Field(ge=0)]

Half = Literal["a", "b"]
"""Which half of the training images; the two share none."""


Share = Annotated[Number, Field(ge=0, le=1)]


class Colour(Specification):
    """Random changes of a picture's colours, each drawn anew for every image, in an order that is drawn too.

    Attributes:
        brightness: by at most this share lighter or darker.
        contrast: by at most this share more or less.
        saturation: by at most this share more or less colour.
        hue: by at most this share of the colour circle, up to 0.5.
    """

    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[Number, Field(ge=0, le=0.5)] = 0.0


class Elastic(Specification):
    """A random smooth shift of every pixel.

    Paper: Simard, Steinkraus, Platt, *Best practices for convolutional neural networks*, ICDAR 2003.

    Attributes:
        alpha: strength in pixels: what a shift is at most before it is smoothed; 0 for none.
        sigma: of the smoothing, in pixels: a large one shifts large parts alike.
    """

    alpha: Annotated[Number, Field(ge=0)] = 0.0
    sigma: Annotated[Number, Field(gt=0, le=50)] = 5.0


class Augmentation(Specification):
    """Random changes of a training image and its mask together; all off by default.

    They are made in this order: elastic, rotation, scale, crop, flips, colour, blur. What a change leaves empty is
    filled with the mean colour and ignored by loss and metrics; masks take the nearest pixel.

    Attributes:
        flip: mirror left and right in half of the draws.
        flip_vertical: mirror top and bottom in half of the draws.
        rotation: by an angle of at most so many degrees to either side.
        scale: ``[low, high]``, the range of a random zoom.
        crop: ``[height, width]`` of a random crop in pixels; None for the whole image size.
        colour: of the image alone; for images of three channels of bytes.
        blur: ``[low, high]`` of a Gaussian blur's deviation in pixels, of the image alone, in half of the draws; None
            for none.
        elastic: a smooth shift of every pixel.
    """

    flip: bool = False
    flip_vertical: bool = False
    rotation: Annotated[Number, Field(ge=0, le=180)] = 0.0
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    crop: ImageSize | None = None
    colour: Colour = Colour()
    blur: tuple[PositiveFloat, PositiveFloat] | None = None
    elastic: Elastic = Elastic()

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.scale
        if not 0.1 <= low <= high <= 10:
            raise ValueError(f"scale must be [low, high] with 0.1 <= low <= high <= 10, got [{low:g}, {high:g}]")
        if self.blur is not None and not self.blur[0] <= self.blur[1] <= 20:
            low, high = self.blur
            raise ValueError(f"blur must be [low, high] with low <= high <= 20, got [{low:g}, {high:g}]")
        return self

    def fills(self, image_size: tuple[int, int]) -> bool:
        """Whether a training image of ``image_size`` (height, width) may need filling at its border."""
        height, width = self.crop or image_size
        if self.rotation or self.elastic.alpha:
            return True
        return self.scale[0] * image_size[0] < height or self.scale[0] * image_size[1] < width

    @property
    def is_identity(self) -> bool:
        """Whether nothing would change."""
        return self == Augmentation(elastic=Elastic(sigma=self.elastic.sigma))


def _listed(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


class DigitsData(Specification):
    """Handwritten digits (UCI, bundled with scikit-learn) of a chosen size on a textured canvas; no download.

    Class 0 is background, class ``d + 1`` is digit ``d``. Only the strokes are foreground, so that the class of a pixel
    is told by its digit as a whole: the right receptive field is about ``object_size``. No two splits share a digit.

    Attributes:
        image_size: height and width of the images in pixels.
        canvas: height and width at which the scenes are drawn, and the size of their masks; they are then resized to
            ``image_size``, digits and all, so that one scene can be had at several sizes. None draws at ``image_size``.
        object_size: largest side of the digits in pixels of the canvas, or a list of them that are mixed in every
            image; at least 8.
        size_jitter: by how much of its side a digit may be smaller.
        noise: standard deviation of the canvas's pixel noise; black to white is 1.
        texture: standard deviation of the canvas; black to white is 1.
        n_train: number of training images.
        n_val: number of validation images.
        n_test: number of test images; 0 for none.
        seed: of everything that is drawn; the same seed gives the same images.
        augmentation: of the training split.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
    """

    name: Literal["digits"] = "digits"
    image_size: ImageSize = (96, 96)
    canvas: ImageSize | None = None
    object_size: Annotated[
        tuple[Annotated[WholeNumber, Field(ge=SMALLEST_DIGIT)], ...], BeforeValidator(_listed), Field(min_length=1)
    ] = (32,)
    size_jitter: Annotated[Number, Field(ge=0, le=0.5)] = 0.1
    noise: Annotated[Number, Field(ge=0, le=1)] = 0.05
    texture: Annotated[Number, Field(ge=0, le=1)] = 0.05
    n_train: PositiveInt = 1200
    n_val: PositiveInt = 200
    n_test: Annotated[WholeNumber, Field(ge=0)] = 200
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**31)] = 0
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        limit, place = min(self.drawn_size), "image" if self.canvas is None else "canvas"
        if max(self.object_size) > limit:
            raise ValueError(f"object_size must be at most the {place}'s smaller side, {limit}")
        return self

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Height and width in pixels at which scenes are drawn: that of the masks."""
        return self.canvas or self.image_size


class FolderData(PictureFiles, DeclaredClasses, Foldable, WithLandmarks):
    """Images and masks of your own.

    Layout: ``root/train/images``, ``root/train/masks``, likewise ``val`` and, where there is one, ``test``. Without
    ``val``, or with just ``root/images`` and ``root/masks``, ``val_fraction`` of the training images validate. An image
    and its mask have the same stem. Masks are PNG (8 or 16 bits, grey or palette), TIFF or ``.npy`` files whose pixel
    values are the classes, or what ``values`` or ``colors`` say.

    Attributes:
        root: the folder.
        classes: how many classes there are, or their names, class 0 first.
        image_size: height and width in pixels that everything is brought to.
        fit: ``resize`` stretches to ``image_size``; ``crop`` cuts it from the middle, scale kept.
        ignore_index: a mask value that loss and metrics leave out.
        channels: of images whose numbers are read as their files store them: PNG of 8 or 16 bits, TIFF of 8 or 16 bits
            or float32, ``.npy``; channels first or last, of one kind in all files. 16 bits count from 0 to 1. None for
            pictures of red, green and blue, 8 bits each.
        normalise: ``imagenet``: ImageNet's mean and deviation, for red, green and blue; ``training``: those of the
            training split, channel by channel; ``none``: numbers as they are, bytes from 0 to 1. None: ``imagenet``
            for bytes of three channels, else ``training``.
        values: the mask value of every class by its name, where they are not 0 and up: ``{road: 7, car: 26}``, or
            ``{background: 0, cell: 255}``.
        colors: red, green and blue of every class by its name, where masks are colour pictures.
        ignore_values: with ``values``, those that loss and metrics leave out.
        ignore_colors: with ``colors``, those that loss and metrics leave out.
        val_fraction: share of the training images that validate where there is no ``val``; chosen by file name.
        folds: cross-validation: into how many parts of about equal size the training images are drawn; a trial trains
            on all but one, which validates it, and under each seed every image validates once. For data without a
            validation split; the test split is left alone. None validates on one split.
        fold: the part that validates; a search gives it to every trial, and no study file does.
        group_by: with ``folds``, which images stay together, such as all of one patient: ``folder``, those of one
            folder; or a regular expression found in an image's path below ``root``, whose first group names them, such
            as ``(patient[0-9]+)_``. None draws every image by itself.
        train, val, test: names of the splits' folders; or lists of files (``.txt``), below ``root``, of a line an
            image: its stem, its path below ``root``, or its path and its mask's.
        images, masks: names of the folders in each split, below ``root`` of a split that is a list. Or patterns with
            ``{stem}`` for what an image and its mask have in common, folders too, and ``{split}`` for the split's name
            where it is not the first folder: ``gtFine/{split}/{stem}_labelIds.png``, ``{split}annot``.
        groups: classes whose F1 is also reported merged, as the objective ``f1_NAME``, by the group's name; members by
            name or number. ``overall`` is what face parsing reports first: the union of the inner parts.
        left_out: classes that mIoU and the mean F1 leave out, such as hair in face parsing; by name or number.
        augmentation: of the training split.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
        pictures: how picture files are read.
        digest_gb: the images are known by content up to so many GB (10^9 bytes) in all; beyond that by path, size, time
            and first and last 64 kB. Validation masks always are by content.
    """

    name: Literal["folder"] = "folder"
    root: Path
    image_size: ImageSize
    fit: Literal["resize", "crop"] = "resize"
    ignore_index: Annotated[WholeNumber, Field(ge=0, le=255)] | None = None
    channels: Annotated[PositiveInt, Field(le=4096)] | None = None
    normalise: Literal["imagenet", "training", "none"] | None = None
    values: Values = None
    colors: Colours = None
    ignore_values: tuple[MaskValue, ...] = ()
    ignore_colors: tuple[Rgb, ...] = ()
    val_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2
    train: str = "train"
    val: str = "val"
    test: str = "test"
    images: str = "images"
    masks: str = "masks"
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None
    pictures: Pictures = Pictures()
    digest_gb: DigestGb = 2.0

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if self.fit == "crop" and self.score_at == "mask":
            raise ValueError(
                "score_at: mask is for fit: resize; fit: crop keeps the masks' scale and trains on a part of them, so "
                "it is scored at that scale already"
            )
        return self

    @model_validator(mode="after")
    def _check_rare_classes(self) -> Self:
        if self.patches is not None:
            self.patches.rare_classes(self.class_names)
        return self

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if self.channels not in (None, 3) and self.normalise == "imagenet":
            raise ValueError(f"normalise: imagenet is for red, green and blue, not for {self.channels} channels")
        if self.channels not in (None, 3) and self.augmentation.colour != Colour():
            raise ValueError(
                f"augmentation.colour is for red, green and blue, not for {self.channels} channels; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _check_faces(self) -> Self:
        if self.landmarks is None or not (self.landmarks.heat_map or self.align is not None):
            return self
        if self.fit != "resize":
            raise ValueError(f"fit: {self.fit}: faces are aligned or resized as a whole; leave fit out, or landmarks")
        if self.channels is not None:
            raise ValueError("channels: landmarks go with pictures of red, green and blue; leave channels or them out")
        if self.landmarks.heat_map and self.normalise not in (None, "imagenet"):
            raise ValueError(
                f"normalise: {self.normalise}: the map of landmarks goes with imagenet; leave normalise or heat_map out"
            )
        if self.align is not None and self.ignore_index not in (None, IGNORED):
            raise ValueError(
                f"ignore_index: {self.ignore_index}: what lies beside an aligned picture is ignored as {IGNORED}, so "
                "masks' own must be too; say values and ignore_values"
            )
        return self

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        if self.values is not None and self.colors is not None:
            raise ValueError("values and colors: masks hold one or the other; leave one out")
        for key, table in (("values", self.values), ("colors", self.colors)):
            ignored = getattr(self, f"ignore_{key}")
            if table is None and ignored:
                raise ValueError(f"ignore_{key}: goes with {key}; give that, or ignore_index for a class's number")
            if table is not None and self.ignore_index is not None:
                raise ValueError(f"ignore_index: with {key} say ignore_{key}")
            if table is not None and set(ordered(table, self.class_names, key)) & set(ignored):
                raise ValueError(f"ignore_{key}: names what a class has in {key}; it is one or the other")
        return self

    @property
    def has_patterns(self) -> bool:
        """Whether lists or patterns name the files, and not the usual folders."""
        lists = any(place.endswith(".txt") for place in (self.train, self.val, self.test))
        return lists or "{" in self.images or "{" in self.masks

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        for key in ("images", "masks"):
            pattern = getattr(self, key)
            if "{" in pattern.replace("{stem}", "").replace("{split}", ""):
                raise ValueError(f"{key}: {pattern!r} may hold {{stem}} and {{split}}, nothing else in braces")
            if pattern.startswith("/") or ".." in pattern.split("/"):
                raise ValueError(f"{key}: {pattern!r} is a place below data.root; give that as root")
        return self

    @property
    def mask_table(self) -> MaskTable | None:
        """What stands for the classes in masks; None where their numbers do."""
        if self.colors is not None:
            colours = ordered(self.colors, self.class_names, "colors")
            return MaskTable(colours=colours, ignored_colours=self.ignore_colors)
        if self.values is not None:
            values = ordered(self.values, self.class_names, "values")
            return MaskTable(values=values, ignored_values=self.ignore_values)
        return None

    @property
    def ignored(self) -> int | None:
        """The byte of pixels that loss and metrics leave out, those beside an aligned picture among them."""
        aligned = self.align is not None
        return IGNORED if aligned or self.ignore_values or self.ignore_colors else self.ignore_index


class CamVidData(PictureFiles):
    """CamVid's street scenes in the layout of the SegNet tutorial: 11 classes, unlabelled pixels ignored.

    Layout: ``root/train`` and ``root/trainannot``, likewise ``val`` and ``test``.
    Paper: Brostow, Fauqueur, Cipolla, "Semantic object classes in video" (2009).

    Attributes:
        root: the folder.
        image_size: height and width in pixels that everything is resized to; the originals are 360 x 480.
        augmentation: of the training split.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
        pictures: how picture files are read.
        digest_gb: the images are known by content up to so many GB (10^9 bytes) in all; beyond that by path, size, time
            and first and last 64 kB. Validation masks always are by content.
    """

    name: Literal["camvid"] = "camvid"
    root: Path
    image_size: ImageSize = (360, 480)
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None
    pictures: Pictures = Pictures()
    digest_gb: DigestGb = 2.0


class FassegData(PictureFiles, Foldable, WithLandmarks):
    """FASSEG's frontal faces: background, hair, skin, eyes, nose and mouth.

    Layout: ``root/train/images``, ``root/train/labels``, likewise ``test``; masks hold classes 0 to 5.
    Paper: Khan, Mauro, Leonardi, "Multi-class semantic segmentation of faces" (ICIP 2015).

    Attributes:
        root: the folder.
        image_size: height and width in pixels that everything is resized to; the originals are about 512 x 370.
        val_fraction: share of the training images that validate; chosen by file name.
        folds: cross-validation: into how many parts of about equal size the training images are drawn; a trial trains
            on all but one, which validates it, and under each seed every image validates once. For data without a
            validation split; the test split is left alone. None validates on one split.
        fold: the part that validates; a search gives it to every trial, and no study file does.
        group_by: with ``folds``, which images stay together, such as all of one patient: ``folder``, those of one
            folder; or a regular expression found in an image's path below ``root``, whose first group names them, such
            as ``(patient[0-9]+)_``. None draws every image by itself.
        augmentation: of the training split.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
        pictures: how picture files are read.
        digest_gb: the images are known by content up to so many GB (10^9 bytes) in all; beyond that by path, size, time
            and first and last 64 kB. Validation masks always are by content.
    """

    name: Literal["fasseg"] = "fasseg"
    root: Path
    image_size: ImageSize = (256, 192)
    val_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.25
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None
    pictures: Pictures = Pictures()
    digest_gb: DigestGb = 2.0
