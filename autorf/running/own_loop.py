"""Run one trial of a study whose trainings are a function of the user's own."""

from collections.abc import Callable

from torch import nn

from autorf.errors import InputError, in_one_line
from autorf.metrics import scores
from autorf.own_code.importing import resolve
from autorf.own_code.reference import parse_reference
from autorf.running.confusions import names_of_classes, write_confusions
from autorf.running.cost import PeakMemory
from autorf.running.loop_trial import LoopTrial
from autorf.running.random_state import seed_all
from autorf.running.reported_scores import Question
from autorf.running.running_costs import Report, RunningCosts
from autorf.study.job import Job
from autorf.study.own_loop import ARGUMENTS, OwnLoopSpec
from autorf.study.settings import thawed
from autorf.surgery import learned_values
from autorf.surgery.problems import search_problems
from autorf.surgery.verification import NOT_OVER
from autorf.training.results import LABELLED, EpochReport, TrialResult

Train = Callable[[LoopTrial], object]
"""A training function: it trains the trial, reports, and returns; what it returns means nothing."""


def run_own_loop(
    job: Job, report: Report, stopped: Callable[[], bool] = lambda: False, train: Train | None = None
) -> TrialResult:
    """Have the user's function train one trial, and check that it did.

    Args:
        job: of a study as :func:`autorf.search` makes it.
        report: called with what the function reports.
        stopped: asked after each report; True has the function told to return.
        train: the function; None to import the one that the study names.

    Raises:
        InputError: where the function never reported, returned too early, or left the method's search open.
    """
    spec = job.spec
    assert isinstance(spec, OwnLoopSpec)
    function = train or resolve(parse_reference(spec.loop), "loop")
    steps = job.trial_spec.training.steps
    costs = RunningCosts(spec, PeakMemory())
    question = Question(spec.search.objectives[0], spec.data.image_size, spec.data.classes)
    varied = {key: thawed(value) for key, value in job.trial.settings if key.startswith(ARGUMENTS)}
    args = {**spec.model.args, **{key.removeprefix(ARGUMENTS): value for key, value in varied.items()}}
    link = _JobLink(report, stopped, costs)
    trial = LoopTrial(job.trial.method, job.seed, steps, job.folder, question, link, args=args, reported=job.reported)
    job.folder.mkdir(parents=True, exist_ok=True)
    seed_all(job.seed)
    function(trial)
    last = checked_report(trial, spec.loop)
    return _result(job, trial, last, costs)


class _JobLink:
    """Passes a trial's reports on to the search that asked for them.

    Args:
        report: takes each.
        stopped: asked after each.
        costs: of the trial's model, which pruning may ask for with the reports.
    """

    def __init__(self, report: Report, stopped: Callable[[], bool], costs: RunningCosts) -> None:
        self._report, self._stopped, self._costs = report, stopped, costs
        self._model: nn.Module | None = None

    def take(self, model: nn.Module) -> None:
        self._model, self._report = model, self._costs.told_with(self._report, model)

    def report(self, report: EpochReport) -> bool:
        assert self._model is not None
        # Only now the model is where it is trained.
        self._costs.device = next((each.device for each in self._model.parameters()), self._costs.device)
        self._report(report)
        return not self._stopped()


def checked_report(trial: LoopTrial, name: str) -> EpochReport:
    """The last report of a function that has returned as it should.

    Raises:
        InputError: where it has not.
    """
    last, steps = trial.last, trial.length
    end = "" if steps is None else f", the last one at step {steps}"
    if last is None:
        raise InputError(
            f"{name} returned without a report; call trial.report(step, confusions=...) after each validation{end}"
        )
    if steps is None or (last.steps != steps and trial.is_stopped):
        return last
    if last.steps != steps:
        raise InputError(
            f"{name} returned too early: its last report is of step {last.steps}, the trial has {steps} (trial.steps); "
            "train them all and report the last one, or return only when trial.report gives False"
        )
    assert trial.model is not None
    still_open = [problem.sentence for problem in search_problems(trial.model) if problem.kind in NOT_OVER]
    if still_open:
        raise InputError(f"{name} trained all {steps} steps, but {still_open[0]}")
    return last


def _result(job: Job, trial: LoopTrial, last: EpochReport, costs: RunningCosts) -> TrialResult:
    spec = job.spec
    assert isinstance(spec, OwnLoopSpec)
    assert trial.model is not None
    per_class = None
    if trial.confusions is not None:
        names = names_of_classes("trial.report", spec.data.classes, trial.confusions.shape[1])
        per_class = scores(trial.confusions.sum(0), names)
        write_confusions(job.folder, trial.confusions, names, job.key)
    measured, notes = _costs(costs, trial.model)
    return TrialResult(
        metrics=last.metrics,
        mean_over=LABELLED,
        iou_per_class={} if per_class is None else per_class.iou,
        f1_per_class={} if per_class is None else per_class.f1_per_class,
        learned=learned_values(trial.model),
        field=last.field,
        epochs=last.epoch + 1,
        steps=last.steps,
        seconds=last.seconds,
        cpu_seconds=last.cpu_seconds,
        device=costs.device.type,
        costs=measured,
        notes=(*trial.notes, *notes),
    )


def _costs(costs: RunningCosts, model: nn.Module) -> tuple[dict[str, float], tuple[str, ...]]:
    """What a model costs to run, and what kept that from being measured: no reason to lose a training."""
    try:
        return costs(model), ()
    except Exception as error:
        return {}, (f"what the model costs could not be measured: {type(error).__name__}: {in_one_line(error, 120)}",)
