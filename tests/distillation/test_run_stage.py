"""A stage trains what it should by what it may see, and goes on with the same bits wherever it was stopped."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autorf.data import InMemory, SegmentationSet
from autorf.distillation import run_stage as module
from autorf.distillation.checks import Kept
from autorf.distillation.images import StageImages
from autorf.distillation.run_stage import run_stage
from autorf.distillation.stage import StageJob
from autorf.running.runner import seeded_network, trained_model
from autorf.surgery.storage import WEIGHTS
from autorf.training.resuming import newest_checkpoint
from tests.distillation.small import ignored, jobs_of, study

LIVE = Kept(False, False)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StageJob]:
    """Every stage, trained whole; never changed."""
    jobs = jobs_of(study(), tmp_path_factory.mktemp("taught"))
    for job in jobs.values():
        run_stage(job, ignored)
    return jobs


def weights(job: StageJob) -> bytes:
    return (job.folder / WEIGHTS).read_bytes()


def elsewhere(job: StageJob, folder: Path) -> StageJob:
    """The same stage in a folder of its own, with the teacher, start and scores of before."""
    return replace(job, folder=folder)


@pytest.mark.parametrize("key", ["alone-0", "supervised-0", "unsupervised-0"])
def test_a_stage_stopped_after_its_first_epoch_goes_on_with_the_same_bits(
    taught: dict[str, StageJob], tmp_path: Path, key: str
) -> None:
    job = elsewhere(taught[key], tmp_path)
    stopped = run_stage(job, ignored, lambda: True)
    assert stopped.epochs == 1
    assert newest_checkpoint(job.folder)[0] is not None
    result = run_stage(job, ignored)
    assert (result.epochs, result.notes) == (job.epochs, ())
    assert weights(job) == weights(taught[key])


def test_kept_scores_train_the_student_that_scores_computed_anew_do(
    taught: dict[str, StageJob], tmp_path: Path
) -> None:
    for key in ("supervised-0", "unsupervised-0"):
        job = replace(taught[key], folder=tmp_path / key, scores=None)
        run_stage(job, ignored)
        ours, theirs = (trained_model(each.spec, 11, each.folder).state_dict() for each in (job, taught[key]))
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-4)


def test_alone_and_taught_students_begin_with_the_same_weights_and_take_equally_many_steps(
    taught: dict[str, StageJob],
) -> None:
    alone, first, second = (taught[key] for key in ("alone-0", "supervised-0", "unsupervised-0"))
    begun = [seeded_network(job.spec, job.seed, 11).state_dict() for job in (alone, first)]
    assert all(value.equal(begun[1][name]) for name, value in begun[0].items())
    assert second.start == first.folder
    # 8 labelled images and 12 without labels in batches of 4, two epochs each.
    assert alone.spec.training.steps == 2 * 2 + 2 * 3
    assert weights(alone) != weights(first) != weights(second)


class Refusing(InMemory):
    """Images whose labels nobody may ask for."""

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Nobody is answered."""
        raise AssertionError("a label was read")


def test_the_stage_without_labels_never_reads_one(
    taught: dict[str, StageJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No class lies above 10: who asks for a mask is refused, and one of 200 would break the loss."""
    real = module.stage_images

    def crashing(*arguments: object) -> StageImages:
        images = real(*arguments)  # type: ignore[arg-type]
        assert images.unlabelled is not None
        source = images.unlabelled.source.source  # type: ignore[attr-defined]
        spoiled = Refusing(source.source.images, torch.full_like(source.source.masks, 200))
        without = replace(images.unlabelled.source, source=replace(source, source=spoiled))  # type: ignore[type-var]
        return StageImages(images.splits, images.unlabelled.with_source(without))

    monkeypatch.setattr(module, "stage_images", crashing)
    job = elsewhere(taught["unsupervised-0"], tmp_path)
    run_stage(job, ignored)
    assert weights(job) == weights(taught["unsupervised-0"])


def test_what_is_left_of_a_mask_without_labels_is_only_what_augmentation_filled(taught: dict[str, StageJob]) -> None:
    job = taught["unsupervised-0"]
    images = module.stage_images(module.splits_of(job.spec), job.spec.data, job.distill.unlabelled)
    assert isinstance(images.unlabelled, SegmentationSet)
    _, mask = images.unlabelled.tensors(range(len(images.unlabelled)))
    assert not mask.any()


def test_a_teacher_of_given_weights_is_taken_as_it_is(taught: dict[str, StageJob], tmp_path: Path) -> None:
    file = taught["teacher"].folder / WEIGHTS
    model = {**study().distill.teacher.model.model_dump(), "weights": str(file)}  # type: ignore[union-attr]
    jobs = jobs_of(study(teacher={"model": model}), tmp_path)
    result = run_stage(jobs["teacher"], ignored)
    assert result.epochs == 0
    assert weights(jobs["teacher"]) == file.read_bytes()
