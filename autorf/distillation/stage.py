"""One stage of a distillation as a job: everything that whoever trains it has to know."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from autorf.errors import InputError
from autorf.study.distill_spec import DistillSpec, StageSpec
from autorf.study.job import Job
from autorf.study.spec import StudySpec
from autorf.training.spec import TrainingSpec, steps_per_epoch

Stage = Literal["teacher", "alone", "supervised", "unsupervised"]
"""The teacher; the student alone; the student with labels and teacher, and behind that with the teacher only."""

PAPERS_DROP = 0.1
"""Of the learning rate, in the stage without labels."""


@dataclass(frozen=True)
class StageJob(Job):
    """A stage to run; ``spec`` is the study with the stage's own model and training, and no trial changes it.

    Attributes:
        stage: which one.
        teacher: the folder of the trained teacher; None where nobody teaches.
        start: the folder of the model to go on from; None for one whose weights are drawn.
        copied_from: the folder of the trained teacher whose modules the student begins with; None where it has none.
        scores: the file of the teacher's scores, made where it is missing; None to compute them in every step.
        trained: whether there is anything to train.
    """

    stage: Stage = "alone"
    teacher: Path | None = None
    start: Path | None = None
    copied_from: Path | None = None
    scores: Path | None = None
    trained: bool = field(default=True)

    @property
    def trial_spec(self) -> StudySpec:
        """The study as this stage has it."""
        return self.spec

    @property
    def epochs(self) -> int:
        """How many validations make the stage complete."""
        return self.spec.training.validations if self.trained else 0

    @property
    def distill(self) -> DistillSpec:
        """What the study file says of the distillation."""
        assert self.spec.distill is not None, "only a study with a section distill has stages"
        return self.spec.distill


@dataclass(frozen=True)
class Lengths:
    """How many steps every stage takes.

    Attributes:
        teacher, supervised, unsupervised: of each; 0 where it is not trained.
    """

    teacher: int
    supervised: int
    unsupervised: int

    @property
    def student(self) -> int:
        """Of a student that goes through both stages, and so of the one alone."""
        return self.supervised + self.unsupervised


def lengths(spec: StudySpec, distill: DistillSpec, labelled: int, unlabelled: int) -> Lengths:
    """The steps of every stage, for so many images with and without labels."""
    with_labels, without = (
        steps_per_epoch(count, spec.training.batch_size) if count else 0 for count in (labelled, unlabelled)
    )
    return Lengths(
        teacher=(distill.teacher.epochs or 0) * with_labels,
        supervised=distill.supervised.epochs * with_labels,
        unsupervised=0 if distill.unsupervised is None else distill.unsupervised.epochs * without,
    )


def stage_spec(spec: StudySpec, distill: DistillSpec, stage: Stage, steps: Lengths) -> StudySpec:
    """The study with a stage's model and training."""
    training = spec.training
    if stage == "teacher":
        teacher = distill.teacher
        own = _epochs(training, StageSpec(epochs=teacher.epochs or 1, lr=teacher.lr))
        return spec.model_copy(update={"model": teacher.model, "training": own})
    if stage == "alone":
        return spec.model_copy(update={"training": _alone(training, distill, steps)})
    if stage == "supervised":
        return spec.model_copy(update={"training": _epochs(training, distill.supervised)})
    assert distill.unsupervised is not None, "without a stage there is nothing to train"
    lr = distill.unsupervised.lr or PAPERS_DROP * training.lr
    own = _epochs(training, distill.unsupervised.model_copy(update={"lr": lr}))
    return spec.model_copy(update={"training": own})


def _epochs(training: TrainingSpec, stage: StageSpec) -> TrainingSpec:
    lr = training.lr if stage.lr is None else stage.lr
    return training.model_copy(update={"epochs": stage.epochs, "steps": None, "validate_every": None, "lr": lr})


def _alone(training: TrainingSpec, distill: DistillSpec, steps: Lengths) -> TrainingSpec:
    """As many steps as both stages take, validated as often as they are."""
    validations = distill.supervised.epochs + (0 if distill.unsupervised is None else distill.unsupervised.epochs)
    lr = training.lr if distill.supervised.lr is None else distill.supervised.lr
    every = -(-steps.student // validations)
    return training.model_copy(update={"steps": steps.student, "validate_every": every, "lr": lr})


def check_training(training: TrainingSpec) -> None:
    """Raise ``InputError`` for what a stage cannot be trained with."""
    if training.threshold is not None:
        raise InputError(
            "training.threshold: a student learns from the scores of one channel a class; leave threshold out"
        )
    if training.stop is not None:
        raise InputError(
            "training.stop: students are compared that were trained for equally many steps; leave stop out"
        )
