"""Small faces in the official layouts of Helen and LFW."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autorf.data import helen, lfw


def face(size: tuple[int, int], seed: int, n_classes: int) -> NDArray[np.uint8]:
    """Labels ``(h, w)`` of which every class has some pixels: blocks of a size of their own."""
    rng = np.random.default_rng(seed)
    height, width = size
    labels = rng.integers(0, n_classes, (-(-height // 4), -(-width // 4)), dtype=np.uint8)
    labels.flat[:n_classes] = np.arange(n_classes)
    return labels.repeat(4, 0).repeat(4, 1)[:height, :width]


def picture_of(labels: NDArray[np.uint8], n_classes: int) -> Image.Image:
    """A picture whose colours follow the labels."""
    grey = (labels * (240 // n_classes)).astype(np.uint8)
    return Image.fromarray(np.stack([grey, 255 - grey, grey // 2], 2))


def write_helen(
    root: Path, n_train: int = 4, n_val: int = 2, n_test: int = 2, size: tuple[int, int] = (40, 44)
) -> Path:
    """The layout of SmithCVPR2013_dataset_resized."""
    number = 0
    for file, count in (("exemplars.txt", n_train), ("tuning.txt", n_val), ("testing.txt", n_test)):
        lines = []
        for _ in range(count):
            number += 1
            name = f"{232194 + 7 * number}_1"
            lines.append(f"{number} , {name}")
            write_helen_face(root, name, face(size, number, 11))
        root.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_helen_face(root: Path, name: str, labels: NDArray[np.uint8]) -> None:
    """One face: a JPEG, and a map for each label, blurred at the edges as the released ones are."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    picture_of(labels, len(helen.CLASS_NAMES)).save(root / "images" / f"{name}.jpg", quality=95)
    folder = root / "labels" / name
    folder.mkdir(parents=True, exist_ok=True)
    for label in range(len(helen.CLASS_NAMES)):
        probability = np.where(labels == label, 200, 5).astype(np.uint8)
        Image.fromarray(probability).save(folder / f"{name}_lbl{label:02}.png")


PEOPLE = ("Abdullah_Gul", "José_Maria_Aznar", "Zinedine_Zidane", "Ana_Guevara", "Tom_Cruise", "Inga_Hall")


def write_lfw(root: Path, *, superpixels: bool = False, size: tuple[int, int] = (50, 50)) -> Path:
    """The layout of LFW's part labels: three lists of two people each, the labels as pictures or as superpixels."""
    for index, file in enumerate(("parts_train.txt", "parts_validation.txt", "parts_test.txt")):
        lines = []
        for place, person in enumerate(PEOPLE[2 * index : 2 * index + 2]):
            number = 12 * place + 1
            lines.append(f"{person} {number}")
            write_lfw_face(root, person, number, face(size, 10 * index + place, 3), superpixels=superpixels)
        (root / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_lfw_face(root: Path, person: str, number: int, labels: NDArray[np.uint8], *, superpixels: bool) -> None:
    """One face: a JPEG, and its labels."""
    name = f"{person}_{number:04}"
    folders = {part: root / part / person for part in (lfw.IMAGES, lfw.SUPERPIXELS, lfw.SUPERPIXEL_LABELS)}
    folders[lfw.IMAGES].mkdir(parents=True, exist_ok=True)
    picture_of(labels, 3).save(folders[lfw.IMAGES] / f"{name}.jpg", quality=95)
    if not superpixels:
        (root / lfw.MASKS).mkdir(exist_ok=True)
        colours = np.array([[0, 0, 255], [255, 0, 0], [0, 255, 0]], np.uint8)
        Image.fromarray(colours[labels]).save(root / lfw.MASKS / f"{name}.ppm")
        return
    # Each pixel's superpixel is its column and label: several superpixels of one label, as in the released files.
    regions, numbers = np.unique(labels.astype(np.int64) + 3 * (np.arange(labels.shape[1]) // 10), return_inverse=True)
    released = [{0: 2, 1: 0, 2: 1}[int(region) % 3] for region in regions]
    for part in (lfw.SUPERPIXELS, lfw.SUPERPIXEL_LABELS):
        folders[part].mkdir(parents=True, exist_ok=True)
    np.savetxt(folders[lfw.SUPERPIXELS] / f"{name}.dat", numbers.reshape(labels.shape), fmt="%d")
    lines = [str(len(regions)), *map(str, released)]
    (folders[lfw.SUPERPIXEL_LABELS] / f"{name}.dat").write_text("\n".join(lines) + "\n")
