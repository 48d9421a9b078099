"""The teacher's scores of a stage's images: kept in a memory-mapped file, or computed anew in every step."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autorf.data import SegmentationSet
from autorf.files import flush_folder, lock
from autorf.training.outputs import raw_scores

Scores = NDArray[np.float32]

BYTES = 4
"""Of a score."""

_PARTIAL = ".partial"


@torch.no_grad()
def teacher_scores(teacher: nn.Module, image: Tensor) -> Tensor:
    """Scores ``(N, C, h, w)`` of images, float32 and without a gradient, as the teacher leaves them.

    Args:
        teacher: in evaluation mode.
        image: ``(N, 3, H, W)``, normalised.
    """
    with torch.autocast(image.device.type, enabled=False):
        return raw_scores(teacher(image)).float()


def kept_scores(
    file: Path, images: SegmentationSet, teacher: Callable[[], nn.Module], batch_size: int, device: torch.device
) -> Scores:
    """The scores ``(n_images, C, h, w)`` of every image, memory-mapped; computed where the file is missing or damaged.

    The file appears only when it is whole, and one process at a time makes it.

    Args:
        file: that keeps them.
        images: without augmentation.
        teacher: gives the network; asked only where it has to run.
        batch_size: images at once.
        device: that it runs on.
    """
    scores = _opened(file, len(images))
    if scores is not None:
        return scores
    with _alone(file):
        # Another process may have made it meanwhile.
        scores = _opened(file, len(images))
        if scores is None:
            _write(file, images, teacher().eval().to(device), batch_size, device)
            scores = _opened(file, len(images))
    assert scores is not None, "what was just written can be read"
    return scores


def chosen(scores: Scores, indices: Sequence[int]) -> Tensor:
    """The scores ``(n, C, h, w)`` of the images of a batch."""
    return torch.from_numpy(np.stack([scores[index] for index in indices]))


def _opened(file: Path, n_images: int) -> Scores | None:
    try:
        scores: Scores = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return scores if scores.ndim == 4 and len(scores) == n_images and scores.dtype == np.float32 else None


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait until no other process makes the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def _write(file: Path, images: SegmentationSet, teacher: nn.Module, batch_size: int, device: torch.device) -> None:
    partial = file.with_name(f".{file.name}{_PARTIAL}")
    scores: Scores | None = None
    for start in range(0, len(images), batch_size):
        indices = list(range(start, min(start + batch_size, len(images))))
        part = teacher_scores(teacher, images.tensors(indices)[0].to(device)).cpu().numpy()
        if scores is None:
            shape = (len(images), *part.shape[1:])
            scores = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
        scores[start : start + len(part)] = part
    assert scores is not None, "a set without an image was refused"
    scores.flush()  # type: ignore[attr-defined]
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(file)
    flush_folder(file.parent)
