"""What of a study's training is allowed but of no use, seen before anything is trained."""

from collections.abc import Iterable, Iterator, Sequence

from torch import nn

from autorf.data import Splits
from autorf.methods.held_statistics import batch_norms, never_seen_data
from autorf.methods.inflation import Inflation
from autorf.networks.checkpoint import note_of
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of
from autorf.training.class_weights import pixel_counts
from autorf.training.gradient_scale import scale_caution


def scale_cautions(spec: StudySpec, source: str, trials: Iterable[Trial]) -> Iterator[str]:
    """Say so where ``f`` has the paper's gradient, whose scale the optimizer undoes."""
    optimizers = [
        spec_of(spec, trial).training.optimizer
        for trial in trials
        if isinstance(trial.method, Inflation) and trial.method.gradient == "paper"
    ]
    for optimizer in dict.fromkeys(optimizers):
        if caution := scale_caution(optimizer):
            yield f"{source}: training.optimizer: {caution}"


def statistics_caution(spec: StudySpec, source: str, trials: Sequence[Trial], model: nn.Module) -> Iterator[str]:
    """Say so where batch norm is frozen that has never seen data.

    Args:
        spec: the study.
        source: for messages.
        trials: of the study.
        model: the study's network, with its weights.
    """
    if not (spec.training.freeze_batch_norm or any(spec_of(spec, t).training.freeze_batch_norm for t in trials)):
        return
    norms = batch_norms(model)
    fresh = [name for name, norm in norms.items() if never_seen_data(norm)]
    if fresh:
        yield (
            f"{source}: training.freeze_batch_norm: {len(fresh)} of {len(norms)} batch norms, such as {fresh[-1]!r}, "
            "have never seen data and stay at mean 0 and variance 1; give model.weights of a trained network"
        )


def weights_cautions(spec: StudySpec, source: str, trials: Iterable[Trial]) -> Iterator[str]:
    """Say what was taken off the names of the weights that trials begin with, once their networks were built."""
    models = [spec.model, *(spec_of(spec, trial).model for trial in trials)]
    for field in ("encoder_weights", "weights"):
        for path in dict.fromkeys(getattr(model, field) for model in models):
            if path is not None and (note := note_of(path)):
                yield f"{source}: model.{field}: {path}: {note}"


def class_cautions(spec: StudySpec, source: str, trials: Iterable[Trial], splits: Splits) -> Iterator[str]:
    """Say which classes have no training pixel, where weights are balanced by their pixels."""
    asked = [spec.training, *(spec_of(spec, trial).training for trial in trials)]
    if all(training.class_weights != "balanced" for training in asked):
        return
    absent = [name for name, n in zip(splits.class_names, pixel_counts(splits).tolist(), strict=True) if not n]
    if absent:
        some = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        yield (
            f"{source}: training.class_weights: balanced: no training pixel is of {some}; such a class weighs nothing "
            "and is not learned"
        )


def loss_cautions(spec: StudySpec, source: str, trials: Iterable[Trial]) -> Iterator[str]:
    """Say so where ``f`` has the paper's gradient, which is divided as that of a mean over pixels, of another loss."""
    for trial in trials:
        loss = spec_of(spec, trial).training.loss
        if isinstance(trial.method, Inflation) and trial.method.gradient == "paper" and loss.name != "cross_entropy":
            yield (
                f"{source}: training.loss: {loss.name}: inflation's gradient: paper divides by numbers of pixels, as "
                "of cross-entropy, their mean; of this loss its multiplier is no longer the paper's"
            )
            return
