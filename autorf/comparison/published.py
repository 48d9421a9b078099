"""The figures of papers that a study should meet, beside what its trials reach."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Group, Row, members_of
from autorf.statistics import half_width
from autorf.study.objectives import group_of
from autorf.study.published import is_of
from autorf.study.published_spec import PublishedSpec
from autorf.study.spec import StudySpec


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure and ours.

    Attributes:
        study: whose file names it.
        paper, table, row, metric: see :class:`autorf.study.published_spec.PublishedSpec`.
        published: the paper's value.
        ours: the mean over the seeds of the configuration that it is of, on the validation split; None before one of
            them is complete.
        ci95: half-width of its 95 % interval over seeds; None for fewer than two.
        n: how many seeds.
        method, setting: of that configuration.
    """

    study: str
    paper: str
    table: str
    row: str
    metric: str
    published: float
    ours: float | None = None
    ci95: float | None = None
    n: int = 0
    method: str | None = None
    setting: str = ""

    @property
    def sentence(self) -> str:
        """Both in a line."""
        start = f"{self.paper}, Table {self.table}, {self.row}: {self.metric} {self.published:.4f} published"
        if self.ours is None:
            return f"{start}; not trained here yet"
        spread = "" if self.ci95 is None else f" ± {self.ci95:.4f}"
        seeds = f"{self.n} seed{'s' * (self.n > 1)}"
        return f"{start}; here {self.ours:.4f}{spread} on the validation split ({self.method}, {self.setting}; {seeds})"


def published_figures(
    studies: Sequence[StudyResults], groups: Sequence[Group], rows: Sequence[Row]
) -> tuple[PublishedFigure, ...]:
    """Every figure that the studies' files name of searches, in their order; those of distillations are left out."""
    return tuple(figure for study in studies for figure in _of_study(study, groups, rows))


def _of_study(study: StudyResults, groups: Sequence[Group], rows: Sequence[Row]) -> list[PublishedFigure]:
    if not study.spec.get("published"):
        return []
    try:
        spec = StudySpec.model_validate(dict(study.spec))
    except ValueError:
        # The stored file holds what this version does not know; its figures cannot be told apart then.
        return []
    own = [group for group in groups if group.study == study.name and group.control is None]
    return [_figure(entry, spec, own, rows) for entry in spec.published if entry.stage is None]


def _figure(entry: PublishedSpec, spec: StudySpec, groups: Sequence[Group], rows: Sequence[Row]) -> PublishedFigure:
    figure = PublishedFigure(spec.name, entry.paper, entry.table, entry.row, entry.metric, entry.value)
    reached = {
        index: values
        for index, group in enumerate(groups)
        if is_of(entry.where, spec, group.method, group.params) and (values := _values(group, rows, entry.metric))
    }
    if not reached:
        return figure
    best = max(reached, key=lambda index: mean(reached[index]))
    values, group = reached[best], groups[best]
    return replace(
        figure,
        ours=mean(values),
        ci95=half_width(values),
        n=len(values),
        method=group.method,
        setting=group.setting,
    )


def _values(group: Group, rows: Sequence[Row], metric: str) -> list[float]:
    """The metric of each of a group's trials that reports it."""
    label_group = group_of(metric)
    members = members_of(group, rows).values()
    values = [getattr(row, metric) if label_group is None else row.f1_groups.get(label_group) for row in members]
    return [value for value in values if value is not None]
