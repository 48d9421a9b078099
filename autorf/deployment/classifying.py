"""The classes of whole pictures, by a retrained classification."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autorf.data.image_files import read_rgb
from autorf.data.names import check_file, shown
from autorf.data.python_sets import resized_item
from autorf.deployment.predictor import check_same_code, chosen_device, code_of
from autorf.deployment.recipe import read_recipe
from autorf.errors import InputError
from autorf.ops._arguments import check_path
from autorf.own_code.code import OwnCode
from autorf.own_code.importing import importable
from autorf.tasks import CLASSIFICATION, TOP
from autorf.training.native_scale import is_out_of_memory
from autorf.training.outputs import raw_scores

RGB = 3
"""Channels of picture files."""


@dataclass(frozen=True)
class Classified:
    """What a model says of one picture.

    Attributes:
        picture: the file.
        probabilities: ``(n_classes,)`` float32, of every class; they add up to 1.
        class_names: one for each class.
    """

    picture: Path
    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The class of the highest probability."""
        return self.likeliest[0][0]

    @property
    def likeliest(self) -> list[tuple[str, float]]:
        """The five classes of the highest probabilities, or all of fewer, each with its probability."""
        order = np.argsort(-self.probabilities, kind="stable")[:TOP]
        return [(self.class_names[number], float(self.probabilities[number])) for number in order]


class Classifier:
    """A retrained classification, ready for pictures.

    Args:
        folder: that ``autorf retrain`` wrote.
        code: a file or folder with the code of a ``python:`` network; None for the working directory.
        device: such as ``cpu`` or ``cuda``; None for an accelerator where there is one.
        accept_code_change: build the network by code that is no longer the one it was trained with.

    Raises:
        InputError: for a folder that holds no retrained classification, code that cannot be found, or no such device.

    Attributes:
        recipe: how pictures become classes.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        code: str | Path | OwnCode | None = None,
        device: str | None = None,
        accept_code_change: bool = False,
    ) -> None:
        folder = Path(folder)
        self.recipe = read_recipe(folder)
        if self.recipe.task != CLASSIFICATION.name:
            raise InputError(f"{folder}: holds a model with a class for every pixel; autorf.predict gives its masks")
        if self.recipe.channels != RGB:
            raise InputError(
                f"{folder}: its model sees {self.recipe.channels} channels, and picture files have red, green and "
                "blue; autorf.load gives the network for images of your own"
            )
        self.recipe.check_file_numbers(folder)
        self.device = chosen_device(device)
        own = code if isinstance(code, OwnCode) else code_of(self.recipe, code)
        if own is not None and not accept_code_change:
            check_same_code(folder, own)
        with importable(own):
            self._model = self.recipe.load(folder).to(self.device)
        self._decoder = self.recipe.picture_decoder

    def __call__(self, picture: str | Path) -> Classified:
        """The class of one picture, cut as in validation.

        Raises:
            InputError: naming a file that cannot be read, or is too large for the memory.
        """
        file = Path(picture)
        check_file(file)
        image = self.recipe.normalisation(self._seen(file)[None]).to(self.device)
        reduced = self.recipe.precision == "bf16"
        try:
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=reduced):
                scores = raw_scores(self._model(image))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"{shown(file)}: is too large for the memory of {self.device}; predict on another device"
            ) from None
        probabilities = scores[0].float().softmax(0).cpu().numpy()
        return Classified(file, probabilities, self.recipe.class_names)

    def _seen(self, file: Path) -> Tensor:
        """``(3, H, W)`` uint8, as a validation picture is."""
        if self.recipe.resampling == "pillow":
            return self._decoder(file)
        pixels = np.array(read_rgb(file, self.recipe.pictures))
        return resized_item(torch.from_numpy(pixels).permute(2, 0, 1), self.recipe.image_size)


def classify(
    folder: str | Path,
    pictures: str | Path | Iterable[str | Path],
    *,
    code: str | Path | None = None,
    device: str | None = None,
) -> Iterator[Classified]:
    """The classes of pictures, one after the other, by a classification that ``autorf retrain`` wrote.

    Args:
        folder: of the model.
        pictures: one file, or several.
        code: a file or folder with the code of a ``python:`` network; None for the working directory.
        device: such as ``cpu`` or ``cuda``; None for an accelerator where there is one.

    Raises:
        InputError: at once for a folder that holds no retrained classification; in its turn for a file that cannot be
            read.

    Examples:
        >>> from autorf.deployment.classifying import classify
        >>> try:
        ...     [seen.name for seen in classify("nowhere", ["a.jpg"])]
        ... except ValueError as error:
        ...     print(error)
        nowhere/autorf.json: no such file; a saved model is a folder written by autorf.save
    """
    check_path("classify", "folder", folder)
    classifier = Classifier(folder, code=code, device=device)
    files = [pictures] if isinstance(pictures, str | Path) else pictures
    return (classifier(file) for file in files)


def classify_files(
    classifier: Classifier, files: Sequence[Path], told: Callable[[], None] = lambda: None
) -> tuple[list[Classified], list[str]]:
    """What the model says of files, and why others could not be read, a line each.

    Args:
        classifier: of the model.
        files: the pictures.
        told: called after every picture.
    """
    classified: list[Classified] = []
    problems: list[str] = []
    for file in files:
        try:
            classified.append(classifier(file))
        except InputError as error:
            problems.append(str(error))
        told()
    return classified, problems


def table_of(classified: Sequence[Classified], class_names: Sequence[str]) -> str:
    """A CSV with a line a picture: ``file``, ``class``, ``probability``, and the next likeliest up to the fifth."""
    places = range(2, min(TOP, len(class_names)) + 1)
    more = [column for place in places for column in (f"class_{place}", f"probability_{place}")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "class", "probability", *more])
    for seen in classified:
        cells = [cell for name, probability in seen.likeliest for cell in (name, f"{probability:.6f}")]
        writer.writerow([str(seen.picture), *cells])
    return text.getvalue()
