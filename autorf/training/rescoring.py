"""Results of versions whose means were over the classes with a labelled or a predicted pixel, by the rule of today.

A class without a labelled pixel counted as 0 as soon as one pixel was predicted as it, and not at all otherwise, so
that two trials' means could be over different classes. The truth is the same in all trials of a study: with the classes
that it labels every stored result is scored anew from its own values by class.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from autorf.metrics import mean_of_known
from autorf.training.results import LABELLED, OLD_RULE, TrialResult


def is_settled(result: TrialResult) -> bool:
    """Whether the result says by which rule its means are, or has no values by class to tell."""
    return result.mean_over is not None or not result.iou_per_class


def rescored(result: TrialResult, labelled: Collection[str] | None) -> TrialResult:
    """The result with means over the classes with a labelled pixel.

    Args:
        result: of any version.
        labelled: names of the classes with a labelled pixel in the split; None where nobody knows them.

    Returns:
        The same, where it is by that rule already or the rules agree; with :data:`OLD_RULE` where they may differ and
        ``labelled`` is not known.
    """
    if is_settled(result):
        return result
    # Only a class that was never predicted right can be one that was never labelled.
    doubtful = [name for name, value in result.iou_per_class.items() if value == 0]
    if doubtful and labelled is None:
        return replace(result, mean_over=OLD_RULE)
    absent = {name for name in doubtful if name not in (labelled or ())}
    if not absent:
        return replace(result, mean_over=LABELLED)
    iou, f1 = (_without(values, absent) for values in (result.iou_per_class, result.f1_per_class))
    means = {"miou": mean_of_known(iou.values()), "f1": mean_of_known(f1.values())}
    metrics = {name: means.get(name, value) for name, value in result.metrics.items()}
    return replace(result, metrics=metrics, iou_per_class=iou, f1_per_class=f1, mean_over=LABELLED)


def _without(values: Mapping[str, float | None], absent: Collection[str]) -> dict[str, float | None]:
    return {name: None if name in absent else value for name, value in values.items()}
