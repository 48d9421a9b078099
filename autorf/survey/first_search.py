"""The network, the fields and the training that a first study of a data set tries."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from autorf.advice.dilation_line import DilationLine
from autorf.advice.field_rule import Sufficient, advised_field
from autorf.advice.objects import ClassSizes
from autorf.advice.samples import Size
from autorf.advice.suggestion import advice_for, dilation_line
from autorf.errors import InputError
from autorf.fields.field import ReceptiveField, receptive_field
from autorf.networks import ModelSpec, build
from autorf.survey.survey import Survey

MODEL: dict[str, Any] = {"name": "largefov:resnet18", "channels": [128, 128], "head_norm": True}
"""Small enough for a first search on a CPU, with one dilation to turn."""

_STAGES = (2, 1)
"""Of the backbone, where it is cut: the first by which the network sees no more than the picture at dilation 1."""

_USUAL_RATES = (1, 2, 4, 8, 12)
_MOST_RATES = 6
_LARGEST_BATCH = 16
_STEPS = 800
"""Optimizer steps that a network from random weights needs about to tell its classes apart."""

_FEWEST_EPOCHS, _MOST_EPOCHS = 12, 120
_UNEQUAL_SHARE = 0.02
"""Of the labelled pixels: where a class has less, the loss weights classes."""


@dataclass(frozen=True)
class FirstSearch:
    """What a first study tries.

    Attributes:
        model: the study's ``model``.
        rates: the dilations of the manual grid.
        training: the study's ``training``.
        field: the network's receptive field at dilation 1, in pixels.
        sufficient: the field that is advised; None where no class is one of objects.
    """

    model: dict[str, Any]
    rates: tuple[int, ...]
    training: dict[str, Any]
    field: float
    sufficient: Sufficient | None

    @property
    def search_space(self) -> list[dict[str, Any]]:
        """The study's ``search_space``: the grid, and a dilation that is learned from both of its ends."""
        rates = list(self.rates)
        return [
            {"method": "dilation", "rate": rates},
            {"method": "learned_dilation", "rates": [rates], "start": [rates[0], rates[-1]]},
        ]


def first_search(survey: Survey, channels: int) -> FirstSearch:
    """What to try first on pictures that were looked at, without any training.

    Args:
        survey: the pictures.
        channels: of each.
    """
    objects = [row.objects for row in survey.classes if row.objects is not None]
    measured = (_measured(stage, survey, channels) for stage in _STAGES)
    model = next(measured)
    while model.line.at_one > min(survey.image_size) and (earlier := next(measured, None)) is not None:
        model = earlier
    line = model.line
    sufficient = _sufficient(objects, survey.image_size, line.without)
    rates: tuple[int, ...] = _USUAL_RATES
    if sufficient is not None:
        try:
            advice = advice_for(model.network, model.field, sufficient.rf, in_channels=channels, line=line)
            rates = _rates([option.dilation for option in advice.options], line.map_side)
        except InputError:
            rates = _USUAL_RATES
    rates = tuple(rate for rate in rates if rate < max(line.map_side, 2))
    return FirstSearch(model.keys, rates, _training(survey), line.at_one, sufficient)


@dataclass(frozen=True)
class _Measured:
    """A network, its field, and how that grows with dilation."""

    keys: dict[str, Any]
    network: nn.Module
    field: ReceptiveField
    line: DilationLine


def _measured(stage: int, survey: Survey, channels: int) -> _Measured:
    keys = {"name": MODEL["name"], "stage": stage, **MODEL}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the field is that of any weights, but for what a network's own code draws
        network = build(ModelSpec.model_validate(keys), max(len(survey.classes), 2), channels).eval()
    field = receptive_field(network, survey.image_size, in_channels=channels)
    return _Measured(keys, network, field, dilation_line(network, field, in_channels=channels))


def _sufficient(objects: Sequence[ClassSizes], image_size: Size, rest: float) -> Sufficient | None:
    sides = [sizes.typical for sizes in objects if not sizes.background]
    return advised_field(sides, image_size, rest) if sides else None


def _rates(advised: Sequence[int], map_side: int) -> tuple[int, ...]:
    """Dilation 1 and those that are advised, evenly thinned out to a few."""
    rates = sorted({1, *(rate for rate in advised if rate < map_side)})
    while len(rates) > _MOST_RATES:
        ratios = [after / rate for rate, after in pairwise(rates[1:])]
        del rates[1 + ratios.index(min(ratios))]
    return tuple(rates) if len(rates) > 2 else _USUAL_RATES


def _training(survey: Survey) -> dict[str, Any]:
    n_train = survey.counts["train"]
    batch_size = 1
    while batch_size * 2 <= min(_LARGEST_BATCH, max(n_train // 4, 2), n_train):
        batch_size *= 2
    epochs = round(_STEPS / max(n_train // batch_size, 1))
    training: dict[str, Any] = {
        "epochs": min(max(epochs, _FEWEST_EPOCHS), _MOST_EPOCHS),
        "batch_size": batch_size,
        "lr": 3e-3,
    }
    shares = [row.shares["train"] for row in survey.classes]
    if min(shares) < _UNEQUAL_SHARE:
        training["class_weights"] = "balanced"
    return training
