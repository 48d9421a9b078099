"""Processes that prepare batches: the same batches whatever their number, and the same training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from autorf.data import FolderData, load
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import InMemory
from autorf.data.splits import Splits
from autorf.running.runner import run, splits_of
from autorf.study.job import Job
from autorf.study.spec import StudySpec, counted, parse_study
from autorf.study.trial import grid
from autorf.training.batches import SMALL, loader, usual_workers
from autorf.training.results import EpochReport

AUGMENTATION = {"flip": True, "scale": [0.7, 1.4], "colour": {"brightness": 0.4}, "rotation": 20}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for number in range(count):
            mask = np.zeros((52, 44 + 2 * number), np.uint8)
            top, left = rng.integers(0, 20, 2)
            mask[top : top + 20, left : left + 20] = 1
            image = np.stack([mask * 100, 255 - mask * 90, mask * 40], -1) + rng.integers(-20, 20, (*mask.shape, 3))
            for part, pixels in (("images", image.clip(0, 255).astype(np.uint8)), ("masks", mask)):
                (tmp_path / "data" / split / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / "data" / split / part / f"{split}{number}.png")
    return tmp_path / "data"


def splits_in(root: Path, **values: Any) -> Splits:
    data = {"classes": 2, "patches": {"size": [32, 32], "per_image": 2, "rare": 0.5}, "augmentation": AUGMENTATION}
    return load(FolderData(root=root, **{**data, **values}), 3, cache=root.parent / "cache")


def batches(images: SegmentationSet, workers: int, period: int | None) -> list[tuple[Tensor, Tensor]]:
    """Those of three epochs, or periods, as Lightning asks for them."""
    made = loader(images, 4, 5, shuffle=True, period=period, workers=workers)
    listed = []
    for epoch in range(3):
        made.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        listed += list(made)
    return listed


@pytest.mark.parametrize("period", [None, 4])
def test_batches_are_the_same_whatever_the_number_of_processes(root: Path, period: int | None) -> None:
    expected = batches(splits_in(root).train, 0, period)
    assert len(expected) == 3 * (period or 3)
    for workers in (1, 2):
        made = batches(splits_in(root).train, workers, period)
        assert len(made) == len(expected)
        for ours, theirs in zip(made, expected, strict=True):
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
    assert not torch.equal(expected[0][0], expected[period or 3][0]), "every epoch draws anew"


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("period", [None, 4])
def test_an_epoch_that_is_told_after_its_round_has_begun_is_the_one_that_is_drawn(
    root: Path, workers: int, period: int | None
) -> None:
    """As Lightning goes about it where a training is resumed."""
    expected = batches(splits_in(root).train, 0, period)[2 * (period or 3) :]
    made = loader(splits_in(root).train, 4, 5, shuffle=True, period=period, workers=workers)
    begun = iter(made)
    made.sampler.set_epoch(2)  # type: ignore[attr-defined]
    for ours, theirs in zip(begun, expected, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def study(root: Path, workers: int) -> StudySpec:
    spec = {
        "name": "patchy",
        "data": {
            "name": "folder",
            "root": str(root),
            "classes": ["ground", "thing"],
            "patches": {"size": [32, 32], "per_image": 2, "rare": 0.5},
            "augmentation": AUGMENTATION,
        },
        "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
        "search_space": [{"method": "dilation", "rate": [2]}],
        "training": {"epochs": 2, "batch_size": 4, "lr": 0.02, "loader_workers": workers},
    }
    return parse_study(spec, "study.yaml").with_cache(root.parent / "cache")


def trained(root: Path, folder: Path, workers: int, stop_after: int | None = None) -> tuple[Any, list[EpochReport]]:
    spec = study(root, workers)
    spec = counted(spec, len(splits_of(spec).train), "study.yaml")
    (trial,) = grid(spec, "study.yaml")
    epochs: list[EpochReport] = []
    job = Job(0, trial.key, trial.configuration, 0, spec, folder)
    return run(job, epochs.append, lambda: len(epochs) == stop_after), epochs


def measured(result: Any, epochs: list[EpochReport]) -> tuple[Any, ...]:
    return result.metrics, result.learned, [(epoch.loss, epoch.metrics) for epoch in epochs]


def test_training_and_resuming_come_to_the_same_whatever_the_number_of_processes(root: Path, tmp_path: Path) -> None:
    here = measured(*trained(root, tmp_path / "a", 0))
    assert measured(*trained(root, tmp_path / "b", 2)) == here
    _, first = trained(root, tmp_path / "c", 2, stop_after=1)
    assert len(first) == 1
    result, epochs = trained(root, tmp_path / "c", 0)
    assert measured(result, epochs[-2:])[:2] == here[:2]


def test_a_second_trial_decodes_no_file(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(root, tmp_path / "a", 0)
    splits_of.__globals__["_splits_by"].cache_clear()

    def refuse(*_: object) -> None:
        raise AssertionError("a file is decoded")

    monkeypatch.setattr("autorf.data.decoding.Decoder.pixels", refuse)
    monkeypatch.setattr("autorf.data.decoding.Decoder.classes", refuse)
    result, _ = trained(root, tmp_path / "b", 0)
    assert result.epochs == 2


@pytest.mark.parametrize(
    ("decoded", "cores", "trials", "expected"),
    [(SMALL, 16, 1, 0), (SMALL + 1, 16, 2, 7), (SMALL + 1, 2, 2, 0), (SMALL + 1, 64, 2, 8), (None, 8, 2, 3)],
)
def test_the_usual_number_of_processes(decoded: int | None, cores: int, trials: int, expected: int) -> None:
    class Images(SegmentationSet):
        @property
        def decoded_bytes(self) -> int | None:
            return decoded

    tiny = InMemory(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(1, 4, 4, dtype=torch.uint8))
    assert usual_workers(Images(tiny, (4, 4), None), cores, trials) == expected
