"""How long a study will take and how much memory a trial needs, from one measured step a method.

A step that would take much memory is not taken: two on small cuts of the same images are, and scaled.
"""

import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from autorf.advice.tile_check import attends
from autorf.data import Splits, load
from autorf.errors import InputError, SearchWarning, in_one_line
from autorf.fields import receptive_field
from autorf.running.cost import PeakMemory, resident_bytes
from autorf.running.first_step import batch_sizes, evaluate, step, step_failed
from autorf.running.runner import trial_model
from autorf.running.step_memory import Scaling, measured_evaluation, measured_step, optimizer_bytes
from autorf.study.settings import Settings
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of
from autorf.training.device import own_device
from autorf.training.module import SegmentationModule
from autorf.training.module_choice import module_for
from autorf.training.spec import TrainingSpec

CUTS, CUT_IMAGES = (128, 192), 2
"""Sides in pixels, and images, of the batches that are measured where a whole one is large.

On maps of a few pixels libraries compute otherwise, and do not arrange a copy of the weights."""

WHOLE_PIXELS = 200_000
"""A batch of fewer pixels is measured as it is."""


@dataclass(frozen=True)
class Estimate:
    """What one method costs to train.

    Attributes:
        train_seconds: forward and backward, an image.
        eval_seconds: forward, an image.
        memory_mb: of the process, or of the GPU, during a step and the validation of a batch, with the optimizer's
            state, in units of 2**20 bytes.
        scaled_from: sides in pixels and images of the batches that were measured, where time and memory are scaled;
            None where a whole batch was measured.
    """

    train_seconds: float
    eval_seconds: float
    memory_mb: int
    scaled_from: tuple[tuple[int, ...], int] | None = None

    def trial_seconds(self, training: TrainingSpec, n_train: int, n_val: float) -> float:
        """Of a whole training and its validations, of pictures that amount to ``n_val`` images."""
        images = training.epochs * n_train if training.steps is None else training.steps * training.batch_size
        return images * self.train_seconds + training.validations * n_val * self.eval_seconds


def kind_of(trial: Trial) -> tuple[str, Settings]:
    """Trials of one kind cost about the same a step: they have one method and one network."""
    return trial.method.method, trial.network


def estimates(spec: StudySpec, trials: Iterable[Trial], splits: Splits) -> dict[tuple[str, Settings], Estimate]:
    """By :func:`kind_of`: what one step of its first trial took in this process, as a worker would compute it.

    Raises:
        InputError: when a step fails, with its reason.
    """
    first: dict[tuple[str, Settings], Trial] = {}
    for trial in trials:
        first.setdefault(kind_of(trial), trial)
    with _threads(spec.training.threads), warnings.catch_warnings():
        # Of a search that is only measured.
        warnings.filterwarnings("ignore", "the search of .* heard only", SearchWarning)
        return {kind: _estimate(spec, trial, splits) for kind, trial in first.items()}


def _splits(own: StudySpec, spec: StudySpec, splits: Splits) -> Splits:
    """The data as a trial sees it, read anew where it is other data: of another image size, with a map of landmarks."""
    return splits if own.data == spec.data else load(own.data, cache=own.cache)


def study_seconds(seconds: Sequence[float], workers: int) -> float:
    """How long trials of these lengths take when each free worker takes the next."""
    free = [0.0] * max(1, workers)
    for length in seconds:
        at = free.index(min(free))
        free[at] += length
    return max(free)


def _estimate(study: StudySpec, trial: Trial, splits: Splits) -> Estimate:
    spec = spec_of(study, trial)
    splits = _splits(spec, study, splits)
    device = own_device()
    size = spec.training.batch_size
    memory = PeakMemory()
    model = trial_model(spec, trial, splits.class_names)
    # To compile would take longer than all that is measured here; what it saves later is not foreseen.
    training = spec.training.uncounted().model_copy(update={"compile": False})
    module = module_for(model, training, splits).to(device)
    try:
        scaled = _scaled(spec, trial, module, splits) if device.type == "cpu" and trial.method.trained else None
        return scaled or _measured(spec, trial, module, splits, memory)
    except (RuntimeError, ValueError) as error:
        failed = step_failed(error, trial, size, len(splits.train))
        if failed is error:
            failed = InputError(f"{trial.label}: a step on a batch of {size} failed: {in_one_line(error, 200)}")
        raise failed from None


def _measured(
    spec: StudySpec, trial: Trial, module: SegmentationModule, splits: Splits, memory: PeakMemory
) -> Estimate:
    """From steps on a whole batch."""
    size = min(spec.training.batch_size, len(splits.train))
    image, mask = (part.to(module.device) for part in splits.train.tensors(list(range(size))))
    held_out = image.new_zeros((_held_out(spec, splits), image.shape[1], *splits.image_size))
    if not trial.method.trained:
        return Estimate(0.0, _evaluation(module, held_out) / len(held_out), memory.megabytes())
    # The first run of anything is slow; the smallest batch that there will be may be the one that fails.
    smallest = batch_sizes(spec.training, len(splits.train))[-1]
    _step(module, image[:smallest], mask[:smallest], progress=0)
    train = sum(share * _step(module, image, mask, progress) for share, progress in _phases(trial))
    evaluation = _evaluation(module, held_out) / len(held_out)
    megabytes = memory.megabytes() + round(optimizer_bytes(module) / 2**20)
    return Estimate(train / len(image), evaluation, megabytes)


def _held_out(spec: StudySpec, splits: Splits) -> int:
    """How many images a batch of a validation has; whole pictures are seen one by one."""
    return 1 if splits.val.whole else min(spec.training.batch_size, len(splits.val))


def _phases(trial: Trial) -> list[tuple[float, float]]:
    """Shares of a training with a percentage of it that lies in each: its search, which is not open again, first."""
    searching = float(getattr(trial.method, "search", 0.0))
    return [*([(searching, 20 * searching)] if searching else []), (1 - searching, 99.0)]


def _scaled(spec: StudySpec, trial: Trial, module: SegmentationModule, splits: Splits) -> Estimate | None:
    """From steps on small cuts of the training images, scaled; None where a whole batch can as well be measured.

    That is where its maps are small, its images no larger than the cuts, or the memory of the network is not known to
    grow with the image, as where it attends over whole maps, or takes images of one size.
    """
    size = min(spec.training.batch_size, len(splits.train))
    few = list(range(min(CUT_IMAGES, size)))
    image, mask = splits.train.tensors(few)
    height, width = image.shape[2:]
    if min(height, width) <= max(CUTS) or height * width * size < WHOLE_PIXELS:
        return None
    cuts = [(image[..., :side, :side], mask[..., :side, :side]) for side in CUTS]
    base = resident_bytes()
    try:
        # The first run of anything is slow, and leaves in the layers what the next one replaces.
        measured_step(module, *cuts[0], progress=0)
    except (RuntimeError, ValueError):
        return None
    if attends(receptive_field(module.model, (height, width), in_channels=image.shape[1])):
        return None
    pixels, n_val = size * height * width, _held_out(spec, splits)
    val_pixels = n_val * splits.image_size[0] * splits.image_size[1]
    most, seconds = 0, 0.0
    for share, progress in _phases(trial):
        most = max(most, Scaling(*(measured_step(module, *cut, progress) for cut in cuts)).bytes_at(pixels))
        seconds += share * _step(module, *cuts[-1], progress)
    _evaluation(module, cuts[0][0])
    most = max(most, Scaling(*(measured_evaluation(module, cut[0]) for cut in cuts)).bytes_at(val_pixels))
    val_seconds = _evaluation(module, cuts[-1][0])
    inputs = max(pixels, val_pixels) * (image.shape[1] * image.element_size() + mask.element_size())
    cut_pixels = len(few) * CUTS[-1] ** 2
    return Estimate(
        seconds * height * width / cut_pixels,
        val_seconds * splits.image_size[0] * splits.image_size[1] / cut_pixels,
        round((base + most + inputs + optimizer_bytes(module)) / 2**20),
        (CUTS, len(few)),
    )


def _step(module: SegmentationModule, image: Tensor, mask: Tensor, progress: float) -> float:
    """Seconds of forward and backward at ``progress`` percent of a training."""
    since = _now(image)
    step(module, image, mask, progress)
    return _now(image) - since


def _evaluation(module: SegmentationModule, image: Tensor) -> float:
    since = _now(image)
    evaluate(module, image)
    return _now(image) - since


def _now(like: Tensor) -> float:
    if like.is_cuda:
        torch.cuda.synchronize(like.device)
    return time.perf_counter()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
