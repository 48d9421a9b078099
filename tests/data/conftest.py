import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WritePair = Callable[..., None]


def write_picture(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


@pytest.fixture
def write_pair() -> WritePair:
    """Write an image (name with suffix) whose brightness follows its mask, and the mask as PNG of the same stem."""

    def write(
        images: Path, masks: Path, name: str = "a.png", size: tuple[int, int] = (12, 16), classes: int = 3
    ) -> None:
        rng = np.random.default_rng(list(name.encode()))
        mask = rng.integers(0, classes, size, dtype=np.uint8)
        mask.flat[:classes] = np.arange(classes)
        write_picture(images / name, np.repeat(mask[..., None] * (240 // classes), 3, axis=2).astype(np.uint8))
        write_picture(masks / f"{Path(name).stem}.png", mask)

    return write


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets: AUTORF_DATA, or shared/data beside the repository."""
    root = Path(os.environ.get("AUTORF_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set AUTORF_DATA")
    return root
