"""Small studies on folders of pictures, retrained in this process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autorf.deployment import retrain as module
from autorf.deployment.retrain import Options, retrain
from autorf.running.runner import run
from autorf.store.code import remember_code
from autorf.store.store import Store
from autorf.study.job import Job
from autorf.study.own_code import with_own_code
from autorf.study.spec import parse_study
from autorf.study.trial import grid
from tests.study.trained import Here

NET = """from torch import nn


def build(classes):
    first, second = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, classes, 3, padding=1)
    return nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), second)
"""

FOLDER: dict[str, Any] = {"name": "folder", "root": "data", "classes": ["ground", "a", "b"], "image_size": [32, 32]}
RESIZED: dict[str, Any] = {
    "name": "resized",
    "data": FOLDER,
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [{"method": "dilation", "rate": [1]}],
    "training": {"epochs": 2, "batch_size": 4, "lr": 0.02},
}
CROPPED: dict[str, Any] = {
    **RESIZED,
    "name": "cropped",
    "data": {**FOLDER, "fit": "crop"},
    "model": {"name": "python:./net.py:build"},
    "search_space": [{"method": "dilation", "rate": [2], "targets": "3"}],
}


def write_pictures(folder: Path, n_train: int = 6, n_val: int = 3) -> None:
    """Pictures of two sizes whose colours tell the classes, and their masks."""
    rng = np.random.default_rng(0)
    for number in range(n_train + n_val):
        size = (40, 56) if number % 2 else (52, 44)
        mask = np.zeros(size, np.uint8)
        top, left = rng.integers(0, 20, 2)
        mask[top : top + 18, left : left + 18] = 1 + number % 2
        colours = np.stack([mask * 100, 255 - mask * 90, mask * 40], -1) + rng.integers(-20, 20, (*size, 3))
        split = folder / ("train" if number < n_train else "val")
        for part, pixels in (("images", colours.clip(0, 255).astype(np.uint8)), ("masks", mask)):
            (split / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(split / part / f"p{number}.png")


def retrained(folder: Path, study: Mapping[str, Any]) -> Path:
    """Train and retrain the study's one trial under ``folder/runs``; the model's folder."""
    spec = parse_study({**study, "data": {**study["data"], "root": str(folder / "data")}}, "study.yaml")
    if spec.model.name.startswith("python:"):
        (folder / "net.py").write_text(NET)
        spec = with_own_code(spec, "study.yaml", folder)
    store = Store(folder / "runs" / spec.name, spec.name)
    store.register(spec, grid(spec, "study.yaml"))
    remember_code(store, spec.code)
    record = store.claim()
    assert record is not None
    own = store.folder / "trials" / record.key
    result = run(Job(record.row, record.key, record.configuration, record.seed, spec, own), lambda _: None)
    store.complete(record, result, 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_local", lambda *_: Here())
        return retrain(folder / "runs", spec.name, Options(), quiet=True).folder
