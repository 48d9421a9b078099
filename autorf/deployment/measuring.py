"""The scores of retrained models on one split, with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autorf.accuracy import accuracies, tally
from autorf.data import Splits
from autorf.metrics import scores
from autorf.running.evidence import Evidence, merged_tallies
from autorf.statistics import half_width, image_variance, influence, pooled
from autorf.tasks import CLASSIFICATION
from autorf.training.results import GROUP, METRICS


@dataclass(frozen=True)
class Measured:
    """Scores of one or several seeds on one split.

    Attributes:
        metrics: by name ``mean``, the half-width ``ci95`` of its 95 % interval and the value of each seed; label groups
            that have a labelled pixel by ``f1_NAME``.
        per_class: by class name ``iou`` and ``f1``, or of a classification ``accuracy``, means over seeds; None for a
            class without a labelled pixel or picture.
        n_images: of the split.
    """

    metrics: dict[str, dict[str, Any]]
    per_class: dict[str, dict[str, float | None]]
    n_images: int


def measured(evidence: Sequence[Evidence], splits: Splits) -> Measured | None:
    """Scores with intervals from the evidence of each seed on the same images; None without any.

    One seed's interval is over images; that of several over seeds and images, see :mod:`autorf.statistics`.
    """
    if not evidence:
        return None
    if splits.task == CLASSIFICATION:
        return _of_pictures(evidence, splits)
    tallies = [of_seed.tallies.numpy() for of_seed in evidence]
    metrics: dict[str, Any] = {name: _with_seeds(tallies, name, splits.left_out) for name in METRICS}
    for name, members in (splits.label_groups or {}).items():
        merged = [merged_tallies(of.cells, of.counts, of.n_images, members).numpy() for of in evidence]
        if merged[0][..., 1].any():
            metrics[f"{GROUP}{name}"] = _with_seeds(merged, "f1")
    seed_scores = [scores(of_seed.confusion.sum(0), of_seed.class_names) for of_seed in evidence]
    per_class = {}
    for name in evidence[0].class_names:
        per_class[name] = {
            "iou": _mean([of_seed.iou[name] for of_seed in seed_scores]),
            "f1": _mean([of_seed.f1_per_class[name] for of_seed in seed_scores]),
        }
    return Measured(metrics, per_class, evidence[0].n_images)


def _of_pictures(evidence: Sequence[Evidence], splits: Splits) -> Measured:
    """The scores of a classification."""
    outcomes = [of_seed.outcomes for of_seed in evidence if of_seed.outcomes is not None]
    seed_scores = [
        accuracies(
            tally(torch.from_numpy(seen.labels), torch.from_numpy(seen.ranks), splits.n_classes), splits.class_names
        )
        for seen in outcomes
    ]
    metrics = {
        name: _summary([seen.pooled(name) for seen in outcomes], np.stack([seen.influence(name) for seen in outcomes]))
        for name in seed_scores[0].by_name
    }
    per_class = {
        name: {"accuracy": _mean([of_seed.accuracy_per_class[name] for of_seed in seed_scores])}
        for name in splits.class_names
    }
    return Measured(metrics, per_class, evidence[0].n_images)


def _with_seeds(tallies: Sequence[NDArray[np.int64]], metric: str, left_out: Sequence[int] = ()) -> dict[str, Any]:
    """A metric's mean, interval and seeds."""
    values = [pooled(of_seed, metric, left_out) for of_seed in tallies]
    return _summary(values, np.stack([influence(of_seed, metric, left_out) for of_seed in tallies]))


def _summary(values: Sequence[float], influences: NDArray[np.float64]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "ci95": _half_width(values, influences), "seeds": values}


def _half_width(values: Sequence[float], influences: Any) -> float | None:
    n_images = influences.shape[1]
    if len(values) > 1:
        return half_width(values, image_variance(influences), n_images)
    if n_images < 2:
        return None
    from scipy.stats import t

    spread = image_variance(influences, only_images=True)
    return float(t.ppf(0.975, n_images - 1)) * spread**0.5


def _mean(values: Sequence[float | None]) -> float | None:
    occurring = [value for value in values if value is not None]
    return sum(occurring) / len(occurring) if occurring else None
