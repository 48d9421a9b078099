"""A small folder of pictures in three folds, and a study of it that is trained in this process."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autorf.driver import search as module
from autorf.driver.search import Outcome, search
from autorf.executors import Event
from autorf.study.spec import StudySpec, parse_study
from tests.study.trained import Here
from tests.tiny import TINY

N_TRAIN, N_TEST, FOLDS = 8, 3, 3


class Killed(BaseException):
    """What ends a training within an epoch, as a signal does."""


class Interrupted(Here):
    """Trains in this process until it is killed."""

    def wait(self, timeout: float) -> list[Event]:
        try:
            return super().wait(timeout)
        except Killed:
            raise KeyboardInterrupt from None


class Silent:
    """A mirror that mirrors nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def write_pictures(root: Path, *, test: bool = True) -> Path:
    """Pictures of 24 x 24 with a bright square on a dark ground, and their masks of two classes."""
    for split, count in (("train", N_TRAIN), ("test", N_TEST if test else 0)):
        for index in range(count):
            rng = np.random.default_rng([count, index])
            mask = np.zeros((24, 24), np.uint8)
            top, left = rng.integers(0, 14, 2)
            mask[top : top + 10, left : left + 10] = 1
            pixels = (60 + 120 * mask + rng.integers(0, 40, mask.shape)).astype(np.uint8)
            for kind, picture in (("images", np.repeat(pixels[..., None], 3, axis=2)), ("masks", mask)):
                file = root / split / kind / f"scene{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(file)
    return root


def study_file(root: Path) -> dict[str, Any]:
    """One dilation under two seeds in three folds."""
    return {
        **TINY,
        "name": "folded",
        "data": {"name": "folder", "root": str(root), "image_size": 24, "classes": 2, "folds": FOLDS},
        "search_space": [{"method": "dilation", "rate": [1]}],
        "training": {"epochs": 2, "batch_size": 2, "seeds": [0, 1]},
    }


def study(root: Path, **parts: Any) -> StudySpec:
    """The study of :func:`study_file`, some of its parts others."""
    return parse_study({**study_file(root), **parts}, "folded.yaml")


def run(
    spec: StudySpec, root: Path, patch: pytest.MonkeyPatch, watch: Callable[[Event], None] = lambda _: None
) -> Outcome:
    """Search in this process."""
    patch.setattr(module, "take_first_steps", lambda *_: [])
    patch.setattr(module, "make", lambda *_, **__: Interrupted(watch))
    patch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
    return search(spec, "folded.yaml", root, quiet=True)
