"""Small pictures in the official layouts of ImageFolder, ImageNet, Stanford Cars and FGVC-Aircraft."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

SYNSETS = ("n01440764", "n01443537", "n02012849", "n03126707")
WORDS = ("tench, Tinca tinca", "goldfish, Carassius auratus", "crane", "crane")
VAL = ("ILSVRC2012_val_00000001", "ILSVRC2012_val_00000002", "ILSVRC2012_val_00000003")
VAL_LABELS = (3, 0, 2)
CARS = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Acura TL Sedan 2012")
VARIANTS = ("707-320", "A300B4", "Boeing 717")
AIRCRAFT = {"train": (("1025794", 0), ("0056978", 2)), "val": (("1340192", 1),), "test": (("1514522", 2),)}


def write_shade(file: Path, label: int, size: tuple[int, int] = (30, 40), **options: Any) -> None:
    """A picture whose brightness tells its class; height and width in pixels."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 40 * label + 20, np.uint8)).save(file, **options)


def label_of(image: Any) -> int:
    """The class that a picture's brightness tells, of bytes."""
    return round((float(image.float().mean()) - 20) / 40)


def write_folders(root: Path, splits: Mapping[str, int], names: Sequence[str] = ("ant", "bee", "cöw")) -> Path:
    """``root/SPLIT/CLASS/NUMBER.png``, so many of each class."""
    for split, count in splits.items():
        for label, name in enumerate(names):
            for number in range(count):
                write_shade(root / split / name / f"{split}{number}.png", label)
    return root


def write_imagenet(root: Path, *, kaggle: bool = False, flat: bool = True) -> Path:
    """Two training pictures of each synset, and three validation pictures."""
    data = root / "ILSVRC" / "Data" / "CLS-LOC" if kaggle else root
    for label, synset in enumerate(SYNSETS):
        for number in range(2):
            write_shade(data / "train" / synset / f"{synset}_{number}.JPEG", label, format="JPEG")
    for name, label in zip(VAL, VAL_LABELS, strict=True):
        folder = data / "val" if flat else data / "val" / SYNSETS[label]
        write_shade(folder / f"{name}.JPEG", label, format="JPEG")
    return root


def write_devkit(root: Path) -> None:
    """The numbers of the kit are not those of the folders' order."""
    folder = root / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True)
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    numbers = [7, 5, 3, 1]
    rows = [(number, synset, words, 0) for number, synset, words in zip(numbers, SYNSETS, WORDS, strict=True)]
    savemat(folder / "meta.mat", {"synsets": np.array(rows, kind).reshape(-1, 1)})
    truth = "".join(f"{numbers[label]}\n" for label in VAL_LABELS)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)


def write_solution(root: Path) -> None:
    """Kaggle's lists, of which that of the solution is in no order."""
    lines = [f"{name},{SYNSETS[label]} 85 1 499 272 " for name, label in zip(VAL, VAL_LABELS, strict=True)]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *reversed(lines)]) + "\n")
    mapping = "".join(f"{synset} {words}\n" for synset, words in zip(SYNSETS, WORDS, strict=True))
    (root / "LOC_synset_mapping.txt").write_text(mapping)


def write_cars(root: Path) -> Path:
    """Two training pictures of each car, and a test picture."""
    train = [(f"{3 * number + label + 1:05}.jpg", label) for label in range(len(CARS)) for number in range(2)]
    test = [(f"{label + 1:05}.jpg", label) for label in range(len(CARS))]
    (root / "devkit").mkdir(parents=True)
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": np.array(CARS, object)})
    write_annotations(root / "devkit" / "cars_train_annos.mat", train)
    write_annotations(root / "cars_test_annos_withlabels.mat", test)
    for folder, pictures in (("cars_train", train), ("cars_test", test)):
        for name, label in pictures:
            write_shade(root / folder / name, label)
    return root


def write_annotations(path: Path, pictures: Sequence[tuple[str, int]]) -> None:
    """Of cars: a box, the class from 1, and the file's name."""
    kind = [(name, "O") for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    rows = [(1, 1, 20, 20, label + 1, name) for name, label in pictures]
    savemat(path, {"annotations": np.array(rows, kind).reshape(1, -1)})


def write_aircraft(root: Path) -> Path:
    """Pictures with a white banner of 20 pixels at the bottom, and the lists of variants."""
    data = root / "data"
    (data / "images").mkdir(parents=True)
    (data / "variants.txt").write_text("".join(f"{name}\n" for name in VARIANTS))
    lists = {**AIRCRAFT, "trainval": (*AIRCRAFT["train"], *AIRCRAFT["val"])}
    for split, pictures in lists.items():
        lines = "".join(f"{stem} {VARIANTS[label]}\n" for stem, label in pictures)
        (data / f"images_variant_{split}.txt").write_text(lines)
        for stem, label in pictures:
            pixels = np.full((50, 40, 3), 40 * label + 20, np.uint8)
            pixels[-20:] = 255
            Image.fromarray(pixels).save(data / "images" / f"{stem}.jpg", quality=95)
    return root
