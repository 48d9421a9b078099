"""A folder of pictures and masks whose objects' sizes are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
"""Top, left, bottom, right."""


def write_pictures(
    folder: Path, objects: Mapping[int, Sequence[Box]], sizes: Sequence[tuple[int, int]] = ((64, 64), (64, 64))
) -> tuple[Path, Path]:
    """Pictures of these sizes with the boxes of each label on them; the folders of pictures and masks."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    noise = np.random.default_rng(0)
    for number, (height, width) in enumerate(sizes):
        mask = np.zeros((height, width), np.uint8)
        for label, boxes in objects.items():
            for top, left, bottom, right in boxes:
                mask[top:bottom, left:right] = label
        picture = noise.integers(0, 80, (height, width, 3)) + 50 * np.minimum(mask, 3)[..., None]
        Image.fromarray(picture.astype(np.uint8)).save(images / f"{number}.png")
        Image.fromarray(mask).save(masks / f"{number}.png")
    return images, masks
