"""Small scenes in the official layouts of PASCAL VOC 2012, SBD, Cityscapes and ADE20K."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from autorf.data import ade20k, cityscapes, voc
from tests.data.faces import face, picture_of

SIZE = (40, 48)

VOC_TRAIN, VOC_VAL = ("2007_000032", "2007_000039"), ("2007_000033", "2007_000042")
SBD_TRAIN, SBD_VAL = ("2008_000002", "2007_000032"), ("2008_000008", "2007_000033")
CITIES = {"train": ("aachen", "zürich"), "val": ("münster",)}


def palette() -> list[int]:
    """VOC's colours, red, green and blue of 256 entries one after the other: an entry's bits dealt out from the top."""
    colours = []
    for entry in range(256):
        colour, rest = [0, 0, 0], entry
        for place in range(7, -1, -1):
            for channel in range(3):
                colour[channel] |= (rest >> channel & 1) << place
            rest >>= 3
        colours += colour
    return colours


def void_bordered(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """VOC's labels ``(h, w)`` with a void border between two of them."""
    labels = face(size, seed, len(voc.CLASS_NAMES))
    labels[:, 20:22] = voc.IGNORE_INDEX
    return labels


def write_palette(path: Path, labels: NDArray[np.uint8]) -> None:
    """A mask as VOC's are: a palette PNG with the void's pale border at entry 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(labels, "P")
    mask.putpalette(palette())
    mask.save(path)


def write_picture(path: Path, labels: NDArray[np.uint8], n_classes: int) -> None:
    """A picture that follows the labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture_of(np.minimum(labels, n_classes - 1).astype(np.uint8), n_classes).save(path, quality=95)


def write_voc(root: Path, size: tuple[int, int] = SIZE) -> Path:
    """The layout of ``VOCdevkit/VOC2012``."""
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    splits = {"train": VOC_TRAIN, "val": VOC_VAL, "trainval": (*VOC_TRAIN, *VOC_VAL)}
    for split, names in splits.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    for number, name in enumerate(splits["trainval"]):
        labels = void_bordered(number, size)
        write_picture(root / "JPEGImages" / f"{name}.jpg", labels, len(voc.CLASS_NAMES))
        write_palette(root / "SegmentationClass" / f"{name}.png", labels)
    return root


def write_augmented(root: Path) -> Path:
    """Beside VOC's own files: grey masks of more images, and their list as DeepLab's has it."""
    names = (*VOC_TRAIN, "2008_000002")
    for number, name in enumerate(names):
        labels = face(SIZE, 50 + number, len(voc.CLASS_NAMES))
        (root / "SegmentationClassAug").mkdir(exist_ok=True)
        Image.fromarray(labels).save(root / "SegmentationClassAug" / f"{name}.png")
        if name not in VOC_TRAIN:
            write_picture(root / "JPEGImages" / f"{name}.jpg", labels, len(voc.CLASS_NAMES))
    lines = [f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png\n" for name in names]
    (root / "ImageSets" / "Segmentation" / "trainaug.txt").write_text("".join(lines))
    return root


def write_sbd(root: Path) -> Path:
    """The layout of ``benchmark_RELEASE/dataset``."""
    for number, name in enumerate((*SBD_TRAIN, *SBD_VAL)):
        labels = face(SIZE, 80 + number, len(voc.CLASS_NAMES))
        write_picture(root / "img" / f"{name}.jpg", labels, len(voc.CLASS_NAMES))
        write_mat(root / "cls" / f"{name}.mat", labels)
    (root / "train.txt").write_text("\n".join(SBD_TRAIN) + "\n")
    (root / "val.txt").write_text("\n".join(SBD_VAL) + "\n")
    return root


def write_mat(path: Path, labels: NDArray[Any]) -> None:
    """``GTcls`` with its three fields, compressed as the released files are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    present = np.unique(labels[labels > 0]).astype(np.uint8)[:, None]
    boundaries = np.zeros((20, 1), object)
    boundaries[:, 0] = [np.zeros((2, 2), np.uint8)] * 20
    content = {"Boundaries": boundaries, "Segmentation": labels, "CategoriesPresent": present}
    savemat(path, {"GTcls": content}, do_compression=True)


def street(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Label ids ``(h, w)`` of Cityscapes, every one of the 34."""
    return face(size, seed, 34)


def write_cityscapes(root: Path, *, train_ids: bool = False, size: tuple[int, int] = SIZE) -> Path:
    """The layout of leftImg8bit and gtFine, two images a city, instance ids and colours beside the labels."""
    for split, cities in {**CITIES, "test": ("berlin",)}.items():
        for place, city in enumerate(cities):
            for number in range(2):
                name = f"{city}_{number:06}_000019"
                labels = street(10 * place + number, size) if split != "test" else np.zeros(size, np.uint8)
                write_picture(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", labels, 34)
                folder = root / "gtFine" / split / city
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(labels).save(folder / f"{name}_gtFine_labelIds.png")
                Image.fromarray(labels.astype(np.uint16) * 1000).save(folder / f"{name}_gtFine_instanceIds.png")
                (folder / f"{name}_gtFine_polygons.json").write_text("{}")
                if train_ids:
                    Image.fromarray(train_ids_of(labels)).save(folder / f"{name}_gtFine_labelTrainIds.png")
    return root


def train_ids_of(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The 19 train ids of label ids, and 255, as the authors' table of labels has them."""
    table = np.full(256, 255, np.uint8)
    ids = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    assert len(ids) == len(cityscapes.CLASS_NAMES)
    table[list(ids)] = np.arange(len(ids))
    return table[labels]


def write_ade20k(root: Path, size: tuple[int, int] = (52, 64)) -> Path:
    """The layout of ADEChallengeData2016."""
    for split, short, count in (("training", "train", 3), ("validation", "val", 2)):
        for number in range(1, count + 1):
            # A block of 4 x 4 pixels for each class where there is room.
            labels = face(size, number, min(1 + len(ade20k.CLASS_NAMES), size[0] * size[1] // 16))
            name = f"ADE_{short}_{number:08}"
            write_picture(root / "images" / split / f"{name}.jpg", labels, 151)
            (root / "annotations" / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(root / "annotations" / split / f"{name}.png")
    (root / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n")
    return root
