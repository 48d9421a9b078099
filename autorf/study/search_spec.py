"""How a study's search space is searched: the ``search:`` part of a study file."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from autorf.specification import Before, Number, PositiveFloat, PositiveInt, Specification, WholeNumber
from autorf.study.objectives import is_metric, known_objective, parse_constraint


def _constraint(text: str) -> str:
    parse_constraint(text)
    return text


Objective = Annotated[str, BeforeValidator(known_objective)]
ConstraintText = Annotated[str, AfterValidator(_constraint)]


class BudgetSpec(Specification):
    """When a search has run enough; whichever comes first where both are given.

    Attributes:
        trials: how many trials, one configuration under one seed each; only whole configurations are run.
        hours: of wall-clock time in which at least one trial runs, over all runs of the study; trials that run when it
            is spent are finished.
    """

    trials: PositiveInt | None = None
    hours: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.trials is None and self.hours is None:
            raise ValueError("give trials: N, hours: H, or both")
        return self


class PruningSpec(Specification):
    """Stop trials early that lag behind: asynchronous successive halving (ASHA) over epochs, or over validations where
    the training is counted in steps.

    After ``min_epochs * reduction**k`` epochs a trial goes on only while it is among the best ``1 / reduction`` of the
    trials of its seed that came so far; one that is not is paused, and continues from its checkpoint when later results
    make it one of them. Learning rates and search phases always refer to the full number of epochs.
    Where configurations differ no more than their seeds do, as on a plateau, ranks before the end are chance, and
    pruning promises nothing (``benchmarks/results/asha_on_plateaus.md``); a search with several seeds says so.
    Paper: Li et al., *A system for massively parallel hyperparameter tuning*, MLSys 2020.

    Attributes:
        kind: ``asha``.
        reduction: at least 2; the paper's is 4.
        min_epochs: epochs that every trial gets; fewer than ``training.epochs``.
    """

    kind: Literal["asha"] = "asha"
    reduction: Annotated[WholeNumber, Field(ge=2, le=100)] = 4
    min_epochs: PositiveInt = 1


class PriorSpec(Specification):
    """Where good receptive fields are expected: configurations near it run first.

    Attributes:
        rnorm: receptive field over image side, > 0.
        from_study: take the rnorm of that study, in the same root: where it has several image sizes, the one that fits
            the winning fields of all of them; else that of its best complete configuration.
    """

    rnorm: PositiveFloat | None = None
    from_study: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.rnorm is None) == (self.from_study is None):
            raise ValueError("give either rnorm: NUMBER or from_study: NAME")
        return self


class StopSpec(Specification):
    """Stop a search that no longer improves.

    Attributes:
        no_improvement: end after so many trials without one that is better by more than the noise.
        noise: of the first objective between seeds; None estimates it from the study's own seeds (at least two).
    """

    no_improvement: PositiveInt
    noise: Annotated[Number, Field(ge=0)] | None = None


class SearchSpec(Specification):
    """What is searched for, and how.

    Attributes:
        sampler: ``grid`` runs every combination of every search space; ``random``, ``tpe`` and ``nsga2`` draw from them
            until the budget is spent; ``sufficient`` trains of the manual grid what it takes to name the smallest
            sufficient field, see :mod:`autorf.driver.bisection`, and all learned configurations.
        objectives: one or two of the metrics, maximised on the validation split, and costs, minimised; with one it
            chooses the best trial, with two the Pareto front is what is found.
        constraints: limits such as ``latency_ms <= 20``; trials beyond one are shown as infeasible and never best.
        budget: how much to run; a grid without one runs whole.
        pruning: stop trials that lag behind; None trains every trial to its end.
        prior: where good receptive fields are expected.
        stop: end a search that no longer improves.
        seed: of the sampler.
        controls: once all else has ended, train the best manual configurations as long as the best learned one, in
            steps and in cost, see :mod:`autorf.driver.controls`; they are outside ``budget.trials``, not outside
            ``budget.hours``, and follow the first objective where that is a metric.
        margin: what a difference of the first objective must exceed to count; controls are trained of the best manual
            configuration and of those not worse by more.
    """

    sampler: Literal["grid", "random", "tpe", "nsga2", "sufficient"] = "grid"
    objectives: tuple[Objective, ...] = ("miou",)
    constraints: tuple[ConstraintText, ...] = ()
    budget: BudgetSpec | None = None
    pruning: PruningSpec | None = None
    prior: PriorSpec | None = None
    stop: StopSpec | None = None
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**31)] = 0
    controls: Annotated[bool, Before(False)] = True
    margin: Annotated[PositiveFloat, Before(0.01)] = 0.01

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 1 <= len(self.objectives) <= 2 or len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives must be one or two different ones, got {list(self.objectives)}")
        if self.sampler == "sufficient":
            self._check_sufficient()
        elif self.sampler != "grid" and self.budget is None:
            raise ValueError(f"sampler {self.sampler} needs an end: add budget: {{trials: N}} or budget: {{hours: H}}")
        if self.prior is not None and self.sampler not in ("grid", "tpe"):
            raise ValueError(f"a prior orders the grid or starts tpe; sampler {self.sampler} takes none")
        if self.stop is not None and len(self.objectives) > 1:
            raise ValueError("stop: no_improvement needs one objective; give a budget instead")
        if self.pruning is not None and self.objectives[0] in ("parameters", "flops", "latency_ms", "peak_memory_mb"):
            raise ValueError(
                f"pruning compares a metric over epochs; name one first in objectives, not {self.objectives[0]}"
            )
        return self

    def _check_sufficient(self) -> None:
        if len(self.objectives) > 1 or not is_metric(self.objectives[0]):
            raise ValueError("sampler sufficient needs one objective that is a metric, such as [miou]")
        for name, told in (("pruning", self.pruning), ("stop", self.stop), ("prior", self.prior)):
            if told is not None:
                raise ValueError(f"sampler sufficient decides itself what is trained, and to its end; leave {name} out")
        if self.budget is not None and self.budget.trials is not None:
            raise ValueError("sampler sufficient ends by itself; give budget: {hours: H} or none")
