"""Whatever a trial is trained on: killed in every epoch and resumed each time, it has the bits of an undisturbed one.

Batches are prepared by a process of their own, as they are where images are read one by one.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from autorf.own_code.importing import importable
from autorf.running.runner import run, splits_of
from autorf.study.job import Job
from autorf.study.own_code import with_own_code
from autorf.study.spec import StudySpec, counted, parse_study
from autorf.study.trial import grid
from autorf.training.module import SegmentationModule
from autorf.training.results import EpochReport
from tests.folded_study import Killed, write_pictures
from tests.tiny import TINY

OWN_DATA = """
import random
import numpy as np
import torch

class Noise(torch.utils.data.Dataset):
    def __init__(self, n, seed, draws=False):
        self.n, self.seed, self.draws = n, seed, draws
    def __len__(self):
        return self.n
    def __getitem__(self, index):
        image = np.random.default_rng([self.seed, index]).normal(size=(3, 24, 24)).astype(np.float32)
        mask = (image[0] > 0).astype(np.uint8)
        if self.draws:
            image = image + random.random() * np.random.rand() * float(torch.rand(()))
        return image, mask

def build():
    return Noise(8, 0, draws=True), Noise(4, 1)
"""
WHOLE = {"name": "folder", "root": "data", "classes": 2}
PICTURES = {**WHOLE, "image_size": 24}
OWN = {"name": "python", "factory": "python:./own_noise.py:build", "classes": 2, "image_size": [24, 24]}
AUGMENTATION = {"flip": True, "scale": [0.7, 1.4]}
KINDS: dict[str, dict[str, Any]] = {
    "own data": {"data": OWN},
    "own data by steps": {"data": OWN, "training": {"steps": 12, "validate_every": 3}},
    "pictures": {"data": {**PICTURES, "augmentation": AUGMENTATION}},
    "patches": {"data": {**WHOLE, "patches": {"size": [16, 16], "per_image": 2, "rare": 0.5}}},
    "folds": {"data": {**PICTURES, "folds": 2, "augmentation": AUGMENTATION}},
}


@pytest.fixture(params=KINDS)
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StudySpec]:
    write_pictures(tmp_path / "data", test=False)
    (tmp_path / "own_noise.py").write_text(OWN_DATA)
    given = KINDS[request.param]
    data = {**given["data"], **({"root": str(tmp_path / "data")} if "root" in given["data"] else {})}
    training = {**given.get("training", {"epochs": 4}), "batch_size": 2, "loader_workers": 1}
    space = [{"method": "learned_dilation", "start": 2, "search": 0.5}]
    values = {**TINY, "data": data, "training": training, "search_space": space}
    parsed = with_own_code(parse_study(values, "study.yaml"), "study.yaml", tmp_path).with_cache(tmp_path / "cache")
    with importable(parsed.code):
        yield counted(parsed, len(splits_of(parsed).train), "study.yaml")


def bits(epochs: list[EpochReport]) -> list[EpochReport]:
    return [replace(epoch, seconds=None, cpu_seconds=None) for epoch in epochs]


def test_a_trial_that_is_killed_in_every_epoch_has_the_bits_of_the_undisturbed_one(
    spec: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = grid(spec, "study.yaml")[0]

    def job(folder: str, reached: int = 0) -> Job:
        return Job(1, trial.key, trial.configuration, 0, spec, tmp_path / folder, reached=reached)

    undisturbed: list[EpochReport] = []
    whole = run(job("undisturbed"), undisturbed.append)
    assert len(undisturbed) == 4
    assert len({epoch.loss for epoch in undisturbed}) == 4

    step: Callable[..., Tensor] = SegmentationModule.training_step
    resumed: list[EpochReport] = []

    def until_killed(module: SegmentationModule, batch: Any, number: int) -> Tensor:
        # Each attempt is left to finish one epoch, and killed in the middle of the next.
        if module.current_epoch == attempt and number == 1:
            raise Killed
        return step(module, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, "training_step", until_killed)
        for attempt in range(1, 4):
            with pytest.raises(Killed):
                run(job("killed", len(resumed)), resumed.append)
            assert len(resumed) == attempt
    result = run(job("killed", len(resumed)), resumed.append)
    assert bits(resumed) == bits(undisturbed)
    assert result.iou_per_class == whole.iou_per_class
