"""Records of trials that never ran, and the files they would have left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from autorf.running.evidence import Evidence, write_evidence
from autorf.store.store import Record
from autorf.study.trial import trial_from
from autorf.training.results import EpochReport
from tests.reports import epoch_report, trial_result

SPEC: dict[str, Any] = {
    "data": {"name": "digits", "object_size": [24], "image_size": [96, 96], "n_train": 8, "n_val": 4},
    "model": {"name": "largefov:test_byobnet", "dilation": 1},
    "training": {"epochs": 2, "threads": 1},
    "search": {"objectives": ["miou"], "constraints": []},
}


def spec(**parts: dict[str, Any]) -> dict[str, Any]:
    """The study file with some values of its parts changed."""
    return {name: {**part, **parts.get(name, {})} for name, part in SPEC.items()}


def record(method: str, miou: float | None, seed: int = 0, state: str = "", **params: Any) -> Record:
    """A complete trial of 10 seconds, or a failed one where there is no ``miou``."""
    configuration = {"method": method, **params}
    state = state or ("complete" if miou is not None else "failed")
    rf = 11.0 + 8 * (params.get("rate") or 3)
    result = {
        "miou": miou, "f1": 0.5, "pixel_accuracy": 0.9, "rf": [rf, rf], "rnorm": rf / 96, "train_seconds": 10.0,
        "values": {"dilation": 3.0} if method == "learned_dilation" else {}, "split": "val", "epochs": 2,
        "iou_per_class": {"background": 0.9, "a": miou, "b": None},
    }  # fmt: skip
    return Record(
        row=0,
        key=trial_from(configuration, seed).key,
        trial=trial_from(configuration, seed),
        configuration=configuration,
        seed=seed,
        state=state,  # type: ignore[arg-type]
        attempt=1,
        result=trial_result(**result) if state == "complete" else None,
        history=history(2, 5.0) if state == "complete" else (),
        reason="out of memory" if state == "failed" else None,
    )


def history(n_epochs: int, seconds: float, begin: int = 0) -> tuple[EpochReport, ...]:
    """Epochs of so many seconds each."""
    return tuple(
        epoch_report(epoch, rf=[35, 35], rnorm=0.36, seconds=seconds * (epoch + 1))
        for epoch in range(begin, begin + n_epochs)
    )


def leave_evidence(
    folder: Path, trial: Record, shares: list[float], *, labelled: int = 100, more: Sequence[tuple[int, int]] = ()
) -> None:
    """Images with ``labelled`` pixels each of background and of ``a``; ``shares`` of those of ``a`` are right.

    The image ``i`` has an object of class ``a`` of ``100 * (i + 1)`` pixels; ``more`` are classes and areas of others
    in the first image, of which nothing is right.
    """
    cells, counts = [], []
    for image, share in enumerate(shares):
        right = round(share * labelled)
        cells += [[image, 0, 0], [image, 1, 1], [image, 1, 0]]
        counts += [labelled, right, labelled - right]
    n = len(shares)
    objects = torch.tensor([[i, 1, 100 * (i + 1), round(share * 100 * (i + 1))] for i, share in enumerate(shares)])
    objects = torch.cat([objects, torch.tensor([[0, *one, 0] for one in more]).view(-1, 4)])
    size = (1, 4, 4)
    write_evidence(
        folder / "trials" / trial.key,
        Evidence(
            ("background", "a", "b"), None, n, torch.tensor(cells), torch.tensor(counts), objects.int(),
            torch.arange(1, len(objects) + 1).float(), torch.zeros(1, dtype=torch.long),
            torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
            torch.zeros(size, dtype=torch.int16), torch.zeros(size, dtype=torch.int16),
            torch.zeros(size, dtype=torch.float16) if trial.configuration["method"] == "scale_adaptive" else None,
            "scale" if trial.configuration["method"] == "scale_adaptive" else None,
        ),
    )  # fmt: skip
