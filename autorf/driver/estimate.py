"""How long a study will take and how much memory a trial needs, from one measured step a method."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from autorf.data import Splits
from autorf.errors import InputError
from autorf.running.cost import PeakMemory
from autorf.running.runner import trial_model
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, training_of
from autorf.surgery import advance
from autorf.training.module import SegmentationModule


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

    def trial_seconds(self, epochs: int, n_train: int, n_val: int) -> float:
        """Of a whole training with a validation after every epoch."""
        return epochs * (n_train * self.train_seconds + n_val * self.eval_seconds)


def estimates(spec: StudySpec, trials: Iterable[Trial], splits: Splits) -> dict[str, Estimate]:
    """By method: what one step of its first trial took in this process, as a worker would compute it.

    Raises:
        InputError: when a step fails, with its reason.
    """
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(trial.method.method, trial)
    with _threads(spec.training.threads):
        return {name: _estimate(spec, trial, splits) for name, trial in first.items()}


def study_seconds(seconds: Sequence[float], workers: int) -> float:
    """How long trials of these lengths take when each free worker takes the next."""
    free = [0.0] * max(1, workers)
    for length in seconds:
        at = free.index(min(free))
        free[at] += length
    return max(free)


def _estimate(spec: StudySpec, trial: Trial, splits: Splits) -> Estimate:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = training_of(spec.training, trial).batch_size
    memory = PeakMemory()
    model = trial_model(spec, trial, splits.class_names)
    # The weights of classes cost a walk over all masks and change nothing here.
    module = SegmentationModule(model, spec.training.model_copy(update={"class_weights": "none"}), splits).to(device)
    image, mask = (part.to(device) for part in splits.train.tensors(list(range(min(size, len(splits.train))))))
    try:
        # The first run of anything is slow.
        _step(module, image[:2], mask[:2], progress=0)
        searching = float(getattr(trial.method, "search", 0.0))
        train = (1 - searching) * _step(module, image, mask, progress=99)
        train += searching * _step(module, image, mask, progress=20 * searching) if searching else 0.0
        return Estimate(train / len(image), _evaluation(module, image) / len(image), memory.megabytes())
    except (RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{trial.label}: a step on one batch of {size} images failed: {reason}") from None


def _step(module: SegmentationModule, image: Tensor, mask: Tensor, progress: float) -> float:
    """Seconds of forward and backward at ``progress`` percent of a training."""
    module.train()
    advance(module, int(progress), 100)
    since = _now(image)
    module.training_step((image, mask), 0).backward()
    taken = _now(image) - since
    module.zero_grad()
    return taken


def _evaluation(module: SegmentationModule, image: Tensor) -> float:
    module.eval()
    with torch.no_grad():
        since = _now(image)
        module(image)
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
