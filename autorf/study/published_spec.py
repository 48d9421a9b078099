"""What a study file says about the figures of a paper that its trials should meet. Light to import."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from autorf.specification import Number, Specification
from autorf.study.objectives import is_metric, known_objective
from autorf.tasks import METRICS
from autorf.training.results import GROUP


def _metric(name: str) -> str:
    if not is_metric(known_objective(name)):
        raise ValueError(f"figures of papers are of metrics: {', '.join(METRICS)} and {GROUP}GROUP, not {name}")
    return name


def _text(value: object) -> object:
    # Tables have Arabic numbers in some papers.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class PublishedSpec(Specification):
    """A published figure, which ``compare`` and the report print beside ours. Nothing is chosen or judged by it.

    Attributes:
        paper: that it is in, such as ``Wei et al. 2019``.
        table: of the paper.
        row: of the table, in the paper's words.
        metric: as objectives are called, such as ``f1_overall``.
        value: in the metric's unit, from 0 to 1.
        where: the configuration that it is of, by its method's fields and dotted keys of the study file; empty for the
            best of all.
        multiscale: whether the figure is over several sizes of the images, as ``evaluation`` names them.
        stage: of a study with ``distill``: the row of its table that the figure is of.
    """

    paper: str
    table: Annotated[str, BeforeValidator(_text)]
    row: str
    metric: Annotated[str, AfterValidator(_metric)]
    value: Annotated[Number, Field(ge=0, le=1)]
    where: dict[str, Any] = {}
    multiscale: bool = False
    stage: Literal["teacher", "alone", "supervised", "unsupervised"] | None = None
