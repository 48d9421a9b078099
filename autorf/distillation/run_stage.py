"""Run one stage: the network, its images, its teacher; checkpoints and measurements are those of every trial."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from autorf.data import SegmentationSet, Splits
from autorf.distillation.copied import copy_modules
from autorf.distillation.images import StageImages, stage_images
from autorf.distillation.module import StudentModule
from autorf.distillation.stage import StageJob
from autorf.distillation.teacher_scores import Scores, chosen, kept_scores
from autorf.own_code.importing import importable
from autorf.running.cost import PeakMemory
from autorf.running.runner import Report, fitted, seeded_network, splits_of, trained_model
from autorf.study.job import Job
from autorf.training.batches import EpochBatches, PeriodBatches
from autorf.training.device import own_device, pins_memory
from autorf.training.module import SegmentationModule
from autorf.training.parallel import own_shard
from autorf.training.results import TrialResult


def run_stage(job: Job, report: Report, stopped: Callable[[], bool] = lambda: False) -> TrialResult:
    """Train one stage, from its last checkpoint where there is one, and return what it measured.

    Args:
        job: a :class:`autorf.distillation.stage.StageJob`.
        report: called after every epoch with its measurements.
        stopped: asked after every epoch's checkpoint; True ends the training there and keeps the checkpoint.
    """
    assert isinstance(job, StageJob), "of other jobs trials are made"
    with importable(job.spec.code):
        return _run_stage(job, report, stopped)


def _run_stage(job: StageJob, report: Report, stopped: Callable[[], bool]) -> TrialResult:
    spec = job.spec
    torch.set_num_threads(spec.training.threads)
    memory = PeakMemory()
    images = stage_images(splits_of(spec), spec.data, job.distill.unlabelled)
    module = _module(job, images.splits)
    loader = stage_loader(job, _training_set(job, images), images.splits) if job.trained else None
    return fitted(job, module, loader, report, stopped, memory)


def _training_set(job: StageJob, images: StageImages) -> SegmentationSet:
    if job.stage != "unsupervised":
        return images.splits.train
    assert images.unlabelled is not None, "a stage without labels was refused without pictures"
    return images.unlabelled


def _module(job: StageJob, splits: Splits) -> SegmentationModule:
    names, spec = splits.class_names, job.spec
    model = seeded_network(spec, job.seed, names) if job.start is None else trained_model(spec, names, job.start)
    if job.copied_from is not None:
        copy_modules(model, _trained_teacher(job, job.copied_from, splits), job.distill.copied)
    if job.teacher is None:
        return SegmentationModule(model, spec.training, splits)
    teacher = None if job.scores is not None else teacher_of(job, splits)
    labelled = job.stage == "supervised"
    return StudentModule(model, spec.training, splits, job.distill, teacher, labelled=labelled)


def teacher_of(job: StageJob, splits: Splits) -> nn.Module:
    """The teacher as its own stage left it."""
    assert job.teacher is not None, "not every stage has a teacher"
    return _trained_teacher(job, job.teacher, splits)


def _trained_teacher(job: StageJob, folder: Path, splits: Splits) -> nn.Module:
    spec = job.spec.model_copy(update={"model": job.distill.teacher.model})
    return trained_model(spec, splits.class_names, folder)


class _Taught(Dataset[tuple[Tensor, ...]]):
    """Answers an index list with a stored batch, and the teacher's scores where they are kept."""

    def __init__(self, images: SegmentationSet, scores: Scores | None) -> None:
        self.images, self.scores = images, scores

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, ...]:
        image, mask = self.images.stored(indices)
        return (image, mask) if self.scores is None else (image, mask, chosen(self.scores, indices))


def stage_loader(job: StageJob, images: SegmentationSet, splits: Splits) -> DataLoader[Any]:
    """A stage's training batches, in an order that depends on seed and epoch only."""
    training = job.spec.training
    scores: Scores | None = None
    if job.scores is not None:
        plain = images.with_source(images.source)
        scores = kept_scores(job.scores, plain, lambda: teacher_of(job, splits), training.batch_size, own_device())
    augmented = images.with_augmentation(job.spec.data.augmentation, job.seed)
    epochs = EpochBatches(augmented, training.batch_size, job.seed, shuffle=True, shard=own_shard())
    period = training.validate_every
    order = epochs if period is None else PeriodBatches(epochs, period)
    return DataLoader(_Taught(augmented, scores), sampler=order, batch_size=None, pin_memory=pins_memory())
