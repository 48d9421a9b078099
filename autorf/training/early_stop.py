"""When a training that no longer improves ends before its last step."""

import math
from collections.abc import Sequence

from autorf.training.results import EpochReport
from autorf.training.spec import TrainingSpec


class EarlyStop:
    """Ends a training whose metric has not improved over so many validations in a row.

    What was measured decides, nothing else, so that a resumed training ends where the uninterrupted one does. The
    model is that of the last validation, not of the best one: whoever picks the best of many noisy validations reports
    a number that no other images would give.

    Args:
        training: of the trial; counted, where ``unsettled_share`` is not 0.
        unsettled_share: the share of the steps in which the trial's method searches, or holds what it learns: their
            validations are of fields that the method will not keep, and none of them counts.
        total_steps: of the whole training.
    """

    def __init__(self, training: TrainingSpec, unsettled_share: float, total_steps: int) -> None:
        self.rule = training.stop
        self.first_step = math.ceil(unsettled_share * total_steps)
        self.validations = training.validations

    def due(self, history: Sequence[EpochReport]) -> bool:
        """Whether the training ends here, before its last validation."""
        if self.rule is None or len(history) >= self.validations:
            return False
        best, waited = -math.inf, 0
        for report in history:
            if (report.steps or 0) <= self.first_step:
                continue
            value = report.metrics[self.rule.metric]
            improved = value > best + self.rule.min_delta or best == -math.inf
            best, waited = (max(value, best), 0) if improved else (best, waited + 1)
        return waited >= self.rule.patience
