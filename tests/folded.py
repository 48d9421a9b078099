"""Trials of data in folds that never ran: their records, and the evidence that they would have left."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autorf.comparison import StudyResults
from autorf.running.evidence import Evidence, write_evidence
from autorf.store.record import Record, State
from autorf.study.trial import trial_from
from autorf.training.results import Matrix
from tests.reports import trial_result

CLASSES = ("background", "a", "b")
DATA: dict[str, Any] = {
    "name": "folder",
    "root": "pictures",
    "image_size": [96, 96],
    "classes": list(CLASSES),
    "groups": {"things": ["a", "b"]},
    "folds": 3,
}
SPEC: dict[str, Any] = {
    "data": DATA,
    "model": {"name": "largefov:test_byobnet", "dilation": 1},
    "training": {"epochs": 2, "threads": 1, "seeds": [0, 1]},
    "search": {"objectives": ["miou"], "constraints": []},
}
Counts = Sequence[Sequence[int]]


def fold(
    counts: Counts,
    number: int,
    seed: int = 0,
    state: State = "complete",
    reason: str | None = None,
    **configuration: Any,
) -> Record:
    """A trial on one fold, whose validation pixels are ``counts`` ``[label][prediction]``."""
    own = configuration if "method" in configuration else {"method": "dilation", "rate": 1, **configuration}
    given = {**own, "data.fold": number}
    trial = trial_from(given, seed)
    rf = 11.0 + 8 * given.get("rate", 3)
    matrix = torch.tensor(counts)
    labelled, predicted, right = matrix.sum(1), matrix.sum(0), matrix.diag()
    iou = {
        name: float(right[c] / (labelled[c] + predicted[c] - right[c])) if labelled[c] else None
        for c, name in enumerate(CLASSES)
    }
    known = [value for value in iou.values() if value is not None]
    result = {
        "miou": sum(known) / len(known), "f1": 0.5, "pixel_accuracy": 0.5, "rf": [rf, rf], "rnorm": rf / 96,
        "steps": 12, "train_seconds": 3.0, "cpu_seconds": 2.0 + number, "device": "cpu", "iou_per_class": iou,
        "mean_over": "labelled", "confusion": [list(row) for row in counts],
        "values": {"dilation": 3.0 + number} if given["method"] == "learned_dilation" else {},
    }  # fmt: skip
    return Record(
        row=100 * seed + number,
        key=trial.key,
        configuration=trial.configuration,
        seed=seed,
        state=state,
        attempt=1,
        trial=trial,
        result=trial_result(**result) if state == "complete" else None,
        reason=reason,
    )


def replicate(counts: Sequence[Counts], seed: int = 0, **configuration: Any) -> list[Record]:
    """A trial on each fold."""
    return [fold(of_fold, number, seed, **configuration) for number, of_fold in enumerate(counts)]


def of_row(records: Sequence[Record]) -> list[Record]:
    """The records with rows in their order."""
    return [replace(record, row=row) for row, record in enumerate(records)]


def study(records: Sequence[Record], folder: Path | None = None, **notes: Any) -> StudyResults:
    """A study of these trials."""
    rows = tuple(of_row(records))
    return StudyResults("faces", rows, rows, SPEC, folder, notes=notes)


def pooled_miou(counts: Sequence[Counts]) -> float:
    """The mean IoU of all folds' pixels in one matrix, by hand."""
    total: Matrix = tuple(
        tuple(sum(of_fold[label][prediction] for of_fold in counts) for prediction in range(3)) for label in range(3)
    )
    ious = []
    for c in range(3):
        labelled, predicted = sum(total[c]), sum(total[label][c] for label in range(3))
        if labelled:
            ious.append(total[c][c] / (labelled + predicted - total[c][c]))
    return sum(ious) / len(ious)


def leave_evidence(folder: Path, record: Record, images: Sequence[Counts], sides: Sequence[int] = (8,)) -> None:
    """Evidence of one trial: the pixels of each of its images, with an object of class ``a`` of each of the sides."""
    cells, counts, objects = [], [], []
    for image, of_image in enumerate(images):
        for label, row in enumerate(of_image):
            for prediction, pixels in enumerate(row):
                if pixels:
                    cells.append([image, label, prediction])
                    counts.append(pixels)
        objects += [[image, 1, side * side, side] for side in sides]
    n, size = len(images), (4, 4)
    write_evidence(
        folder / "trials" / record.key,
        Evidence(
            CLASSES, None, n, torch.tensor(cells), torch.tensor(counts), torch.tensor(objects, dtype=torch.int32),
            torch.full((len(objects),), float("nan")), torch.arange(n), torch.zeros(n, 3, *size, dtype=torch.uint8),
            torch.zeros(n, *size, dtype=torch.int16), torch.full((n, *size), record.fold or 0, dtype=torch.int16),
        ),
    )  # fmt: skip
