"""An objective for Optuna users who own their study."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from autorf.driver.own_configurations import branches_of, suggested
from autorf.driver.written_spaces import Spaces, check_function, check_metric, class_names
from autorf.errors import InputError
from autorf.ops._arguments import image_sides, whole_number
from autorf.running.loop_trial import LoopTrial
from autorf.running.own_loop import checked_report
from autorf.running.random_state import seed_all
from autorf.running.reported_scores import Question
from autorf.study.trial import Trial
from autorf.training.results import EpochReport

if TYPE_CHECKING:
    import optuna


class Objective:
    """What ``study.optimize`` of an Optuna study of your own takes: it draws a configuration and has it trained.

    Every report is passed to Optuna's pruner; a trial that is pruned hears False from ``trial.report`` and returns. The
    trial's user attributes hold the configuration (``autorf.configuration``), what was learned, and the field.

    Args:
        train: ``train(trial)``, see :class:`autorf.LoopTrial`; called in this process.
        space: as for :func:`autorf.search`; Optuna's parameters are ``method`` and ``METHOD.FIELD``.
        metric: that is returned: ``miou``, ``f1`` or ``pixel_accuracy``; make the study with ``direction="maximize"``.
        steps: of a training, checked as by :func:`autorf.search`; None where ``train`` has its own length.
        seed: of every training.
        image_size: side or ``(height, width)`` in pixels, for the receptive field; None for none.
        classes: names of the classes, or how many there are; None where confusions tell.

    Raises:
        InputError: for a space that names no method, or an argument out of range; from a call, for a function that
            never reports, and whatever else :func:`autorf.search` records as a failure.

    Examples:
        >>> import autorf, optuna
        >>> from torch import nn
        >>> def train(trial: autorf.LoopTrial) -> None:
        ...     trial.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)))
        ...     trial.report(10, miou=trial.method.rate / 8)
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
        >>> space = {"method": "dilation", "rate": [1, 2, 4], "targets": "0"}
        >>> study.optimize(autorf.Objective(train, space, "miou"), n_trials=6)
        >>> study.best_params, study.best_value
        ({'method': 'dilation', 'dilation.rate': 4}, 0.5)
    """

    def __init__(
        self,
        train: Callable[[LoopTrial], object],
        space: Spaces,
        metric: str = "miou",
        *,
        steps: int | None = None,
        seed: int = 0,
        image_size: int | tuple[int, int] | None = None,
        classes: int | Sequence[str] | None = None,
    ) -> None:
        check_function("Objective", train)
        self._train = train
        self._branches = branches_of("Objective", space)
        self._steps = None if steps is None else whole_number("Objective", "steps", steps)
        self._seed = whole_number("Objective", "seed", seed, least=0)
        names = class_names("Objective", classes)
        sides = None if image_size is None else image_sides("Objective", image_size)
        self._question = Question(check_metric("Objective", metric), sides, None if names is None else tuple(names))

    def __call__(self, trial: "optuna.Trial") -> float:
        """Train what ``trial`` suggests, and return its score.

        Raises:
            optuna.TrialPruned: where Optuna's pruner has stopped it.
        """
        import optuna

        method, args = suggested(trial, self._branches, "Objective")
        steps = None if self._steps is None else method.steps(self._steps)
        link = _OptunaLink(trial, self._question.metric)
        trial.set_user_attr("autorf.configuration", Trial(method, self._seed).configuration)
        with tempfile.TemporaryDirectory(prefix="autorf-trial-") as folder:
            loop_trial = LoopTrial(method, self._seed, steps, Path(folder), self._question, link, args=args)
            seed_all(self._seed)
            self._train(loop_trial)
        last = checked_report(loop_trial, "train")
        for name, value in last.learned.items():
            trial.set_user_attr(f"autorf.{name}", value)
        if last.rf is not None:
            trial.set_user_attr("autorf.rf", list(last.rf))
        if loop_trial.is_stopped:
            raise optuna.TrialPruned(f"after step {last.steps}")
        return last.metrics[self._question.metric]


class _OptunaLink:
    """Passes a trial's reports to Optuna's pruner, which only a study of one objective has."""

    def __init__(self, trial: "optuna.Trial", metric: str) -> None:
        self._trial, self._metric = trial, metric
        if len(trial.study.directions) > 1:
            raise InputError("Objective returns one value; make the Optuna study with one direction, maximize")
        if trial.study.direction.name != "MAXIMIZE":
            raise InputError(f"Objective: {metric} is better the larger it is: create_study(direction='maximize')")

    def take(self, model: nn.Module) -> None:
        """A model needs nothing of Optuna."""

    def report(self, report: EpochReport) -> bool:
        self._trial.report(report.metrics[self._metric], report.steps or 0)
        return not self._trial.should_prune()
