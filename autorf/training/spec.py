"""How a trial is trained."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from autorf.errors import InputError
from autorf.losses.spec import LossSpec
from autorf.specification import Number, PositiveFloat, PositiveInt, Specification, WholeNumber

Seed = Annotated[WholeNumber, Field(ge=0, lt=2**31)]


def _one_spelling(kind: object) -> object:
    # One name in files, and so in the keys of trials.
    return "step" if kind == "steps" else kind


def _some_weight(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not any(weights):
        raise ValueError("at least one class must have a weight above 0")
    return weights


_OWN_FIELDS = {"step": ("milestones", "gamma", "split"), "poly": ("power",)}
"""What only one kind of schedule has."""


class ScheduleSpec(Specification):
    """How the learning rate falls behind the warm-up.

    Attributes:
        kind: ``cosine`` to zero, ``step`` (or ``steps``), ``poly``, or ``constant``.
        milestones: ``step``: the shares of the training, increasing in (0, 1), at which the rate is multiplied.
        gamma: ``step``: the factor at each milestone, in (0, 1).
        power: ``poly``: of the share of the steps that is left, ``(1 - step / steps) ** power``; 0.9 in DeepLab, by
            which the per-pixel papers train. Its papers have no ``warmup``.
        split: ``step``: make two steps of ``sqrt(gamma)`` this many optimizer steps apart out of each (the inflation
            paper's 0.32 and 200 for its gamma of 0.1), which is gentler on ``f``; None for one.
    """

    kind: Annotated[Literal["cosine", "step", "poly", "constant"], BeforeValidator(_one_spelling)] = "cosine"
    milestones: tuple[Annotated[Number, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    gamma: Annotated[Number, Field(gt=0, lt=1)] = 0.1
    power: PositiveFloat = 0.9
    split: PositiveInt | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "step" and (not self.milestones or list(self.milestones) != sorted(set(self.milestones))):
            raise ValueError(f"milestones must increase, got {list(self.milestones)}")
        fields = type(self).model_fields
        for kind, names in _OWN_FIELDS.items():
            given = [name for name in names if getattr(self, name) != fields[name].default]
            if self.kind != kind and given:
                belong = "belongs" if len(given) == 1 else "belong"
                raise ValueError(f"{' and '.join(given)} {belong} to kind: {kind}, not to {self.kind}")
        return self


ClassWeights = Annotated[tuple[Annotated[Number, Field(ge=0)], ...], AfterValidator(_some_weight)]


def _metric(name: object) -> object:
    # mIoU and F1, as people write them.
    return name.lower() if isinstance(name, str) else name


StopMetric = Literal["miou", "f1", "pixel_accuracy", "accuracy", "top5_accuracy", "class_accuracy"]


class EarlyStopSpec(Specification):
    """End a training that no longer improves on the validation split, before its last step.

    Learning rates and search phases refer to the full length all the same. Trials that end at different steps are no
    longer trained equally, which every comparison says.

    Attributes:
        patience: end after so many validations in a row without a better one. Those that come while a method searches,
            or holds what it learns, do not count.
        metric: ``miou``, ``f1`` or ``pixel_accuracy``; of a classification ``accuracy``, ``top5_accuracy`` or
            ``class_accuracy``.
        min_delta: by how much a better one must exceed the best so far.
    """

    patience: PositiveInt
    metric: Annotated[StopMetric, BeforeValidator(_metric)] = "miou"
    min_delta: Annotated[Number, Field(ge=0)] = 0.0


class TrainingSpec(Specification):
    """Optimisation settings; every trial of a study trains with the same.

    Attributes:
        epochs: passes over the training split; of no meaning where ``steps`` is given.
        steps: optimizer steps, instead of ``epochs``.
        validate_every: steps between validations, each with its checkpoint; None for one epoch. Where it is given the
            training is counted in steps, also one given in epochs.
        batch_size: images a step.
        lr: peak learning rate.
        optimizer: ``adamw``; ``sgd`` with ``momentum``, as in most of the papers; or ``adam``, whose weight decay is
            part of the gradient.
        momentum: of ``sgd``.
        weight_decay: of the model's own parameters.
        freeze_batch_norm: keep batch norm, its statistics and its weights, as the network's weights brought it; for
            small batches on a trained network (``model.pretrained``, ``model.weights``).
        warmup: share of the steps in which the learning rate rises linearly.
        schedule: how the learning rate falls then.
        stop: end a training early that no longer improves; None trains to the last step.
        seeds: one trial a configuration and seed.
        loss: what is minimised: ``cross_entropy``, ``dice``, ``focal``, ``tversky``, ``lovasz``, ``contextual`` or a
            package's, alone or as a list whose weighted sum it is.
        threshold: for two classes: the network has one output channel instead of two, and a pixel is of class 1 where
            its sigmoid exceeds this; None for a channel a class.
        class_weights: ``none``; ``balanced``: the inverse root of a class's pixels in the training split, mean 1, and 0
            for a class without one; or a list of a weight for each class, in their order. Of a mean over pixels they
            weight the pixels, of a mean over classes the classes.
        precision: ``32``; ``bf16`` (autocast); or ``auto``: bf16 on a GPU that has units for it (CUDA 8.0, A100 and
            later), 32 elsewhere, so that trials of a study that run on different devices compute differently.
        compile: have ``torch.compile`` make one program of the network in training, which changes results by rounding
            alone. It takes a minute a trial, and pays off in long trainings on a GPU.
        threads: CPU threads a trial computes with.
        loader_workers: processes of a trial that prepare its batches, which are the same whatever their number. None:
            none where all images are decoded and take little, else as many as leave each trial its share of the cores.
    """

    epochs: PositiveInt = 12
    steps: PositiveInt | None = None
    validate_every: PositiveInt | None = None
    batch_size: PositiveInt = 16
    lr: PositiveFloat = 3e-3
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[Number, Field(ge=0)] = 0.01
    freeze_batch_norm: bool = False
    warmup: Annotated[Number, Field(ge=0, lt=1)] = 0.1
    schedule: ScheduleSpec = ScheduleSpec()
    stop: EarlyStopSpec | None = None
    seeds: tuple[Seed, ...] = (0,)
    loss: LossSpec = LossSpec()
    threshold: Annotated[Number, Field(gt=0, lt=1)] | None = None
    class_weights: Literal["none", "balanced"] | ClassWeights = "none"
    precision: Literal["32", "bf16", "auto"] = "32"
    compile: bool = False
    threads: PositiveInt = 1
    loader_workers: Annotated[WholeNumber, Field(ge=0, le=64)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be a list of different integers, got {list(self.seeds)}")
        if self.steps is not None and "epochs" in self.model_fields_set:
            raise ValueError("give the length either in epochs or in steps, not both")
        self._check_threshold()
        layer = next((term.layer for term in self.loss.listed if term.layer is not None), None)
        if self.compile and layer is not None:
            raise ValueError(
                f"compile: the loss reads what goes into the layer {layer}, which a compiled network keeps to itself; "
                "leave compile out, or loss.layer"
            )
        return self

    def _check_threshold(self) -> None:
        if self.threshold is not None and any(term.name == "contextual" for term in self.loss.listed):
            raise ValueError(
                "loss: contextual has a centre a class among scores of one channel a class, and with threshold the "
                "network has a single channel; leave threshold out"
            )
        names = [term.name for term in self.loss.listed if term.name != "cross_entropy"]
        if self.threshold is not None and names and self.class_weights != "none":
            raise ValueError(
                f"class_weights: with one output channel (threshold) {names[0]} has no classes to weight; leave them "
                "out, or threshold"
            )

    @model_serializer(mode="wrap")
    def _without_epochs(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is dumped can be read again: a training in steps names no epochs."""
        plain: dict[str, Any] = handler(self)
        if self.steps is not None:
            plain.pop("epochs", None)
        return plain

    def uncounted(self) -> Self:
        """Without balanced weights of classes, which cost a walk over all masks, where nothing is learned."""
        return self.model_copy(update={"class_weights": "none"}) if self.class_weights == "balanced" else self

    @property
    def in_steps(self) -> bool:
        """Whether the training is counted in optimizer steps instead of epochs."""
        return self.steps is not None or self.validate_every is not None

    @property
    def validations(self) -> int:
        """How often a training validates, reports and leaves a checkpoint; see :meth:`counted`."""
        if not self.in_steps:
            return self.epochs
        assert self.steps is not None
        assert self.validate_every is not None
        return math.ceil(self.steps / self.validate_every)

    def counted(self, steps_per_epoch: int) -> "TrainingSpec":
        """With both ``steps`` and ``validate_every`` where either is given; itself where epochs count."""
        if not self.in_steps:
            return self
        return self.in_steps_of(self.steps or self.epochs * steps_per_epoch, steps_per_epoch)

    def in_steps_of(self, steps: int, steps_per_epoch: int) -> "TrainingSpec":
        """With another length in steps; it validates as often as before, or else after each epoch."""
        every = min(self.validate_every or steps_per_epoch, steps)
        given = self.model_dump(exclude={"epochs"})
        return TrainingSpec.model_validate({**given, "steps": steps, "validate_every": every})


def check_class_weights(training: TrainingSpec, class_names: Sequence[str]) -> None:
    """Raise ``InputError`` where weights of classes are given and are not one for each class."""
    weights = training.class_weights
    if isinstance(weights, str) or len(weights) == len(class_names):
        return
    names = ", ".join(class_names[:4]) + (", ..." if len(class_names) > 4 else "")
    raise InputError(
        f"training.class_weights: {len(weights)} weights for {len(class_names)} classes ({names}); give one each, in "
        "their order"
    )


def steps_per_epoch(n_images: int, batch_size: int, processes: int = 1) -> int:
    """How many optimizer steps a pass over so many training images takes.

    A last batch of one image a process breaks batch norm; it is left out, and other images come first next time.
    """
    whole, rest = divmod(n_images, batch_size)
    return whole + (rest >= 2 * processes or whole == 0)
