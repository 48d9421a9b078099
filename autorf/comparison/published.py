"""The figures of papers that a study should meet, beside what its trials reach."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from autorf.comparison.groups import Group, members_of
from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row
from autorf.statistics import half_width
from autorf.study.objectives import group_of
from autorf.study.published import is_of
from autorf.study.published_spec import PublishedSpec
from autorf.study.spec import StudySpec
from autorf.training.results import MultiScaleScores


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
        multiscale: whether both are over several sizes of the images.
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
    multiscale: bool = False

    @property
    def sentence(self) -> str:
        """Both in a line."""
        metric = f"multi-scale {self.metric}" if self.multiscale else self.metric
        start = f"{self.paper}, Table {self.table}, {self.row}: {metric} {self.published:.4f} published"
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
    fused = {
        record.key: record.result.multiscale
        for record in study.records
        if record.result is not None and record.result.multiscale is not None
    }
    return [_figure(entry, spec, own, rows, fused) for entry in spec.published if entry.stage is None]


def _figure(
    entry: PublishedSpec,
    spec: StudySpec,
    groups: Sequence[Group],
    rows: Sequence[Row],
    fused: Mapping[str, MultiScaleScores],
) -> PublishedFigure:
    figure = PublishedFigure(
        spec.name, entry.paper, entry.table, entry.row, entry.metric, entry.value, multiscale=entry.multiscale
    )
    reached = {
        index: values
        for index, group in enumerate(groups)
        if is_of(entry.where, spec, group.method, group.params)
        and (values := _values(members_of(group, rows).values(), entry, fused))
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


def _values(members: Iterable[Row], entry: PublishedSpec, fused: Mapping[str, MultiScaleScores]) -> list[float]:
    """The metric of each of a group's trials that reports it."""
    label_group = group_of(entry.metric)
    values: list[float | None] = []
    for row in members:
        if not entry.multiscale:
            value = getattr(row, entry.metric) if label_group is None else row.f1_groups.get(label_group)
        elif row.key not in fused:
            value = None
        else:
            scores = fused[row.key]
            value = scores.metrics.get(entry.metric) if label_group is None else scores.groups.get(label_group)
        values.append(value)
    return [value for value in values if value is not None]
