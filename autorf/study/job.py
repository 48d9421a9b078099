"""A trial as a request: everything that whoever runs it has to know."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autorf.study.own_loop import OwnLoopSpec
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of, trial_from
from autorf.training.results import TrialResult


@dataclass(frozen=True)
class Job:
    """One trial to run, self-contained.

    Attributes:
        row: the attempt's row in the store.
        key: the trial's key.
        configuration: canonical, see :class:`autorf.study.trial.Trial`.
        seed: of the trial.
        spec: the study, its training counted, see :func:`autorf.study.spec.counted`.
        folder: the trial's own folder, for checkpoints and weights.
        rungs: numbers of epochs (of validations, where training is counted in steps) after which the trial waits until
            what it reported was seen: a stop that answers it comes before the next epoch.
        reached: how many epochs earlier attempts finished; the checkpoints are expected to say so too.
        reported: the steps that earlier attempts reported, in order.
        first_step: take the first step only, whose result says nothing but that it could be taken.
        with_val: train on the validation split too, as ``autorf retrain --with-val`` does; nothing is held out then.
    """

    row: int
    key: str
    configuration: dict[str, Any]
    seed: int
    spec: StudySpec
    folder: Path
    rungs: tuple[int, ...] = ()
    reached: int = 0
    reported: tuple[int, ...] = ()
    with_val: bool = False
    first_step: bool = False

    @cached_property
    def trial(self) -> Trial:
        """The trial, decoded once in every process that has the job.

        Raises:
            InputError: for a configuration that this process does not know, such as a method of a missing package.
        """
        return trial_from(self.configuration, self.seed)

    @property
    def trial_spec(self) -> StudySpec:
        """The study as this trial has it."""
        return spec_of(self.spec, self.trial)

    @property
    def epochs(self) -> int:
        """How many epochs, or validations of a training counted in steps, make the trial complete."""
        return self.trial_spec.training.validations if self.trial.method.trained else 0

    def is_whole(self, result: TrialResult) -> bool:
        """Whether a trial that ended with this result was trained to its end, not stopped on the way."""
        if isinstance(self.spec, OwnLoopSpec):
            # How often a loop of one's own reports is its own affair.
            return (result.steps or 0) >= (self.trial_spec.training.steps or 0)
        return result.stopped_early or result.epochs >= self.epochs
