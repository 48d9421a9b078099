"""Classes for every pixel of a picture, by a retrained model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autorf.data.alignment import scores_on_picture
from autorf.data.decoding import Pixels, numbers_of
from autorf.data.face_images import FaceImages, faces_of
from autorf.data.names import shown
from autorf.data.python_sets import resized_item
from autorf.data.sources import resized_masks
from autorf.deployment.recipe import Recipe, needs_code, read_recipe
from autorf.errors import InputError
from autorf.methods import AdaptiveModule
from autorf.ops._arguments import check_path
from autorf.own_code.code import OwnCode, read_code
from autorf.own_code.importing import importable
from autorf.own_code.reference import Reference, parse_reference
from autorf.surgery.sidecar import read_sidecar
from autorf.surgery.storage import SIDECAR
from autorf.tasks import CLASSIFICATION
from autorf.training.native_scale import AtScale, is_out_of_memory, scores_at_scale, tile_plan
from autorf.training.outputs import predicted_classes, raw_scores, resized
from autorf.training.pixel_maps import pixel_map

Classes = NDArray[np.uint8] | NDArray[np.uint16]

_MOST_OF_A_BYTE = 256


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        picture: the file.
        classes: of every pixel of the picture, upright: ``(H, W)``, uint8, or uint16 of more than 256 classes.
        pixels: the picture itself, ``(H, W, C)``.
        probabilities: of every class, ``(n_classes, H, W)`` float32, where they were asked for.
        in_tiles: whether the picture was cut into tiles.
        scores: ``(1, n_classes, h, w)``, as the model gives them, on its device.
        map: the scale or dilation of every pixel, ``(H, W)`` float32, the mean over the layers that have one, where it
            was asked for and the method has one.
        map_name: what that holds: ``scale`` or ``dilation``.
    """

    picture: Path
    classes: Classes
    pixels: Pixels
    scores: Tensor
    probabilities: NDArray[np.float32] | None = None
    in_tiles: bool = False
    map: NDArray[np.float32] | None = None
    map_name: str | None = None


class Predictor:
    """A retrained model, ready for pictures.

    Args:
        folder: that ``autorf retrain`` wrote.
        code: a file or folder with the code of a ``python:`` network; None for the working directory.
        device: such as ``cpu`` or ``cuda``; None for an accelerator where there is one.
        tile: side in pixels of the tiles that large pictures are cut into where the model sees them at their own scale
            (``fit: crop``, ``patches``); None for a usual one.
        accept_code_change: build the network by code that is no longer the one it was trained with.
        landmarks: of the pictures' faces, a file or folder as ``data.landmarks.root`` of a study, for a model that sees
            faces by them.

    Raises:
        InputError: for a folder that holds no retrained model, code that cannot be found, or no such device.

    Attributes:
        recipe: how pictures become classes.
        tiling: what becomes of pictures larger than a tile, in words; None where every picture is seen as a whole.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        code: str | Path | OwnCode | None = None,
        device: str | None = None,
        tile: int | None = None,
        accept_code_change: bool = False,
        landmarks: str | Path | None = None,
    ) -> None:
        folder = Path(folder)
        recipe = read_recipe(folder)
        if recipe.task == CLASSIFICATION.name:
            raise InputError(
                f"{folder}: holds a model with one class a picture; autorf.deployment.classifying.classify gives them, "
                "and autorf predict their table"
            )
        recipe.check_file_numbers(folder)
        self.device = chosen_device(device)
        own = code if isinstance(code, OwnCode) else code_of(recipe, code)
        if own is not None and not accept_code_change:
            check_same_code(folder, own)
        self.recipe = recipe
        _check_landmarks(recipe, landmarks)
        with importable(own):
            model = self.recipe.load(folder)
            self._plan = None
            if recipe.fit in ("crop", "whole"):
                self._plan = tile_plan(model, recipe.image_size, recipe.channels, tile)
            elif tile is not None:
                raise InputError(
                    f"--tile {tile}: the model was trained on whole pictures, resized to {recipe.image_size[0]} x "
                    f"{recipe.image_size[1]}, and sees them so; leave it out"
                )
        self._model = model.to(self.device)
        self._decoder = replace(recipe.decoder, faces=_faces_of(recipe, landmarks))
        self._normalisation = recipe.normalisation

    @property
    def has_map(self) -> bool:
        """Whether the model has a field of its own for every pixel."""
        return any(isinstance(module, AdaptiveModule) and module.map_name for module in self._model.modules())

    @property
    def aligns(self) -> bool:
        """Whether the model sees faces that are brought to one place."""
        return self._decoder.faces is not None and self._decoder.faces.align is not None

    @property
    def tiling(self) -> str | None:
        """What becomes of pictures larger than a tile."""
        return None if self._plan is None else self._plan.words

    def __call__(self, picture: str | Path, *, probabilities: bool = False, map: bool = False) -> Prediction:
        """The classes of one picture.

        Args:
            picture: the file.
            probabilities: give those too.
            map: give the pixels' own scales or dilations too, where the model has them.

        Raises:
            InputError: naming a file that cannot be read, or is too large for the device's memory.
        """
        picture = Path(picture)
        pixels = self._decoder.pixels(picture)
        with self._computing(picture):
            size = pixels.shape[0], pixels.shape[1]
            seen = self._seen(pixels, picture, size, with_map=map)
            on_picture = seen._replace(scores=self._on_picture(seen.scores, picture, size))
            classes = _numbers(on_picture.classes(size), on_picture.scores.shape[1])
            own = seen.map_at(size)
            prediction = Prediction(
                picture,
                classes,
                pixels,
                seen.scores,
                in_tiles=seen.in_tiles,
                map=None if own is None else own[0].cpu().numpy(),
                map_name=None if seen.map is None else seen.map.name,
            )
            if not probabilities:
                return prediction
            enlarged = resized(on_picture.scores.float(), seen.filled)[0, :, : size[0], : size[1]]
            return replace(prediction, probabilities=enlarged.softmax(0).cpu().numpy())

    def at_training_size(self, prediction: Prediction, truth: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Predicted and true classes, ``(1, H, W)`` each, as the study's validation has them where it scores there.

        Args:
            prediction: of a picture.
            truth: of every pixel of it.

        Raises:
            InputError: for a picture smaller than the part that is cut from it.
        """
        self._decoder.check_crop(prediction.picture, prediction.pixels)
        target = self._fitted_truth(truth, prediction.picture)[None]
        scores = prediction.scores
        if self._plan is not None:
            # The middle alone is validated, without what lies around it.
            with self._computing(prediction.picture):
                scores = raw_scores(self._model(self._fitted(prediction.pixels, prediction.picture)))
        with self._computing(prediction.picture):
            return predicted_classes(scores, target).cpu(), target

    def _on_picture(self, scores: Tensor, picture: Path, size: tuple[int, int]) -> Tensor:
        """The scores of an aligned face on its picture, ``size`` high and wide; others as they are."""
        faces = self._decoder.faces
        similarity = None if faces is None else faces.similarity(picture, size, self.recipe.image_size)
        if similarity is None:
            return scores
        return scores_on_picture(resized(scores.float(), self.recipe.image_size), similarity, size)

    def _fitted_truth(self, truth: NDArray[np.uint8], picture: Path) -> Tensor:
        if self.recipe.resampling == "torch":
            return resized_masks(torch.from_numpy(truth)[None], self.recipe.image_size)[0]
        return torch.from_numpy(self._decoder.fitted_classes(truth, picture))

    def _seen(self, pixels: Pixels, picture: Path, size: tuple[int, int], *, with_map: bool) -> AtScale:
        """Scores as the model leaves them, of the picture filled up or resized."""
        if self._plan is not None:
            image = torch.from_numpy(numbers_of(pixels)).permute(2, 0, 1)[None]
            return scores_at_scale(
                self._model, self._normalisation(image.to(self.device)), self._plan, with_map=with_map
            )
        scores = raw_scores(self._model(self._fitted(pixels, picture)))
        own = pixel_map(self._model, 1, self.recipe.image_size) if with_map else None
        # Scores and map are enlarged from the training's size to the picture's.
        filled = self._decoder.filled_size((pixels.shape[0], pixels.shape[1]))
        return AtScale(scores, filled or size, False, own)

    def _fitted(self, pixels: Pixels, picture: Path) -> Tensor:
        """``(1, C, H, W)``, as a validation image is."""
        if self.recipe.resampling == "torch":
            image = resized_item(torch.from_numpy(pixels).permute(2, 0, 1), self.recipe.image_size)
        else:
            image = self._decoder.fitted(pixels, picture)
        return self._normalisation(image[None].to(self.device))

    @contextmanager
    def _computing(self, picture: Path) -> Iterator[None]:
        """Without gradients, in the precision of the training."""
        reduced = self.recipe.precision == "bf16"
        try:
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=reduced):
                yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            repair = "give smaller tiles with --tile" if self._plan is not None else "predict on another device"
            raise InputError(f"{shown(picture)}: is too large for the memory of {self.device}; {repair}") from None


def predict(
    folder: str | Path,
    pictures: str | Path | Iterable[str | Path],
    *,
    probabilities: bool = False,
    code: str | Path | None = None,
    device: str | None = None,
    tile: int | None = None,
    landmarks: str | Path | None = None,
) -> Iterator[Prediction]:
    """The classes of pictures, one after the other, by a model that ``autorf retrain`` wrote.

    Pictures are prepared exactly as in the model's training, and nothing of its study is needed.

    Args:
        folder: of the model.
        pictures: one file, or several.
        probabilities: give those of every class too.
        code: a file or folder with the code of a ``python:`` network; None for the working directory.
        device: such as ``cpu`` or ``cuda``; None for an accelerator where there is one.
        tile: side in pixels of the tiles that large pictures are cut into where the model sees them at their own scale
            (``data.fit: crop``, ``data.patches``); None for a usual one.
        landmarks: of the pictures' faces, a file or folder as ``data.landmarks.root`` of a study, for a model that was
            trained on aligned faces or with a map of landmarks; classes are those of the pictures as they are.

    Returns:
        Of each picture its ``classes`` ``(H, W)`` and, where they were asked for, its ``probabilities``
        ``(n_classes, H, W)``, of the picture's own size.

    Raises:
        InputError: at once for a folder that holds no retrained model; in its turn for a file that cannot be read.

    Examples:
        >>> import autorf
        >>> def share(folder, pictures, number):  # of a class's pixels, picture by picture
        ...     return [(each.classes == number).mean() for each in autorf.predict(folder, pictures)]
        >>> try:
        ...     share("nowhere", ["a.jpg"], 1)
        ... except autorf.InputError as error:
        ...     print(error)
        nowhere/autorf.json: no such file; a saved model is a folder written by autorf.save
    """
    check_path("predict", "folder", folder)
    predictor = Predictor(folder, code=code, device=device, tile=tile, landmarks=landmarks)
    files = [pictures] if isinstance(pictures, str | Path) else pictures
    return (predictor(file, probabilities=probabilities) for file in files)


def _numbers(classes: Tensor, n_classes: int) -> Classes:
    numbers = classes.cpu().numpy()
    return numbers.astype(np.uint8) if n_classes <= _MOST_OF_A_BYTE else numbers.astype(np.uint16)


def chosen_device(name: str | None) -> torch.device:
    """The device of that name; without one an accelerator where there is one.

    Raises:
        InputError: for a device that is not there.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name is None:
        return accelerator or torch.device("cpu")
    there = ["cpu"] if accelerator is None else ["cpu", accelerator.type]
    if name.partition(":")[0] not in there:
        raise InputError(f"--device {name}: is not here; there is {' and '.join(there)}")
    return torch.device(name)


def _check_landmarks(recipe: Recipe, landmarks: str | Path | None) -> None:
    """Raise ``InputError`` where landmarks are missing, or of no use."""
    if recipe.landmarks is None and landmarks is not None:
        raise InputError(f"--landmarks {landmarks}: the model sees pictures without any; leave it out")
    if recipe.landmarks is not None and landmarks is None:
        raise InputError("--landmarks: the model sees faces by their landmarks; give the file or folder that has them")


def _faces_of(recipe: Recipe, landmarks: str | Path | None) -> FaceImages | None:
    if recipe.landmarks is None or landmarks is None:
        return None
    try:
        return faces_of(recipe.landmarks.model_copy(update={"root": Path(landmarks)}), recipe.align)
    except InputError as error:
        raise InputError(str(error).replace("data.landmarks.root", "--landmarks")) from None


def code_of(recipe: Recipe, code: str | Path | None) -> OwnCode | None:
    """The user's own code, which ``code`` says the place of; None for a network of a library."""
    if not needs_code(recipe):
        if code is not None:
            raise InputError(f"--code {code}: the network is {recipe.model.name}, which needs no code; leave it out")
        return None
    place, reference = Path.cwd() if code is None else Path(code), parse_reference(recipe.model.name)
    if not place.exists():
        raise InputError(f"--code {place}: no such file or folder")
    if not place.is_file():
        return _read_code(reference, place)
    if place.stem != reference.module:
        raise InputError(f"--code {place}: the network is {reference}, of a file {reference.module}.py; name that")
    return _read_code(replace(reference, file=place.name), place.parent)


def _read_code(reference: Reference, folder: Path) -> OwnCode:
    try:
        return read_code([reference], folder)
    except InputError as error:
        raise InputError(f"{error}; --code FILE says where it is") from None


def check_same_code(folder: Path, code: OwnCode) -> None:
    """Raise ``InputError`` where the network was trained with other code, which its weights may fit by accident."""
    builder = read_sidecar(folder / SIDECAR).builder
    if builder is None:
        return
    digest = code.digest_of_reference(parse_reference(builder.reference))
    if digest != builder.digest:
        raise InputError(
            f"{folder}: {builder.reference} is not the code that the model was trained with ({builder.digest} then, "
            f"{digest} now); give that by --code, or predict with this one: --accept-code-change"
        )
