"""What a study file says about a student that learns from a teacher."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from autorf.networks.spec import ModelSpec
from autorf.specification import Number, PositiveFloat, PositiveInt, Specification, WholeNumber
from autorf.training.spec import ClassWeights, Seed

NotNegative = Annotated[Number, Field(ge=0)]


class TeacherSpec(Specification):
    """The network that the student learns from: trained first, or taken as its weights are.

    Attributes:
        model: the network; ``weights`` in it are where it begins, or all that it is.
        epochs: passes over the labelled training images in which it is trained; None to take ``model.weights`` as
            they are.
        lr: peak learning rate; None for ``training.lr``.
        seed: of its training. One teacher teaches the students of all seeds.
        classes: the classes that ``model.weights`` were trained on, in their order, to be checked against the data
            set's; None for what ``metrics.json`` beside the weights of a retrained model says, or for the data set's.
        mean: of each channel, as the images of ``model.weights`` were normalised, to be checked likewise.
        std: the deviation of each channel, likewise.
    """

    model: ModelSpec
    epochs: PositiveInt | None = None
    lr: PositiveFloat | None = None
    seed: Seed = 0
    classes: tuple[str, ...] | None = None
    mean: tuple[Number, ...] | None = None
    std: tuple[PositiveFloat, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.epochs is None and self.model.weights is None:
            raise ValueError("a teacher needs epochs to be trained for, or model.weights of one that was")
        return self


class StageSpec(Specification):
    """How long a student learns in one stage.

    Attributes:
        epochs: passes over the stage's images.
        lr: peak learning rate; None for ``training.lr``, or a tenth of it without labels, as in the paper.
    """

    epochs: PositiveInt
    lr: PositiveFloat | None = None


class UnlabelledSpec(Specification):
    """Which pictures the student learns from without labels: those of one of these.

    Attributes:
        folder: of pictures, brought to ``data.image_size`` as the data set's are.
        landmarks: of the folder's pictures, as ``data.landmarks.root`` holds those of the data set's, where these are
            aligned or have a map of them.
        split: ``test``: the pictures of that split, whose masks are not read.
        labelled: so many of the training images keep their labels, drawn at random once and for all, and the others
            are the unlabelled ones. Teacher and students then see no other label in training.
    """

    folder: Path | None = None
    landmarks: Path | None = None
    split: Literal["test"] | None = None
    labelled: PositiveInt | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("folder", "split", "labelled") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"no unlabelled pictures: give one of folder, split and labelled, not {' and '.join(given) or 'none'}"
            )
        if self.landmarks is not None and self.folder is None:
            raise ValueError(
                "landmarks: are those of a folder's pictures, the data set's own have theirs; leave them out"
            )
        return self


class DistillSpec(Specification):
    """A student, the study's ``model``, that learns from a larger teacher: ``autorf distill``.

    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, section V; its numbers are the defaults
    where it gives some.

    Attributes:
        teacher: what the student learns from.
        supervised: the stage with labels: the study's loss, and the divergence from the teacher.
        unsupervised: the stage behind it, in which the teacher's predictions are the labels; None for none.
        unlabelled: its pictures.
        temperature: by which the scores of both are divided in the divergence.
        weight: of the divergence beside the study's loss.
        top_k: how many pixels of each image teach nothing: those on which the teacher is most at odds with the labels.
        class_weights: by which the divergence's gradient is multiplied at a class's pixels, one a class in their
            order; None for 1.
        copied: modules of the student that begin with the teacher's weights, in every stage, alone too: by the name of
            each that of the teacher's module, such as ``{features: backbone.features}`` for conv1_1 and conv1_2 of
            ``paper:student`` and ``largefov:vgg16`` at output_stride 8.
        cache_gb: the teacher's predictions are kept on disk up to so many GB (10^9 bytes), and beyond that, or where
            ``data.augmentation`` changes the pictures, computed anew in every step.
    """

    teacher: TeacherSpec
    supervised: StageSpec
    unsupervised: StageSpec | None = None
    unlabelled: UnlabelledSpec | None = None
    temperature: PositiveFloat = 4.0
    weight: PositiveFloat = 4.0
    top_k: Annotated[WholeNumber, Field(ge=0)] = 0
    class_weights: ClassWeights | None = None
    copied: dict[str, str] = {}
    cache_gb: NotNegative = 2.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.unsupervised is None) != (self.unlabelled is None):
            absent = "unlabelled" if self.unlabelled is None else "unsupervised"
            raise ValueError(
                f"{absent} is missing: the stage unsupervised and its unlabelled pictures belong together; give both, "
                "or leave both out"
            )
        return self
