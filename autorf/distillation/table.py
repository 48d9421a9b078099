"""What a distillation gained, as a table that can be printed again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autorf.data import Splits
from autorf.deployment.measuring import measured
from autorf.distillation.stage import Stage
from autorf.running.evidence import Evidence
from autorf.statistics import half_width, image_variance, influence, pooled
from autorf.study.published_spec import PublishedSpec

LABELS: Mapping[Stage, str] = {
    "teacher": "teacher",
    "alone": "student alone",
    "supervised": "distilled",
    "unsupervised": "+ unlabelled",
}


@dataclass(frozen=True)
class Cost:
    """What a network costs to run: its parameters, and how many images it segments a second, one after the other."""

    parameters: int
    frames_per_second: float


@dataclass(frozen=True)
class Row:
    """One network after one stage.

    Attributes:
        stage: which one.
        seeds: of its trainings.
        steps: of a training in all, earlier stages included.
        metrics: by name ``mean``, the half-width ``ci95`` of its 95 % interval, and the value of each seed.
        gains: by name what it has more than the student alone: ``mean`` and ``ci95`` of the paired difference, both
            None where seeds or images are too few to say.
        cost: of the network.
    """

    stage: Stage
    seeds: tuple[int, ...]
    steps: int
    metrics: dict[str, dict[str, Any]]
    gains: dict[str, dict[str, float | None]]
    cost: Cost


@dataclass(frozen=True)
class Table:
    """The rows, teacher first, and what is to be said of them.

    Attributes:
        study: its name.
        n_images: of the validation split, on which everything is measured.
        rows: one a stage.
        notes: what was computed anew, and the like.
        published: the figures of a paper that the study names, beside ours, in a sentence each.
    """

    study: str
    n_images: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    published: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "split": "val", "sentences": sentences(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Table":
        """The table that :meth:`to_json` wrote."""
        rows = [{**row, "seeds": tuple(row["seeds"]), "cost": Cost(**row["cost"])} for row in values["rows"]]
        return cls(
            values["study"],
            values["n_images"],
            tuple(Row(**row) for row in rows),
            tuple(values["notes"]),
            tuple(values.get("published") or ()),
        )

    def row(self, stage: Stage) -> Row:
        """The row of a stage."""
        return next(row for row in self.rows if row.stage == stage)


def row_of(
    stage: Stage,
    seeds: Sequence[int],
    steps: int,
    evidence: Sequence[Evidence],
    alone: Sequence[Evidence],
    splits: Splits,
    cost: Cost,
) -> Row:
    """A stage's row from what each of its seeds predicted.

    Args:
        stage, seeds, steps, cost: see :class:`Row`.
        evidence: of each seed, on the validation images.
        alone: of the student alone, seed for seed; empty where there is nothing to compare.
        splits: whose classes are meant.
    """
    scores = measured(evidence, splits)
    assert scores is not None, "every stage has a seed"
    gains = {name: _gain(evidence, alone, name, splits.left_out) for name in ("miou", "f1")} if alone else {}
    return Row(stage, tuple(seeds), steps, scores.metrics, gains, cost)


def _gain(
    evidence: Sequence[Evidence], alone: Sequence[Evidence], metric: str, left_out: Sequence[int]
) -> dict[str, float | None]:
    """The mean of the differences of the same seeds, and half its interval over seeds and images."""
    pairs = [(ours.tallies.numpy(), theirs.tallies.numpy()) for ours, theirs in zip(evidence, alone, strict=True)]
    values = [pooled(ours, metric, left_out) - pooled(theirs, metric, left_out) for ours, theirs in pairs]
    moved = np.stack(
        [influence(ours, metric, left_out) - influence(theirs, metric, left_out) for ours, theirs in pairs]
    )
    n_images = moved.shape[1]
    return {"mean": float(np.mean(values)), "ci95": half_width(values, image_variance(moved), n_images)}


def sentences(table: Table) -> list[str]:
    """What the table shows, in a sentence each."""
    teacher, alone = table.row("teacher"), table.row("alone")
    smaller = teacher.cost.parameters / alone.cost.parameters
    faster = alone.cost.frames_per_second / teacher.cost.frames_per_second
    lines = [
        f"The teacher has {smaller:.3g} times the student's parameters, and the student segments {faster:.3g} times as "
        "many images a second."
    ]
    for row in table.rows:
        if row.gains:
            lines.append(_gained(row, alone))
    return [*lines, *table.published]


def published_sentences(figures: Sequence[PublishedSpec], rows: Sequence[Row]) -> tuple[str, ...]:
    """The published figures of stages beside ours, in a sentence each."""
    of_stage = {row.stage: row for row in rows}
    sentences = []
    for figure in figures:
        row = None if figure.stage is None else of_stage.get(figure.stage)
        ours = None if row is None else row.metrics.get(figure.metric)
        if row is None or ours is None:
            continue
        sentences.append(
            f"{figure.paper}, Table {figure.table}, {figure.row}: {figure.metric} {figure.value:.4f} published; here "
            f"{ours['mean']:.4f} on the validation split ({LABELS[row.stage]})."
        )
    return tuple(sentences)


def _gained(row: Row, alone: Row) -> str:
    gain = row.gains["miou"]
    mean, ci95 = gain["mean"] or 0.0, gain["ci95"]
    seeds = f"{len(row.seeds)} seed{'s' * (len(row.seeds) > 1)}"
    steps = "equally many steps" if row.steps == alone.steps else f"{row.steps} steps against {alone.steps}"
    if ci95 is None:
        return f"{_start(row)} mIoU {mean:+.3f} over the student alone ({seeds}, {steps}): too few to say more."
    verdict = "no difference beyond chance" if abs(mean) <= ci95 else "better" if mean > 0 else "worse"
    return f"{_start(row)} mIoU {mean:+.3f} ± {ci95:.3f} over the student alone ({seeds}, {steps}): {verdict}."


def _start(row: Row) -> str:
    return "Distilled:" if row.stage == "supervised" else "Distilled, then without labels:"
