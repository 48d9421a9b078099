"""Studies that were never trained: records as the store gives them, and evidence as the runner leaves it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from autorf.comparison import StudyResults
from autorf.reporting import ReportData, report_data, report_page
from autorf.running.evidence import Evidence, write_evidence
from autorf.store.store import Record
from autorf.study.spec import parse_study
from autorf.study.trial import trial_from
from tests.reports import epoch_report, trial_result
from tests.tiny import TINY

LEARNED: dict[str, Callable[[int], dict[str, float]]] = {
    "dilation": lambda epoch: {},
    "inflation": lambda epoch: {"f": 1 + 0.1 * epoch},
    "learned_dilation": lambda epoch: {"dilation": 4.0 - epoch},
    "scale_adaptive": lambda epoch: {"scale": 1 + 0.1 * epoch, "scale_std": 0.2, "scale_min": 0.5, "scale_max": 2.0},
    "pixel_adaptive": lambda epoch: {"dilation": 2 - 0.1 * epoch, "dilation_variance": 0.25},
}
CONFIGURATIONS: list[dict[str, Any]] = [
    *({"method": "dilation", "rate": rate} for rate in (1, 2, 3, 4)),
    {"method": "inflation", "dilation": 2},
    {"method": "learned_dilation", "start": 4.0},
    {"method": "scale_adaptive"},
    {"method": "pixel_adaptive"},
]


def make_record(
    row: int, configuration: dict[str, Any], seed: int = 0, state: str = "complete", **changes: Any
) -> Record:
    """A trial with two epochs; ``changes`` are fields of the record, those of its result as ``result_NAME``.

    The best manual field is ``best`` pixels, on images of side ``image``.
    """
    method = str(configuration["method"])
    side, image, best = 11.0 + 8 * configuration.get("rate", 2.5), changes.pop("image", 48), changes.pop("best", 27)
    place = {"rf": [side, side], "rnorm": side / image}
    miou = 0.6 - 0.002 * (side - best) ** 2 / 10 + 0.01 * seed
    history = [
        epoch_report(epoch, loss=1.0, miou=miou / (2 - epoch), seconds=5.0, **LEARNED[method](epoch), **place)
        for epoch in range(2)
    ]
    result = {
        "miou": miou, "f1": miou + 0.1, "pixel_accuracy": 0.9, "split": "val", "values": LEARNED[method](1), **place,
        "iou_per_class": {"background": 0.9, "one": miou}, "f1_per_class": {"background": 0.95, "one": miou},
        "train_seconds": 10.0, "parameters": 1000 + row, "epochs": 2,
    }  # fmt: skip
    result |= {name.removeprefix("result_"): changes.pop(name) for name in list(changes) if name.startswith("result_")}
    done = state == "complete"
    return Record(
        row=row,
        key=f"{row:012x}",
        configuration=configuration,
        seed=seed,
        state=state,  # type: ignore[arg-type]
        attempt=1,
        trial=trial_from(configuration, seed),
        result=trial_result(**result) if done else None,
        history=tuple(history) if done else (),
        **changes,
    )


def make_evidence(side: int = 48, classes: Sequence[str] = ("background", "one", "two"), **changes: Any) -> Evidence:
    """Evidence of 4 images with 3 samples of ``side`` pixels."""
    truth = torch.zeros(3, side, side, dtype=torch.int16)
    truth[:, side // 4 : side // 2] = 1
    facts: dict[str, Any] = {
        "class_names": tuple(classes), "ignore_index": None, "n_images": 4,
        "cells": torch.tensor([[image, label, label] for image in range(4) for label in range(2)]),
        "counts": torch.full((8,), side * side // 8),
        "objects": torch.tensor([[0, 1, 100, 80], [1, 1, 900, 450], [2, 0, 2000, 1900]] * 5, dtype=torch.int32),
        "object_scales": torch.full((15,), float("nan")),
        "sample_indices": torch.tensor([0, 2, 3]),
        "samples": torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8),
        "sample_truth": truth, "sample_prediction": truth.roll(2, dims=1),
    }  # fmt: skip
    return Evidence(**{**facts, **changes})


def make_results(folder: Path, records: Sequence[Record], **changes: Any) -> StudyResults:
    """A study of the tiny study file with these records."""
    spec = parse_study({**TINY, **changes}, "tiny.yaml").model_dump(mode="json")
    return StudyResults(spec["name"], tuple(records), tuple(records), spec, folder)


def make_report_data(folder: Path, records: Sequence[Record], **changes: Any) -> ReportData:
    """The same, compared."""
    return report_data([make_results(folder, records, **changes)])


@pytest.fixture(scope="session")
def page(whole: ReportData) -> str:
    """The report of ``whole``, rendered once."""
    return report_page(whole.studies)


@pytest.fixture
def records() -> list[Record]:
    """The trials of :func:`every_method`."""
    return every_method()


def every_method() -> list[Record]:
    """Every method under two seeds, then a running and a failed trial."""
    done = [(configuration, seed) for seed in range(2) for configuration in CONFIGURATIONS]
    found = [make_record(row, configuration, seed) for row, (configuration, seed) in enumerate(done)]
    failed = make_record(100, {"method": "dilation", "rate": 8}, state="failed", reason="out of memory")
    return [*found, failed, make_record(101, {"method": "dilation", "rate": 6}, state="running")]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """A study with everything a report can show."""
    folder, records = tmp_path_factory.mktemp("whole"), every_method()
    for record in records:
        if record.state == "complete":
            pixelwise = str(record.configuration["method"]).endswith("adaptive")
            extra = {"maps": torch.rand(3, 48, 48).half(), "map_name": "scale"} if pixelwise else {}
            write_evidence(folder / "trials" / record.key, make_evidence(**extra))
    return make_report_data(folder, records, search={"objectives": ["miou", "parameters"]})
