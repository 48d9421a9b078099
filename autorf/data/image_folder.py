"""Pictures in a folder a class, as torchvision's ``ImageFolder`` has them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from autorf.data.class_pairs import ClassPair
from autorf.data.class_spec import ImageFolderData
from autorf.data.folds import check_no_validation, fold_and_rest, fold_numbers
from autorf.data.names import Names, check_file, check_name, on_disk, shown, spelled
from autorf.data.pairs import IMAGE_SUFFIXES, require_folder
from autorf.errors import InputError, near_names

_LAYOUT = "{train,val}/CLASS/PICTURE or CLASS/PICTURE"


def folder_classes(spec: ImageFolderData) -> tuple[str, ...]:
    """The classes: the folders of the training split.

    Raises:
        InputError: when the layout is not as it must be, or ``classes`` says otherwise.
    """
    root = on_disk(spec.root)
    require_folder(root, _LAYOUT)
    train = _train_folder(spec, root)
    names = class_folders(train, _LAYOUT)
    check_count(spec.classes, names, train)
    return names


def folder_class_pairs(spec: ImageFolderData) -> dict[str, list[ClassPair]]:
    """The pictures of every split.

    Raises:
        InputError: when the layout is not as it must be, or a fold would lack a class.
    """
    root, names = on_disk(spec.root), folder_classes(spec)
    train = pictures_in(_train_folder(spec, root), names)
    pairs = {"train": train}
    for split in ("val", "test"):
        folder = root / getattr(spec, split)
        if folder.is_dir():
            check_same_classes(folder, names, root / spec.train)
            pairs[split] = pictures_in(folder, names, every_class=False)
    if spec.folds is not None:
        check_no_validation(root, spec.val, pairs)
        numbers = fold_numbers(train, spec, root, spec.pictures.names)
        _check_every_fold(spec.folds, train, numbers, names)
        pairs["train"], pairs["val"] = fold_and_rest(train, numbers, spec.fold)
    elif "val" not in pairs:
        pairs["train"], pairs["val"] = held_out(train, spec.val_fraction, spec.pictures.names)
    return pairs


def _check_every_fold(folds: int, pairs: Sequence[ClassPair], numbers: Sequence[int], names: Sequence[str]) -> None:
    """Raise ``InputError`` where a fold has no picture of a class, which it then could not score."""
    there = set(zip((pair.label for pair in pairs), numbers, strict=True))
    for label, name in enumerate(names):
        lacking = next((fold for fold in range(folds) if (label, fold) not in there), None)
        if lacking is None:
            continue
        count = sum(pair.label == label for pair in pairs)
        repair = "take the class away"
        if count > 1:
            repair = f"give at most {count} folds" if count < folds else "give fewer folds or another group_by"
        raise InputError(
            f"data.folds: fold {lacking} of {folds} has none of the {count} pictures of class {name[:60]!r}, and each "
            f"fold validates all classes; add pictures, or {repair}"
        )


def _train_folder(spec: ImageFolderData, root: Path) -> Path:
    """The folder of the training split's classes.

    Raises:
        InputError: for another level of the data set's folders, naming the one that is meant.
    """
    if (root / spec.train).is_dir():
        return root / spec.train
    if root.name in (spec.train, spec.val, spec.test) and (root.parent / spec.train).is_dir():
        raise InputError(
            f"{shown(root, 70)}: is one split's folder; data.root is the folder of {spec.train} and {spec.val}: give "
            f"{shown(root.parent, 70)}"
        )
    inside = [folder for folder in sorted(root.iterdir()) if (folder / spec.train).is_dir()]
    if inside:
        raise InputError(
            f"{shown(root, 70)}: holds no {spec.train}; data.root is the folder of {spec.train} and {spec.val}: give "
            f"{shown(inside[0], 70)}"
        )
    if (root / spec.val).is_dir():
        raise InputError(
            f"{shown(root, 70)}: holds {spec.val} and no {spec.train}, which data.root is the folder of; name the "
            "training split's folder by data.train"
        )
    return root


def class_folders(folder: Path, layout: str) -> tuple[str, ...]:
    """The names of the folders in a split's folder, in their order.

    Raises:
        InputError: where there are fewer than two.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        names = []
    names = [name for name in names if not name.startswith(".")]
    if len(names) < 2:
        raise InputError(
            f"{shown(folder)}: holds {len(names)} folders of classes, and two or more are told apart; expected in "
            f"data.root: {layout}"
        )
    for name in names:
        check_name(folder / name)
    return tuple(names)


def check_count(stated: int | Sequence[str] | None, names: Sequence[str], folder: Path) -> None:
    """Raise ``InputError`` where a study file says other classes than there are folders."""
    if stated is None:
        return
    if isinstance(stated, int):
        if stated != len(names):
            raise InputError(
                f"data.classes: {stated}, and {shown(folder, 100)} holds {len(names)} folders of classes; correct "
                "either"
            )
        return
    lacking = [name for name in stated if name not in names]
    foreign = [name for name in names if name not in stated]
    if lacking:
        raise InputError(
            f"data.classes: {lacking[0][:60]!r} has no folder in {shown(folder, 100)}{near_names(lacking[0], names)}"
        )
    if foreign:
        raise InputError(
            f"data.classes: {shown(folder, 100)} holds a folder {foreign[0][:60]!r} too; list it, or take it away"
        )


def check_same_classes(folder: Path, names: Sequence[str], train: Path) -> None:
    """Raise ``InputError`` where a split has a class that the training split has not."""
    for name in class_folders(folder, _LAYOUT):
        if name not in names:
            raise InputError(
                f"{shown(folder / name, 110)}: is a class that {shown(train, 90)} has no folder of"
                f"{near_names(name, names)}; the splits have the same classes"
            )


def pictures_in(folder: Path, names: Sequence[str], *, every_class: bool = True) -> list[ClassPair]:
    """The pictures below the folders of classes, class by class and sorted by name.

    Args:
        folder: of a split.
        names: of the classes, class 0 first.
        every_class: whether a class without a picture is an error.

    Raises:
        InputError: for a class without a picture, a split without any, or what is called a picture and is no file.
    """
    # It loads torch, which whoever only asks for a data set's classes should not wait for.
    from torchvision.datasets.folder import make_dataset

    numbers = {name: number for number, name in enumerate(names)}
    try:
        samples = make_dataset(folder, numbers, extensions=IMAGE_SUFFIXES, allow_empty=True)
    except OSError as error:
        raise InputError(f"{shown(folder)}: cannot be listed: {error.strerror}") from None
    pairs = []
    for name, label in samples:
        file = Path(name)
        if not file.name.startswith("."):
            check_name(file)
            check_file(file)
            pairs.append(ClassPair(file, file, label=label))
    present = {pair.label for pair in pairs}
    empty = [name for name, number in numbers.items() if number not in present]
    if empty and (every_class or not pairs):
        raise InputError(
            f"{shown(folder / empty[0])}: holds no picture ({', '.join(IMAGE_SUFFIXES)}); add some, or take the class "
            "away"
        )
    return pairs


def held_out(
    pairs: Sequence[ClassPair], fraction: float, names: Names = "nfc"
) -> tuple[list[ClassPair], list[ClassPair]]:
    """Of every class ``1 - fraction`` and ``fraction`` of the pictures, chosen by the hash of the file name.

    Raises:
        InputError: for a class of a single picture.
    """

    def place(pair: ClassPair) -> bytes:
        return hashlib.sha256(spelled(f"{pair.image.parent.name}/{pair.image.name}", names).encode()).digest()

    train: list[ClassPair] = []
    val: list[ClassPair] = []
    for label in sorted({pair.label for pair in pairs}):
        of_class = sorted((pair for pair in pairs if pair.label == label), key=place)
        if len(of_class) < 2:
            raise InputError(
                f"{shown(of_class[0].image)}: is the only picture of its class, and cannot both train and validate; "
                "add more"
            )
        count = min(max(round(fraction * len(of_class)), 1), len(of_class) - 1)
        val += of_class[:count]
        train += of_class[count:]
    return sorted(train), sorted(val)
