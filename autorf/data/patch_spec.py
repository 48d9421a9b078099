"""What a study file may say about pictures that are files: patches of them, and where they are kept decoded.

Light to import, without torch.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from autorf.data.label_groups import Members, numbered
from autorf.specification import ImageSize, Number, PositiveInt, Specification

CacheGb = Annotated[Number, Field(ge=0)]
"""How many GB (10^9 bytes) decoded pictures may take, see :mod:`autorf.data.picture_cache`."""


def _of_share(value: object) -> object:
    return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class RarePatches(Specification):
    """Patches around a pixel of a class that is drawn first, so that rare classes are seen as often as others.

    The idea is that of nnU-Net's oversampling (Isensee et al., *nnU-Net*, Nature Methods 2021).

    Attributes:
        share: of all patches, from 0 to 1.
        classes: among which is drawn, by name or number; those that a picture does not have are left out. None given
            means all that it has.
    """

    share: Annotated[Number, Field(gt=0, le=1)]
    classes: Members = ()


class Patches(Specification):
    """Training on random parts of pictures at their full resolution.

    Attributes:
        size: height and width in pixels of a patch; no picture that is trained on or validates may be smaller.
        per_image: how many patches of every picture an epoch has.
        rare: a share of the patches is centred on a pixel of a class that is drawn first: a number, or ``share`` and
            ``classes``. None draws every place alike.
    """

    size: ImageSize
    per_image: Annotated[PositiveInt, Field(le=4096)] = 1
    rare: Annotated[RarePatches | None, BeforeValidator(_of_share)] = None

    def rare_classes(self, class_names: Sequence[str]) -> tuple[int, ...]:
        """Those of ``rare`` by number; none for all.

        Raises:
            ValueError: naming one that is no class.
        """
        return numbered(() if self.rare is None else self.rare.classes, class_names, "patches.rare.classes")


class PictureFiles(Specification):
    """The base of data sets whose pictures are files.

    Attributes:
        patches: train on random parts of the pictures at their full resolution, ``{size: [512, 512], per_image: 4}``,
            instead of whole pictures that are resized; ``image_size`` is then their size, and need not be given.
            Validation and test run over whole pictures in tiles, and are scored at the masks' own size.
        cache_gb: decoded pictures are kept below the root of all studies, for all trials and workers of a machine, up
            to so many GB (10^9 bytes) for all studies together; a data set that takes more is read from its files. 0
            keeps none.
    """

    patches: Patches | None = None
    cache_gb: CacheGb = 32.0

    @model_validator(mode="before")
    @classmethod
    def _sized_by_patches(cls, values: Any) -> Any:
        """Fill in what patches say of the sizes of images and of the scale of scores."""
        if not isinstance(values, Mapping) or values.get("patches") is None:
            return values
        try:
            size = Patches.model_validate(values["patches"]).size
        except ValidationError:
            # The field itself says what is wrong; that no size follows from it is no second mistake.
            return {"image_size": (1, 1), **values}
        return {"image_size": size, "score_at": "mask", **values}

    @model_validator(mode="after")
    def _check_patches(self) -> Self:
        if self.patches is None:
            return self
        size = list(self.patches.size)
        said: Any = self
        if said.image_size != self.patches.size:
            raise ValueError(f"image_size: with patches it is their size, {size}; leave image_size out, as an axis too")
        if getattr(said, "fit", "resize") != "resize":
            raise ValueError(
                f"fit: {said.fit} cuts pictures to image_size, and patches are cut out of whole ones; leave fit out"
            )
        if said.augmentation.crop is not None:
            raise ValueError(
                f"augmentation.crop: patches of {size} are random crops already; leave augmentation.crop out, or give "
                "its size as patches.size"
            )
        if getattr(said, "landmarks", None) is not None:
            raise ValueError("landmarks: faces are seen whole; leave patches out, or landmarks and align")
        if said.score_at != "mask":
            raise ValueError(
                f"score_at: {said.score_at}: with patches pictures keep their scale, and are scored at the masks' own "
                "size; leave score_at out"
            )
        return self
