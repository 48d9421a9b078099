"""ImageNet's classification, ILSVRC 2012, as its archives or Kaggle's lay it out."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from autorf.data.class_pairs import ClassPair
from autorf.data.class_spec import ImageNetData
from autorf.data.image_folder import check_same_classes, class_folders, pictures_in
from autorf.data.matlab import matlab_rows
from autorf.data.names import check_file, on_disk, shown
from autorf.data.official import Layout, listed
from autorf.data.pairs import IMAGE_SUFFIXES
from autorf.errors import InputError

SOURCE = "ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz, ImageNet LSVRC 2012"
KAGGLE = Path("ILSVRC/Data/CLS-LOC")
DEVKIT = Path("ILSVRC2012_devkit_t12/data")
META, TRUTH = DEVKIT / "meta.mat", DEVKIT / "ILSVRC2012_validation_ground_truth.txt"
SOLUTION, MAPPING = Path("LOC_val_solution.csv"), Path("LOC_synset_mapping.txt")
LAYOUT = Layout(("train", "val"), SOURCE)

_SYNSET = re.compile(r"n\d{8}")
_MAPPED = re.compile(r"(n\d{8}) (.+)")


def imagenet_classes(spec: ImageNetData) -> tuple[str, ...]:
    """Names of the synsets in the order of their folders.

    Raises:
        InputError: when the layout is not as it must be, or there are not as many as ``classes`` says.
    """
    root = on_disk(spec.root)
    synsets = _synsets(spec, root)
    known = _names(root)
    names = [known.get(synset, synset) for synset in synsets]
    # A crane is a bird and a machine.
    times = Counter(names)
    return tuple(
        name if times[name] == 1 else f"{name} ({synset})" for name, synset in zip(names, synsets, strict=True)
    )


def imagenet_pairs(spec: ImageNetData) -> dict[str, list[ClassPair]]:
    """The training and the validation pictures; the classes of the test pictures are not published.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    synsets, data = _synsets(spec, root), _data_folder(root)
    val = data / "val"
    if any(_SYNSET.fullmatch(folder.name) for folder in val.iterdir() if folder.is_dir()):
        check_same_classes(val, synsets, data / "train")
        return {"train": pictures_in(data / "train", synsets), "val": pictures_in(val, synsets, every_class=False)}
    return {"train": pictures_in(data / "train", synsets), "val": _flat(root, val, synsets)}


def _data_folder(root: Path) -> Path:
    """The folder of ``train`` and ``val``."""
    data = root / KAGGLE if (root / KAGGLE).is_dir() else root
    LAYOUT.check(data)
    return data


def _synsets(spec: ImageNetData, root: Path) -> tuple[str, ...]:
    train = _data_folder(root) / "train"
    synsets = class_folders(train, "train/SYNSET/*.JPEG and val")
    wrong = next((name for name in synsets if not _SYNSET.fullmatch(name)), None)
    if wrong is not None:
        raise InputError(
            f"{shown(train / wrong)}: is no synset, such as n01440764; take it away, or read other pictures by "
            "data.name: image_folder"
        )
    if len(synsets) != spec.classes:
        raise InputError(
            f"{shown(train, 100)}: holds {len(synsets)} folders of synsets, and data.classes says {spec.classes}; "
            f"unpack the others, or set data.classes: {len(synsets)}"
        )
    return synsets


def _names(root: Path) -> dict[str, str]:
    """The first name of every synset, where a file says it."""
    if (root / MAPPING).is_file():
        lines = [_MAPPED.fullmatch(line) for line in listed(root / MAPPING, _mapped, "'SYNSET NAMES'")]
        return {match[1]: match[2].partition(",")[0].strip() for match in lines if match is not None}
    if (root / META).is_file():
        rows = matlab_rows(root / META, "synsets", ("WNID", "words"), SOURCE)
        return {str(synset): str(words).partition(",")[0].strip() for synset, words in rows}
    return {}


def _mapped(line: str) -> str | None:
    return line.strip() if _MAPPED.fullmatch(line.strip()) else None


def _flat(root: Path, val: Path, synsets: Sequence[str]) -> list[ClassPair]:
    """The validation pictures of a single folder, with their classes from the devkit or from Kaggle's list."""
    files = [file for file in sorted(val.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise InputError(f"{shown(val)}: holds neither folders of synsets nor pictures; unpack ILSVRC2012_img_val.tar")
    lists: tuple[Path, ...]
    if (root / TRUTH).is_file() and (root / META).is_file():
        truth, lists = _by_devkit(root, files), (root / META, root / TRUTH)
    elif (root / SOLUTION).is_file():
        truth, lists = _by_solution(root / SOLUTION), (root / SOLUTION,)
    else:
        raise InputError(
            f"{shown(val, 80)}: is flat, and its classes are in no file of {shown(root, 60)}; add {TRUTH.parts[0]} "
            f"(ILSVRC2012_devkit_t12.tar.gz) or {SOLUTION}"
        )
    numbers = {synset: number for number, synset in enumerate(synsets)}
    return [_labelled(file, truth, numbers, lists) for file in files]


def _labelled(file: Path, truth: dict[str, str], numbers: dict[str, int], lists: tuple[Path, ...]) -> ClassPair:
    synset = truth.get(file.stem)
    if synset is None:
        raise InputError(f"{shown(file, 110)}: is not in {shown(lists[-1], 110)}; take either from the archive anew")
    if synset not in numbers:
        raise InputError(
            f"{shown(lists[-1], 100)}: gives {file.stem[:40]!r} the synset {synset[:20]!r}, of which train has no "
            "folder; unpack that too, or take its pictures away"
        )
    check_file(file)
    return ClassPair(file, file, lists, numbers[synset])


def _by_devkit(root: Path, files: Sequence[Path]) -> dict[str, str]:
    """The synset of every validation picture: the truth lists the kit's own numbers in the order of the pictures."""
    rows = matlab_rows(root / META, "synsets", ("ILSVRC2012_ID", "WNID"), SOURCE)
    synsets = {int(number): str(synset) for number, synset in rows}
    try:
        numbers = [int(line) for line in (root / TRUTH).read_text(encoding="utf-8").split()]
    except (OSError, ValueError):
        raise InputError(f"{shown(root / TRUTH)}: is no list of numbers, one a line; take it from {SOURCE}") from None
    if len(numbers) != len(files):
        raise InputError(
            f"{shown(root / TRUTH, 110)}: lists {len(numbers)} pictures, and {shown(files[0].parent, 80)} holds "
            f"{len(files)}; unpack ILSVRC2012_img_val.tar anew"
        )
    unknown = next((number for number in numbers if number not in synsets), None)
    if unknown is not None:
        raise InputError(f"{shown(root / TRUTH, 110)}: names the class {unknown}, which {META.name} does not have")
    return {file.stem: synsets[number] for file, number in zip(files, numbers, strict=True)}


def _by_solution(path: Path) -> dict[str, str]:
    """The synset of every validation picture by Kaggle's list: ``ImageId,PredictionString``, the synset first."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))[1:]
        truth = {row[0]: row[1].split()[0] for row in rows if row}
    except (OSError, UnicodeDecodeError, csv.Error, IndexError):
        raise InputError(f"{shown(path)}: is no list of ImageId,PredictionString; take it from Kaggle anew") from None
    if not truth:
        raise InputError(f"{shown(path)}: names no picture; take it from Kaggle anew")
    return truth
