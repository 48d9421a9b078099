"""A small study that classifies pictures."""

from pathlib import Path
from typing import Any

from autorf.running.runner import run
from autorf.store.store import Store
from autorf.study.job import Job
from autorf.study.spec import parse_study
from autorf.study.trial import grid

CLASSIFIED: dict[str, Any] = {
    "name": "classified",
    "task": "classification",
    "data": {
        "name": "digit_classes",
        "image_size": 32,
        "object_size": [10, 24],
        "n_train": 24,
        "n_val": 12,
        "n_test": 8,
    },
    "model": {"name": "timm:test_resnet", "output_stride": 8},
    "search_space": [
        {"method": "dilation", "targets": ["layer4.0.conv2"], "rate": 1},
        {"method": "pixel_adaptive", "targets": ["layer4.0.conv2"], "rates": [[1, 2, 4]]},
    ],
    "training": {"epochs": 1, "batch_size": 12, "lr": 3e-3},
    "search": {"controls": False},
    "executor": {"workers": 1},
}


def train_classified(root: Path) -> list[str]:
    """Train a manual and a per-pixel trial in this process; returns their keys."""
    spec = parse_study(CLASSIFIED, "classified.yaml")
    store = Store(root / "classified", "classified")
    store.register(spec, grid(spec, "classified.yaml"))
    while (record := store.claim()) is not None:
        folder = store.folder / "trials" / record.key
        result = run(Job(record.row, record.key, record.configuration, record.seed, spec, folder), lambda _: None)
        store.complete(record, result, result.by_name["accuracy"])
    return [record.key for record in store.records()]
