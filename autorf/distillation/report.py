"""A distillation as one HTML file: the table, and what teacher and students predict on the same images."""

from collections.abc import Mapping
from typing import Any

from autorf.distillation.speed import speed_chart
from autorf.distillation.stage import Stage
from autorf.distillation.table import LABELS, Row, Table, sentences
from autorf.reporting.blocks import Column, Samples, Section
from autorf.reporting.blocks import table as lines_of
from autorf.reporting.centres import centres_of
from autorf.reporting.page import Page, rendered, today
from autorf.reporting.samples import Shown, class_legend, sample_rows
from autorf.running.evidence import Evidence
from autorf.study.spec import StudySpec

_NUMBERS = ("mIoU", "F1", "over the student alone", "parameters", "frames/s", "steps", "seeds")


def page(spec: StudySpec, table: Table, evidence: Mapping[Stage, Evidence]) -> str:
    """The document, which needs no other file and no network.

    Args:
        spec: the study.
        table: what was measured.
        evidence: what the first seed of every stage predicted.
    """
    return rendered(
        Page(
            title=f"{table.study}: teacher and student",
            study=table.study,
            eyebrow=f"{spec.model.name} · {spec.data.name}",
            headline="What a student learns from its teacher",
            recommendation="",
            sentence=" ".join(sentences(table)),
            running="",
            notes=table.notes,
            picture=None,
            facts=(),
            sections=(_scores(table), _predictions(evidence), *_centres(evidence)),
            date=today(),
        )
    )


def _scores(table: Table) -> Section:
    lead = (
        f"On {table.n_images} validation images; intervals are of 95 %: over seeds and images, of one seed over images."
    )
    columns: list[Column | str] = [Column("", is_number=False), *_NUMBERS]
    rows = lines_of("Scores and costs of every stage", columns, [_cells(row) for row in table.rows])
    return Section("scores", "Scores and costs", lead, (rows, speed_chart(table)))


def _cells(row: Row) -> tuple[str, ...]:
    gain = row.gains.get("miou")
    return (
        LABELS[row.stage],
        interval(row.metrics["miou"]),
        interval(row.metrics["f1"]),
        "none" if gain is None else interval(gain, "+"),
        f"{row.cost.parameters:,}",
        f"{row.cost.frames_per_second:.4g}",
        f"{row.steps:,}",
        str(len(row.seeds)),
    )


def interval(metric: Mapping[str, Any], sign: str = "") -> str:
    """A mean, and half its interval where there is one.

    >>> interval({"mean": 0.5, "ci95": 0.012})
    '0.500 ± 0.012'
    """
    half = "" if metric["ci95"] is None else f" ± {metric['ci95']:.3f}"
    return f"{metric['mean']:{sign}.3f}{half}"


def _centres(evidence: Mapping[Stage, Evidence]) -> tuple[Section, ...]:
    return tuple(centres_of({LABELS[stage]: of_stage for stage, of_stage in evidence.items()}))


def _predictions(evidence: Mapping[Stage, Evidence]) -> Section:
    shown = [Shown(LABELS[stage], predicted) for stage, predicted in evidence.items()]
    samples = Samples(
        "Each row is a validation image: the image, its labels, and what the first seed of each network predicts.",
        tuple(class_legend(shown[0].evidence)),
        sample_rows(shown, []),
        (),
    )
    return Section("samples", "Predictions", "The same images, side by side.", (samples,))
