"""How long a study will take and how much memory a trial needs, from one measured step a method."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from autorf.data import Splits, load
from autorf.errors import InputError, in_one_line
from autorf.running.cost import PeakMemory
from autorf.running.first_step import batch_sizes, evaluate, step, step_failed
from autorf.running.runner import trial_model
from autorf.study.settings import Settings
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of
from autorf.training.device import own_device
from autorf.training.module import SegmentationModule
from autorf.training.module_choice import module_for
from autorf.training.spec import TrainingSpec


@dataclass(frozen=True)
class Estimate:
    """What one method costs to train.

    Attributes:
        train_seconds: forward and backward, an image.
        eval_seconds: forward, an image.
        memory_mb: of the process, or of the GPU, during the step.
    """

    train_seconds: float
    eval_seconds: float
    memory_mb: int

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
    with _threads(spec.training.threads):
        return {kind: _estimate(spec, trial, splits) for kind, trial in first.items()}


def _splits(own: StudySpec, spec: StudySpec, splits: Splits) -> Splits:
    """The data as a trial sees it, read anew where its images have another size."""
    return splits if own.data.image_size == spec.data.image_size else load(own.data, cache=own.cache)


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
    image, mask = (part.to(device) for part in splits.train.tensors(list(range(min(size, len(splits.train))))))
    try:
        if not trial.method.trained:
            return Estimate(0.0, _evaluation(module, image) / len(image), memory.megabytes())
        # The first run of anything is slow; the smallest batch that there will be may be the one that fails.
        smallest = batch_sizes(spec.training, len(splits.train))[-1]
        _step(module, image[:smallest], mask[:smallest], progress=0)
        searching = float(getattr(trial.method, "search", 0.0))
        # The search first: once over, it is never open again.
        train = searching * _step(module, image, mask, progress=20 * searching) if searching else 0.0
        train += (1 - searching) * _step(module, image, mask, progress=99)
        return Estimate(train / len(image), _evaluation(module, image) / len(image), memory.megabytes())
    except (RuntimeError, ValueError) as error:
        failed = step_failed(error, trial, size, len(splits.train))
        if failed is error:
            failed = InputError(f"{trial.label}: a step on a batch of {size} failed: {in_one_line(error, 200)}")
        raise failed from None


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
