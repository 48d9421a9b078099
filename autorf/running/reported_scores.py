"""What a training function reports: checked, and brought to the scores that its study compares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from autorf.errors import InputError, shown
from autorf.running.confusions import checked_confusions, names_of_classes, other_images, scored_confusions
from autorf.training.results import METRICS

LOSS = "loss"
"""What a report may say beside metrics."""


@dataclass(frozen=True)
class Question:
    """What is asked of every trial of a study.

    Attributes:
        metric: that is compared.
        image_size: height and width in pixels, for the receptive field; None where nobody asks for it.
        classes: names of the classes; None where confusions tell how many there are.
    """

    metric: str
    image_size: tuple[int, int] | None = None
    classes: tuple[str, ...] | None = None


class ReportedScores:
    """The scores of one trial's reports.

    Args:
        question: what they are asked for.

    Attributes:
        confusions: ``(n_images, C, C)`` of the last report; None where it had none.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self.confusions: Tensor | None = None

    def __call__(self, confusions: Any, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The scores of a report by the names of metrics; see :meth:`autorf.LoopTrial.report`."""
        unknown = [name for name in metrics if name not in METRICS]
        if unknown:
            raise InputError(
                f"trial.report: nobody asked for {unknown[0]!r}; the study compares {self._question.metric}, and of "
                f"other metrics takes {', '.join(METRICS)} and loss"
            )
        if confusions is None:
            return self._given(metrics)
        if metrics:
            raise InputError(f"trial.report: {next(iter(metrics))} follows from confusions; give one of the two")
        counts = checked_confusions("trial.report", confusions)
        if self.confusions is not None:
            problem = other_images("trial.report", self.confusions, counts, "the trial's earlier reports")
            if problem is not None:
                raise InputError(problem)
        names = names_of_classes("trial.report", self._question.classes, counts.shape[1])
        measured = scored_confusions("trial.report", counts, names, self._question.metric)
        self.confusions = counts
        return {name: float(getattr(measured, name)) for name in METRICS}

    def _given(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        metric = self._question.metric
        if metric not in metrics:
            got = f"got {', '.join(metrics)}" if metrics else "got none"
            raise InputError(
                f"trial.report: the study compares {metric}, {got}; give {metric}=..., or confusions, from which all "
                "metrics follow"
            )
        if self.confusions is not None:
            raise InputError("trial.report: earlier reports of the trial had confusions; give them in every report")
        values = {name: reported_number(name, value) for name, value in metrics.items()}
        for name, value in values.items():
            if not 0 <= value <= 1:
                raise InputError(
                    f"trial.report: {name} must be a share from 0 to 1, got {shown(metrics[name])}"
                    f"{'; divide percent by 100' if 1 < value <= 100 else ''}"
                )
        return values


def reported_number(name: str, value: Any) -> float:
    """A reported value as a number.

    Raises:
        InputError: for what is none; nan is none either.
    """
    try:
        # Of a loss that is still part of a graph, torch warns.
        plain = value.detach() if isinstance(value, Tensor) else value
        number = math.nan if isinstance(value, bool | str) else float(plain)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"trial.report: {name} must be a number, got {shown(value)}")
    return number
