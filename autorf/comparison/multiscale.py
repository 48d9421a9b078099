"""Scores over several sizes of the images: rows of their own, beside the single-scale ones of the same models."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row
from autorf.statistics import half_width
from autorf.training.results import MultiScaleScores


@dataclass(frozen=True)
class MultiScaleGroup:
    """A configuration whose class probabilities were averaged over sizes of the images; nothing is chosen by it.

    Attributes:
        method, params, setting, study: of the configuration.
        scales, flip: how it was evaluated.
        n: how many seeds.
        keys: of the trials.
        miou, f1, pixel_accuracy: means over seeds; None where a trial lacks it.
        miou_ci95: half-width of Student's 95 % interval over seeds; None for fewer than two.
        f1_groups: F1 of label groups, means over seeds.
        single_miou: of the same trials at the images' own size.
        gain: ``miou`` less ``single_miou``.
    """

    method: str
    params: dict[str, Any]
    setting: str
    study: str
    scales: tuple[float, ...]
    flip: bool
    n: int
    keys: tuple[str, ...]
    miou: float | None
    miou_ci95: float | None
    f1: float | None
    pixel_accuracy: float | None
    f1_groups: dict[str, float]
    single_miou: float | None
    gain: float | None

    @property
    def evaluation(self) -> str:
        """How it was evaluated in a few words."""
        return f"scales {', '.join(f'{scale:g}' for scale in self.scales)}{' and mirrored' if self.flip else ''}"


def multiscale_groups(studies: Sequence[StudyResults], rows: Sequence[Row]) -> tuple[MultiScaleGroup, ...]:
    """Configurations with complete trials that were evaluated so, one a configuration and evaluation."""
    results = {(study.name, record.key): record.result for study in studies for record in study.records}
    together: dict[tuple[str, tuple[float, ...], bool], list[tuple[Row, MultiScaleScores]]] = {}
    for row in rows:
        result = results.get((row.study, row.key))
        if row.counts and result is not None and (fused := result.multiscale) is not None:
            together.setdefault((row.configuration, fused.scales, fused.flip), []).append((row, fused))
    return tuple(_group(members) for members in together.values())


def _group(members: Sequence[tuple[Row, MultiScaleScores]]) -> MultiScaleGroup:
    first, how = members[0]
    fused = [scores for _, scores in members]
    mious = [scores.metrics["miou"] for scores in fused if "miou" in scores.metrics]
    miou, single = _mean_of(fused, "miou"), _mean([row.miou for row, _ in members])
    names = [name for name in how.groups if all(name in scores.groups for scores in fused)]
    return MultiScaleGroup(
        method=first.method,
        params=first.params,
        setting=first.setting,
        study=first.study,
        scales=how.scales,
        flip=how.flip,
        n=len(members),
        keys=tuple(key for row, _ in members for key in row.trial_keys),
        miou=miou,
        miou_ci95=half_width(mious),
        f1=_mean_of(fused, "f1"),
        pixel_accuracy=_mean_of(fused, "pixel_accuracy"),
        f1_groups={name: mean(scores.groups[name] for scores in fused) for name in names},
        single_miou=single,
        gain=None if miou is None or single is None else miou - single,
    )


def _mean_of(fused: Sequence[MultiScaleScores], name: str) -> float | None:
    return _mean([scores.metrics.get(name) for scores in fused])


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return mean(numbers) if numbers and len(numbers) == len(values) else None
