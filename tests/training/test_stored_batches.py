"""Batches go to the device as they are stored, and become there what they became on the host: not a bit is another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from torch import Tensor

from autorf.data import SegmentationSet, load
from autorf.data.decoding import numbers_of
from autorf.data.mapped import Mapped
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.data.spec import FolderData
from autorf.running.runner import run, splits_of
from autorf.study.job import Job
from autorf.study.spec import counted, parse_study
from autorf.study.trial import grid
from autorf.training.batches import loader
from autorf.training.module import SegmentationModule
from tests.tiny import TINY

AUGMENTATION = {"flip": True, "scale": [0.7, 1.4], "colour": {"brightness": 0.4}, "rotation": 20, "blur": [0.5, 1]}
NETWORK = {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True}


@pytest.fixture(autouse=True)
def _data_anew() -> None:
    splits_of.__globals__["_splits_by"].cache_clear()


def write_arrays(root: Path, kind: str, channels: int, size: tuple[int, int] = (40, 48)) -> None:
    """Seven pictures of so many channels, whose second half is brighter where the mask is 1."""
    rng = np.random.default_rng(0)
    most = {"uint8": 255, "uint16": 65535, "float32": 3.0}[kind]
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for number in range(7):
        mask = np.zeros(size, np.uint8)
        top, left = rng.integers(0, 16, 2)
        mask[top : top + 16, left : left + 16] = 1
        image = (rng.random((channels, *size)) * 0.5 + 0.5 * mask) * most
        tifffile.imwrite(root / "images" / f"{number}.tif", image.astype(kind), photometric="minisblack")
        np.save(root / "masks" / f"{number}.npy", mask)


def folder(root: Path, kind: str, channels: int, **values: Any) -> dict[str, Any]:
    write_arrays(root, kind, channels)
    size = {} if "patches" in values else {"image_size": [32, 32]}
    return {"name": "folder", "root": str(root), "classes": ["a", "b"], "channels": channels, **size, **values}


def on_the_host(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """What was done before a batch was sent, in its order."""
    means, stds = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    unit = 255 if images.dtype == torch.uint8 else 1
    return images.to(torch.float32, copy=True).mul_(1 / (unit * stds)).sub_(means / stds)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_every_number_that_a_picture_can_hold_becomes_what_it_became(kind: str) -> None:
    whole = np.arange(65536).reshape(2, 2, 128, 128)
    pixels = (whole % 256 if kind == "uint8" else whole).astype(kind)
    rule = Normalisation((0.3, 0.56), (0.17, 0.29))
    stored = torch.from_numpy(pixels)
    before = stored.clone()
    expected = on_the_host(torch.from_numpy(numbers_of(pixels)), rule.mean, rule.std)
    with torch.inference_mode():
        assert torch.equal(rule(stored), expected)
    # What is kept of the first call serves the next, in another mode too.
    assert torch.equal(rule(stored.requires_grad_() if kind == "float32" else stored).detach(), expected)
    assert torch.equal(before, stored)


@pytest.mark.parametrize(
    ("kind", "values", "stored"),
    [
        ("uint8", {"fit": "crop"}, torch.uint8),
        ("uint16", {"fit": "crop"}, torch.uint16),
        ("uint16", {"fit": "crop", "half": "a"}, torch.uint16),
        ("uint16", {"fit": "crop", "augmentation": {"flip": True}}, torch.float32),
        ("uint16", {}, torch.float32),
        ("float32", {"fit": "crop"}, torch.float32),
    ],
    ids=str,
)
def test_a_loader_gives_what_is_stored_and_numbers_are_those_of_tensors(
    tmp_path: Path, kind: str, values: dict[str, Any], stored: torch.dtype
) -> None:
    plain = folder(tmp_path / "data", kind, 5, **values)
    images = load(FolderData.model_validate(plain), 3, cache=tmp_path / "cache").train
    batches = loader(images, 4, 0, shuffle=True)
    (image, mask), *_ = batches
    assert (image.dtype, mask.dtype) == (stored, torch.uint8)
    (chosen, *_) = list(batches.sampler)
    for ours, theirs in zip(images.numbers(image, mask), images.tensors(chosen.indices), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_a_batch_of_the_cache_is_one_copy_of_its_bytes(tmp_path: Path) -> None:
    images = load(FolderData.model_validate(folder(tmp_path / "data", "uint8", 3)), cache=tmp_path / "cache").train
    assert isinstance(images.source, Mapped)
    image, mask = images.stored([2, 0])
    assert image.is_contiguous()
    assert (image.nbytes, mask.nbytes) == (2 * 3 * 32 * 32, 2 * 32 * 32)
    before = images.stored([2])[0].clone()
    image.zero_()
    assert torch.equal(images.stored([2])[0], before), "what is kept stays as it is"


def trained(data: dict[str, Any], place: Path, seed: int, **training: Any) -> tuple[Any, ...]:
    """All that a short training measured, and its weights."""
    splits_of.__globals__["_splits_by"].cache_clear()
    values = {
        "name": "stored",
        "data": data,
        "model": NETWORK,
        "search_space": [{"method": "dilation", "rate": [2]}],
        "training": {"epochs": 2, "batch_size": 4, "lr": 0.02, **training},
    }
    spec = parse_study(values, "study.yaml").with_cache(place / "cache")
    spec = counted(spec, len(splits_of(spec).train), "study.yaml")
    (trial,) = grid(spec, "study.yaml")
    epochs: list[Any] = []
    job = Job(0, trial.key, trial.configuration, seed, spec, place / "trial")
    result = run(job, epochs.append)
    curve = [(epoch.loss, epoch.metrics) for epoch in epochs]
    return result.metrics, result.iou_per_class, curve, (job.folder / "model.safetensors").read_bytes()


DATA: dict[str, Callable[[Path], dict[str, Any]]] = {
    "digits": lambda root: {**TINY["data"], "n_train": 16, "augmentation": AUGMENTATION},
    "bytes": lambda root: folder(root, "uint8", 3),
    "16 bits": lambda root: folder(root, "uint16", 5, fit="crop"),
    "16 bits in patches": lambda root: folder(root, "uint16", 2, patches={"size": [24, 24], "per_image": 2}),
    "numbers, changed at random": lambda root: folder(
        root, "float32", 2, augmentation={"flip": True, "scale": [0.8, 1.2]}
    ),
    "masks at their own size": lambda root: folder(root, "uint8", 3, score_at="mask"),
}


@pytest.mark.parametrize("name", DATA)
def test_a_training_ends_in_the_bits_that_it_ended_in_when_the_host_normalised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = DATA[name](tmp_path / "data")
    ours = trained(data, tmp_path / "ours", 1)

    def tensors(images: SegmentationSet, indices: list[int]) -> tuple[Tensor, Tensor]:
        image, mask = images.unchanged(indices)
        if images.augment is not None:
            pairs = [images.augment(i, m, images.epoch, at) for i, m, at in zip(image, mask, indices, strict=True)]
            image, mask = (torch.stack(part) for part in zip(*pairs, strict=True))
        return on_the_host(image, images.normalisation.mean, images.normalisation.std), mask.long()

    monkeypatch.setattr(SegmentationSet, "stored", tensors)
    monkeypatch.setattr(SegmentationModule, "on_after_batch_transfer", lambda self, batch, index: batch)
    assert trained(data, tmp_path / "theirs", 1) == ours


def test_splits_that_are_normalised_apart_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = load(parse_study(TINY, "tiny").data)
    splits.val.normalisation = Normalisation((0.0,) * 3, (1.0,) * 3)
    module = SegmentationModule(torch.nn.Conv2d(3, 11, 1), parse_study(TINY, "tiny").training, splits)
    for training, images in ((True, splits.train), (False, splits.val)):
        monkeypatch.setattr(SegmentationModule, "trainer", type("Trainer", (), {"training": training})())
        image, mask = module.on_after_batch_transfer(images.stored([0, 1]), 0)
        assert torch.equal(image, images.tensors([0, 1])[0])
        assert torch.equal(mask, images.tensors([0, 1])[1])
    assert splits.train.normalisation is IMAGENET
