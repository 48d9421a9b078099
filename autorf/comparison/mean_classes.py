"""Over which classes the compared means are: the same for every trial, and told beside the table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row
from autorf.tasks import CLASSIFICATION, SEGMENTATION, TITLES
from autorf.training.results import LABELLED, OLD_RULE, TrialResult


@dataclass(frozen=True)
class MeanClasses:
    """The classes that mIoU and the mean F1 are over, those with a labelled pixel in the split, but ``left_out``; or of
    a classification the mean per-class accuracy, those with a picture.

    Attributes:
        classes: their names, in the data set's order.
        absent: classes without a labelled pixel in the split: they have no score.
        left_out: classes that the data set leaves out of the means.
        task: by its name.
    """

    classes: tuple[str, ...]
    absent: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    task: str = SEGMENTATION.name

    @property
    def sentence(self) -> str:
        """The rule in a line, with the classes that do not count by name."""
        n = len(self.classes)
        over = f"the {n} classes" if n != 1 else "the one class"
        absent = f"; without one here, and without a score: {_listed(self.absent)}" if self.absent else ""
        left_out = f"; left out by data.left_out: {_listed(self.left_out)}" if self.left_out else ""
        if self.task == CLASSIFICATION.name:
            return f"{TITLES['class_accuracy']} is the mean over {over} with a picture in the split{absent}."
        return f"mIoU and F1 are means over {over} with a labelled pixel in the split{absent}{left_out}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def mean_classes(studies: Sequence[StudyResults]) -> MeanClasses | None:
    """What the results of studies that can be compared are means over; None before any trial is complete by that rule.

    A class that is labelled in one study's split and not in another's would be a difference of their data, which
    :func:`autorf.comparison.results.check_comparable` refuses.
    """
    result = next(_results(studies), None)
    if result is None:
        return None
    absent = {name for name, value in result.class_scores.items() if value is None}
    numbers = () if studies[0].labels is None else studies[0].labels.left_out
    names = list(result.class_scores)
    left_out = {names[number] for number in numbers if number < len(names)}
    return MeanClasses(
        tuple(name for name in names if name not in absent | left_out),
        tuple(name for name in names if name in absent),
        tuple(name for name in names if name in left_out),
        studies[0].task.name,
    )


def _results(studies: Sequence[StudyResults]) -> Iterator[TrialResult]:
    results = (record.result for study in studies for record in study.records if record.state == "complete")
    return (result for result in results if result is not None and result.class_scores and result.mean_over == LABELLED)


def by_one_rule(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, those whose means are by the old rule kept from being compared with others by that of today.

    Where all are by the old rule they are compared with each other, as they always were.
    """
    rules = {row.rule for row in rows if row.state == "complete"}
    if OLD_RULE not in rules or len(rules) == 1:
        return tuple(rows)
    reason = (
        f"{OLD_RULE}: its means may be over other classes, and no file says which ones are labelled; not compared with "
        "the others"
    )
    return tuple(
        replace(row, comparable=False, reason=row.reason or reason) if row.rule == OLD_RULE else row for row in rows
    )
