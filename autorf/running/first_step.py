"""The first step of a training, taken before any trial: what fails in it would fail in every trial."""

import warnings
from typing import Any

import torch
from torch import Tensor

from autorf.data import Splits
from autorf.errors import InputError, SearchWarning, a_type, in_one_line
from autorf.running.runner import trial_model
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of
from autorf.surgery import advance
from autorf.tasks import CLASSIFICATION, SEGMENTATION, Task
from autorf.training.device import autocast, is_of_compiler, own_device
from autorf.training.module import SegmentationModule
from autorf.training.module_choice import module_for
from autorf.training.outputs import raw_scores
from autorf.training.parallel import own_shard
from autorf.training.spec import TrainingSpec

ALONE = "Expected more than 1 value per channel"
"""How torch says that batch norm in training has a single value of each channel."""


def check_first_step(study: StudySpec, trial: Trial, splits: Splits) -> None:
    """Take a step of ``trial`` on a whole batch and on the smallest one, and evaluate a batch; nothing is kept.

    Args:
        study: that the trial belongs to.
        trial: whose network is built and adapted as in its training.
        splits: its data, at its image size.

    Raises:
        InputError: when a step fails, with its reason and, where there is one, the repair.
        MemoryError, RuntimeError: when the memory does not suffice.
    """
    spec = spec_of(study, trial)
    training = spec.training.uncounted()
    device = own_device()
    module = module_for(trial_model(spec, trial, splits.class_names), training, splits).to(device)
    for size in batch_sizes(training, len(splits.train)):
        image, mask = (part.to(device) for part in splits.train.tensors(list(range(size))))
        try:
            with autocast(training.precision, device):
                step(module, image, mask, progress=0)
                evaluate(module, image)
        except (ValueError, FloatingPointError, RuntimeError) as error:
            raise step_failed(error, trial, size, len(splits.train)) from error


def batch_sizes(training: TrainingSpec, n_train: int) -> list[int]:
    """The sizes of the whole batches of a process and of an epoch's last, shorter one, where there is one."""
    processes = own_shard().processes
    whole = min(training.batch_size, n_train)
    rest = n_train % training.batch_size
    # A last batch of one image a process is left out.
    sizes = [whole // processes, *([rest // processes] if rest >= 2 * processes else [])]
    return [max(1, size) for size in dict.fromkeys(sizes)]


def step(module: SegmentationModule, image: Tensor, mask: Tensor, progress: float) -> None:
    """Forward and backward at ``progress`` percent of a training."""
    module.train()
    with warnings.catch_warnings():
        # A step that is tried or measured is no search that could have heard more.
        warnings.simplefilter("ignore", SearchWarning)
        advance(module, int(progress), 100)
    loss = module.training_step((image, mask), 0)
    # Of a GPU's losses a training looks at many together.
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss.item()}")
    loss.backward()
    module.zero_grad()


def evaluate(module: SegmentationModule, image: Tensor) -> None:
    """Class scores of ``image`` in evaluation mode."""
    module.eval()
    with torch.no_grad():
        module(image)


def step_failed(error: Exception, trial: Trial, size: int, n_train: int) -> Exception:
    """What failed, as the user can repair it; want of memory as it is, which has its own words elsewhere."""
    # Of a compiler's many lines the first says what is missing.
    reason = str(error).strip().partition("\n")[0][:140] if is_of_compiler(error) else in_one_line(error, 200)
    if isinstance(error, RuntimeError) and "memory" in reason.lower():
        return error
    repair = ""
    if reason.startswith(ALONE):
        repair = (
            "; batch norm behind global pooling needs at least 2 images in every batch: give a larger "
            f"training.batch_size (of {n_train} training images), or training.freeze_batch_norm on a trained network"
        )
    elif is_of_compiler(error):
        repair = "; it cannot be compiled here: leave training.compile out, or install what is missing"
    return InputError(f"{trial.label}: a step on a batch of {size} failed: {reason}{repair}")


def check_scores(output: Any, name: str, n_classes: int, task: Task = SEGMENTATION) -> None:
    """Raise ``InputError`` unless a model's ``output`` scores the classes of every pixel, or of the whole image.

    Args:
        output: for one image.
        name: the study's ``model.name``.
        n_classes: of the data.
        task: of the study.
    """
    form = "(N, C)" if task == CLASSIFICATION else "(N, C, H, W)"
    try:
        shape = tuple(raw_scores(output).shape)
    except (AssertionError, AttributeError, KeyError):
        raise InputError(
            f"model.name: {name} returns {a_type(output)}; a study's model returns class scores {form}, "
            "alone, first in a tuple, as 'out' or as 'logits'"
        ) from None
    if task == CLASSIFICATION:
        _check_class_scores(shape, name, n_classes)
        return
    if len(shape) == 4 and shape[1] >= n_classes:
        return
    family, _, rest = name.partition(":")
    repair = {
        "timm": f"timm's models classify whole images: use largefov:{rest}, a segmentation head on it, or set task: "
        "classification on data with one class a picture",
        "paper": "use paper:deeplabv3plus_drn_d_54 for a DRN that segments",
    }.get(family, "give a model that segments, with one channel a class")
    raise InputError(
        f"model.name: {name} gives {shape}, no class scores (N, {n_classes}, H, W) of every pixel; {repair}"
    )


def _check_class_scores(shape: tuple[int, ...], name: str, n_classes: int) -> None:
    """Raise ``InputError`` unless scores of this shape are those of the classes of a whole image."""
    if len(shape) == 2 and shape[1] == n_classes:
        return
    if len(shape) == 4:
        raise InputError(
            f"model.name: {name} gives {shape}, scores of every pixel; with task: classification a model gives "
            f"(N, {n_classes}) of the whole image: timm:NAME, torchvision:NAME, paper:drn_c_26 or a network of your own"
        )
    raise InputError(
        f"model.name: {name} gives scores {shape} and the data has {n_classes} classes; with task: classification a "
        f"model gives (N, {n_classes})"
    )
