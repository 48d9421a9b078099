"""Stanford Cars as its archives and its development kit lay it out."""

from pathlib import Path

from autorf.data.class_pairs import ClassPair
from autorf.data.class_spec import StanfordCarsData
from autorf.data.image_folder import held_out
from autorf.data.matlab import matlab_rows
from autorf.data.names import check_file, on_disk, shown
from autorf.data.official import Layout
from autorf.errors import InputError

META, TRAIN = "cars_meta.mat", "cars_train_annos.mat"
TEST = "cars_test_annos_withlabels.mat"
"""The kit alone has test annotations without classes; those with classes are a file of their own."""

SOURCE = "Stanford Cars (car_devkit.tgz, cars_train.tgz, cars_test.tgz, cars_test_annos_withlabels.mat)"
LAYOUT = Layout(("cars_train", "cars_test", f"devkit/{META}", f"devkit/{TRAIN}"), SOURCE)


def car_classes(spec: StanfordCarsData) -> tuple[str, ...]:
    """The makes, models and years.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    LAYOUT.check(root)
    path = root / "devkit" / META
    try:
        from scipy.io import loadmat

        names = tuple(str(name) for name in loadmat(str(path), squeeze_me=True)["class_names"].reshape(-1))
    except Exception:  # the reader raises anything on a damaged file
        names = ()
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{shown(path, 110)}: holds no class_names, one for each class; take it from {SOURCE}")
    return names


def car_pairs(spec: StanfordCarsData) -> dict[str, list[ClassPair]]:
    """The pictures of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root, n_classes = on_disk(spec.root), len(car_classes(spec))
    labelled = next((path for path in (root / TEST, root / "devkit" / TEST) if path.is_file()), None)
    if labelled is None:
        raise InputError(
            f"{shown(root, 100)}: holds no {TEST}, which alone has the classes of the test pictures; put it there or "
            f"into devkit: it is a file of its own of {SOURCE.partition(' (')[0]}"
        )
    train = _annotated(root / "cars_train", root / "devkit" / TRAIN, n_classes)
    test = _annotated(root / "cars_test", labelled, n_classes)
    if spec.protocol == "official":
        return {"train": train, "val": test}
    train, val = held_out(train, spec.val_fraction, spec.pictures.names)
    return {"train": train, "val": val, "test": test}


def _annotated(folder: Path, annotations: Path, n_classes: int) -> list[ClassPair]:
    """The pictures that a file of annotations names, sorted by name."""
    pairs: dict[str, ClassPair] = {}
    for name, number in matlab_rows(annotations, "annotations", ("fname", "class"), SOURCE):
        label = int(number) - 1
        if not 0 <= label < n_classes:
            raise InputError(
                f"{shown(annotations, 100)}: gives {str(name)[:40]!r} the class {int(number)}; {META} has the classes "
                f"1 to {n_classes}"
            )
        file = folder / Path(str(name)).name
        if file.name in pairs:
            raise InputError(f"{shown(annotations, 100)}: names {file.name[:60]!r} twice; take it from {SOURCE}")
        if not file.exists():
            raise InputError(
                f"{shown(annotations, 90)}: names {file.name[:40]!r}, of which there is no {folder.name}/"
                f"{file.name[:40]}; unpack the archive anew"
            )
        check_file(file)
        pairs[file.name] = ClassPair(file, file, (annotations,), label)
    return sorted(pairs.values())
