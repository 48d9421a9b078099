"""What an exported file says of its model, so that whoever runs it needs nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

import autorf
from autorf.advice.tiling import tiling
from autorf.data import load
from autorf.data.loading import labels_of
from autorf.deployment.recipe import Recipe, read_recipe
from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.study.spec import StudySpec
from autorf.surgery.sidecar import read_sidecar
from autorf.surgery.storage import SIDECAR
from autorf.training.native_scale import RawScores


def facts_of(model: nn.Module, size: tuple[int, int], channels: int, *, of_pictures: bool = False) -> dict[str, Any]:
    """What is measured of any model: its field, stride and halo, in input pixels.

    Args:
        model: frozen, in evaluation mode.
        size: height and width of the training images.
        channels: of the images.
        of_pictures: whether it scores whole pictures, of which no tiles can be cut.

    Returns:
        ``rf``, ``stride``, ``halo`` and ``multiple`` are ``[height, width]``; tiles with this halo at multiples of
        ``multiple`` give the whole image's scores where ``tiles_exact``, else ``tiles_reason`` says why not. Only
        ``field_unknown``, with the reason, of a network that cannot be measured.
    """
    known = {"autorf": autorf.__version__, "image_size": list(size), "channels": channels}
    try:
        field = receptive_field(RawScores(model), size, in_channels=channels)
    except InputError as error:
        return {**known, "field_unknown": str(error)}
    known |= {"rf": list(field.size), "rnorm": field.rnorm, "stride": list(field.stride)}
    if of_pictures:
        return known
    tiles = tiling(field)
    return {
        **known,
        "halo": list(tiles.halo),
        "multiple": list(tiles.multiple),
        "tiles_exact": tiles.exact,
        **({} if tiles.exact else {"tiles_reason": tiles.reason}),
    }


def study_facts(spec: StudySpec, folder: Path) -> Mapping[str, Any]:
    """What a study knows of a model in ``folder``: classes, colours, normalisation.

    Returns:
        Without ``mean``, ``std`` and ``is_rgb``, and with ``normalisation_unknown``, where the model was not retrained
        and the images by which they were taken are gone.
    """
    if read_sidecar(folder / SIDECAR).prediction is not None:
        return _of_recipe(read_recipe(folder))
    try:
        return _of_recipe(Recipe.of(spec, load(spec.data)))
    except InputError as error:
        named = {"model": spec.model.name, "task": spec.task, "classes": list(labels_of(spec.data).class_names)}
        return {**named, "normalisation_unknown": str(error)}


def _of_recipe(recipe: Recipe) -> dict[str, Any]:
    return {
        "model": recipe.model.name,
        "task": recipe.task,
        "classes": list(recipe.class_names),
        "colours": [list(colour) for colour in recipe.colours],
        "mean": list(recipe.mean),
        "std": list(recipe.std),
        "is_rgb": recipe.is_rgb,
        "fit": recipe.fit,
        **({} if recipe.shorter_side is None else {"shorter_side": recipe.shorter_side}),
        **({"banner": recipe.banner} if recipe.banner else {}),
    }
