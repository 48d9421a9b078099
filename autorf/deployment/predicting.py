"""Predicting pictures into files: which ones, under which names, and how good they are where masks are given."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from autorf.data.colouring import coloured, overlaid
from autorf.data.names import check_file, shown, spelled
from autorf.data.pairs import ARRAY_SUFFIXES, IMAGE_SUFFIXES, mask_files_of
from autorf.deployment.predictor import Prediction, Predictor
from autorf.errors import InputError
from autorf.files import check_output, write_atomically
from autorf.metrics import Scores, confusion, scores
from autorf.reporting.pictures import heat

OWN_SCALE, TRAINING_SCALE = "pictures' own size", "size of training"

COLOUR, OVERLAY, PROBABILITIES, MAPS, MAP_PICTURES = "color", "overlay", "probabilities", "maps", "maps_color"
"""Folders of what is written beside the masks."""


@dataclass(frozen=True)
class Wishes:
    """What is written beside masks of class indices.

    Attributes:
        colour: the classes in their colours.
        overlay: these over the picture.
        probabilities: those of every class, ``(n_classes, H, W)`` float32.
        maps: the scale or dilation of every pixel, ``(H, W)`` float32, and a picture of it, dark where it is least.
    """

    colour: bool = False
    overlay: bool = False
    probabilities: bool = False
    maps: bool = False


@dataclass(frozen=True)
class Task:
    """A picture, the files that are written of it, and its mask where there is one."""

    picture: Path
    outputs: dict[str, Path]
    mask: Path | None = None


@dataclass
class Report:
    """What came of the pictures.

    Attributes:
        predicted: how many were.
        in_tiles: how many of them in tiles.
        problems: why the others were not, or could not be scored, a line each.
        scored: how many there are scores of.
        confusions: by scale in words, rows are the labels, columns the predictions.
    """

    predicted: int = 0
    in_tiles: int = 0
    problems: list[str] = field(default_factory=list)
    scored: int = 0
    confusions: dict[str, Tensor] = field(default_factory=dict)


def tasks(
    pictures: Sequence[Path],
    output: Path,
    wishes: Wishes,
    masks: Path | None = None,
    *,
    force: bool = False,
    arrays: bool = False,
) -> list[Task]:
    """What is to be done, all of it checked before anything is computed.

    Args:
        pictures: files, and folders whose pictures are meant, not those of folders in them.
        output: the folder that is written to.
        wishes: what is written beside masks.
        masks: a folder of masks of the same stems; None for no scores.
        force: whether files that exist are replaced.
        arrays: whether ``.npy`` files in folders are pictures too.

    Raises:
        InputError: where there is no picture, two of one name, one without a mask, or a file that would be replaced.
    """
    files = list(picture_files(pictures, (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES) if arrays else IMAGE_SUFFIXES))
    truth = {} if masks is None else mask_files_of(masks, [spelled(file.stem) for file in files])
    planned: dict[str, Task] = {}
    for file in files:
        stem = spelled(file.stem)
        if stem in planned:
            raise InputError(
                f"{shown(file)}: has the name of {shown(planned[stem].picture)}, and both would be {stem}.png; predict "
                "them into different folders"
            )
        if masks is not None and stem not in truth:
            raise InputError(f"{shown(file)}: has no mask in --masks {shown(masks)}; expected {stem}.png")
        planned[stem] = Task(file, _outputs(output, file.stem, wishes), truth.get(stem))
    _check_outputs(list(planned.values()), force=force)
    return list(planned.values())


def picture_files(pictures: Sequence[Path], suffixes: Sequence[str] = IMAGE_SUFFIXES) -> Iterator[Path]:
    """The files that are named, and those of folders that are called pictures.

    Raises:
        InputError: for a place that is not there, or a folder without a picture.
    """
    for place in pictures:
        if not place.is_dir():
            if not place.exists():
                raise InputError(f"PICTURES {shown(place)}: no such file or folder")
            yield place
            continue
        inside = [file for file in sorted(place.iterdir()) if file.suffix.lower() in suffixes]
        inside = [file for file in inside if not file.name.startswith(".")]
        if not inside:
            raise InputError(f"PICTURES {shown(place)}: holds no picture ({', '.join(suffixes)})")
        yield from inside


def _outputs(folder: Path, stem: str, wishes: Wishes) -> dict[str, Path]:
    outputs = {"mask": folder / f"{stem}.png"}
    if wishes.colour:
        outputs[COLOUR] = folder / COLOUR / f"{stem}.png"
    if wishes.overlay:
        outputs[OVERLAY] = folder / OVERLAY / f"{stem}.png"
    if wishes.probabilities:
        outputs[PROBABILITIES] = folder / PROBABILITIES / f"{stem}.npy"
    if wishes.maps:
        outputs[MAPS] = folder / MAPS / f"{stem}.npy"
        outputs[MAP_PICTURES] = folder / MAP_PICTURES / f"{stem}.png"
    return outputs


def _check_outputs(planned: Sequence[Task], *, force: bool) -> None:
    """Raise ``InputError`` where a file would be replaced that may not be: a picture or a mask never may."""
    read = {file.resolve() for task in planned for file in (task.picture, task.mask) if file is not None}
    for task in planned:
        for path in task.outputs.values():
            if path.resolve() in read:
                raise InputError(f"--output {shown(path)}: is one of the files that are read; name another folder")
            check_output(path, "--output", replace=force)


def predict_files(
    predictor: Predictor, planned: Sequence[Task], wishes: Wishes, told: Callable[[], None] = lambda: None
) -> Report:
    """Predict pictures and write what is wished; one that cannot be read is named and the others go on.

    Args:
        predictor: of the model.
        planned: what :func:`tasks` gave.
        wishes: what is written beside masks.
        told: called after every picture.
    """
    report = Report()
    for task in planned:
        try:
            check_file(task.picture)
            prediction = predictor(task.picture, probabilities=wishes.probabilities, map=wishes.maps)
            _write(prediction, task, predictor)
            report.predicted += 1
            report.in_tiles += prediction.in_tiles
            if task.mask is not None:
                _count(prediction, task.mask, predictor, report)
        except InputError as error:
            report.problems.append(str(error))
        told()
    return report


def _write(prediction: Prediction, task: Task, predictor: Predictor) -> None:
    recipe = predictor.recipe
    contents: dict[str, Callable[[], Any]] = {
        "mask": lambda: _png(prediction.classes),
        COLOUR: lambda: _png(coloured(prediction.classes, recipe.colours)),
        OVERLAY: lambda: _png(overlaid(prediction.pixels, prediction.classes, recipe.colours)),
        PROBABILITIES: lambda: _npy(prediction.probabilities),
        MAPS: lambda: _npy(prediction.map),
        MAP_PICTURES: lambda: _png(_heat(prediction.map)),
    }
    for kind, path in task.outputs.items():
        write_atomically(path, contents[kind]())


def _png(pixels: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _npy(values: Any) -> bytes:
    stream = BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def _heat(map: NDArray[np.float32] | None) -> NDArray[np.uint8]:
    """From the picture's least value, dark, to its largest, bright: ``(H, W, 3)``."""
    assert map is not None, "a model without maps was refused"
    return heat(map, (float(map.min()), float(map.max())))


def _count(prediction: Prediction, file: Path, predictor: Predictor, report: Report) -> None:
    """Add a picture to the confusions at every scale."""
    recipe = predictor.recipe
    truth = recipe.decoder.classes(file)
    if truth.shape != prediction.classes.shape:
        sizes = " x ".join(map(str, truth.shape)), " x ".join(map(str, prediction.classes.shape))
        raise InputError(f"{shown(file)}: is {sizes[0]} pixels, but its image is {sizes[1]}; they must agree")
    own = torch.from_numpy(prediction.classes.astype(np.int64)), torch.from_numpy(truth)
    pairs = {OWN_SCALE: own}
    if recipe.score_at == "training":
        pairs[TRAINING_SCALE] = predictor.at_training_size(prediction, truth)
    for scale, (predicted, target) in pairs.items():
        counts = confusion(predicted, target, len(recipe.class_names), recipe.ignore_index)
        report.confusions[scale] = report.confusions.get(scale, 0) + counts
    report.scored += 1


def scores_of(report: Report, predictor: Predictor) -> dict[str, Scores]:
    """The scores at every scale, by its name, first the one that the study scores at; empty without masks."""
    recipe = predictor.recipe
    order = sorted(report.confusions, key=lambda scale: scale != TRAINING_SCALE)
    return {
        scale: scores(report.confusions[scale], recipe.class_names, recipe.groups, recipe.left_out) for scale in order
    }
