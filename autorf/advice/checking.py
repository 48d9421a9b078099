"""Whether a network sees enough of its pictures, which knob changes it and how to tile: without any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autorf.advice.border import border
from autorf.advice.dilation_line import DilationLine
from autorf.advice.field_rule import Sufficient, advised_field
from autorf.advice.model_check import ModelCheck, SizeRow
from autorf.advice.objects import ClassSizes, Component, class_sizes, components, typical_side
from autorf.advice.peak_memory import parse_memory
from autorf.advice.samples import FolderSamples, Sample, Samples, Size, resized, usual_size
from autorf.advice.suggestion import Advice, advice_for, dilation_line
from autorf.advice.tile_check import tile_check
from autorf.errors import InputError, shown
from autorf.fields.effective import EffectiveField, effective_receptive_field
from autorf.fields.field import ReceptiveField, receptive_field
from autorf.networks import ModelSpec, build
from autorf.ops._arguments import check_module, image_sides, kind_of
from autorf.surgery.dry_run import input_channels

EFFECTIVE_PICTURES = 4
"""Over which the effective field is averaged."""

DEFAULT_SIZE = (512, 512)
"""Height and width in pixels where neither pictures nor a size are given."""


def check(
    model: nn.Module | ModelSpec | str,
    images: Path | str | None = None,
    masks: Path | str | None = None,
    image_size: Size | int | None = None,
    memory: str | int | None = None,
    *,
    class_names: Sequence[str] = (),
    spec: ModelSpec | None = None,
    samples: Samples | None = None,
) -> ModelCheck:
    """Whether a network sees enough of its pictures, which knob changes it, and how to tile them.

    Nothing is trained: the theoretical field is read off the network's graph, the effective one from its gradient, the
    objects from the masks, and the memory and the errors of tiles are measured by running the network.

    Args:
        model: the network, or its name as for :func:`autorf.build`; run in evaluation mode and left as it was.
        images: a folder of pictures; None for noise.
        masks: a folder of masks of the same names, 8-bit PNG, one class a pixel.
        image_size: what pictures are resized to, ``(height, width)`` or one side in pixels; None for their own size.
        memory: bytes, or such as ``"8GB"``, that a tile's forward pass may take; None for no largest tile.
        class_names: of the masks' labels, from 0 on.
        spec: how ``model`` was built, where it was by name: its keys are then among the knobs.
        samples: pictures and masks from elsewhere, in the place of ``images`` and ``masks``.

    Returns:
        What was found; its ``to_dict()`` is the contract of ``autorf check --format json``.

    Raises:
        InputError: for masks without objects, a memory that holds not even one tile, a model that reads other channels
            than pictures have, or pictures, masks or an image size that cannot be used.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> checked = autorf.check(model, image_size=64, memory="1MB")
        >>> checked.field.size, checked.tiles.tiling.exact, checked.tiles.holds_exact
        ((7, 7), True, True)
    """
    given = samples if samples is not None else _samples(images, masks, class_names)
    network, spec = _network(model, spec, 3 if given is None else given.channels)
    limit = None if memory is None else parse_memory(memory)
    channels = input_channels(network)
    _check_channels(channels, given)
    size = _size(image_size, given)
    measured = receptive_field(network, size, in_channels=channels)
    pictures = _Pictures(given, None if image_size is None else size)
    images_seen = pictures.tensors(size) if given is not None else [_noise(channels, size)]
    effective, notes = _effective(network, images_seen)
    line = _line(network, measured, channels) if pictures.objects else None
    sufficient = _sufficient(pictures.objects, size, line)
    advice, advice_notes = _advice(network, measured, sufficient, channels, spec, line)
    return ModelCheck(
        model=spec.name if spec is not None else type(network).__name__,
        weights=_weights(spec, model),
        field=measured,
        effective=effective,
        source=None if given is None else given.source,
        sizes=pictures.by_size(measured),
        objects=pictures.objects,
        border=border(measured),
        sufficient=sufficient,
        advice=advice,
        tiles=tile_check(network, measured, memory=limit, picture=images_seen[0]),
        notes=(*(() if given is None else given.notes), *notes, *advice_notes),
        shown=pictures.picture,
        shown_objects=pictures.shown_objects,
    )


def _network(model: Any, spec: ModelSpec | None, channels: int) -> tuple[nn.Module, ModelSpec | None]:
    if not isinstance(model, str | ModelSpec):
        check_module("check", model)
        return model, spec
    named = ModelSpec(name=model) if isinstance(model, str) else model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # random weights, but the same ones each time
        return build(named, channels=channels).eval(), named


def _weights(spec: ModelSpec | None, given: Any) -> str:
    if isinstance(given, nn.Module) or spec is None:
        return "as given"
    if spec.weights is not None:
        return f"of {spec.weights}"
    return "published ones of the encoder" if spec.pretrained or spec.encoder_weights is not None else "random"


def _samples(images: Any, masks: Any, class_names: Sequence[str]) -> Samples | None:
    for name, folder in (("images", images), ("masks", masks)):
        if folder is not None and not isinstance(folder, str | Path):
            raise InputError(f"check: {name} must be a folder, got {kind_of(folder)}")
    if images is None and masks is not None:
        raise InputError("check: masks without images: give both folders, or the images alone")
    if images is None:
        return None
    names = dict(enumerate(class_names))
    return FolderSamples(Path(images), None if masks is None else Path(masks), names)


def _check_channels(channels: int, samples: Samples | None) -> None:
    if samples is None or channels == samples.channels:
        return
    raise InputError(
        f"check: the model reads {channels} channel{'s' * (channels != 1)} and the pictures of {shown(samples.source)} "
        f"have {samples.channels}; build it for these (such as --set args.in_channels={samples.channels}), or check it "
        "without pictures"
    )


def _size(image_size: Any, samples: Samples | None) -> Size:
    if image_size is not None:
        return image_sides("check", image_size)
    return DEFAULT_SIZE if samples is None else usual_size(samples.sizes)


class _Pictures:
    """The objects of every picture, at one size or each at its own, and the picture that is shown."""

    def __init__(self, samples: Samples | None, size: Size | None) -> None:
        self._samples, self._size = samples, size
        self.objects: tuple[ClassSizes, ...] = ()
        self.shown: Sample | None = None
        self.shown_objects: tuple[Component, ...] = ()
        self._of_size: dict[Size, list[Component]] = {}
        if samples is not None:
            self._look(samples, size)

    def _look(self, samples: Samples, size: Size | None) -> None:
        of_pictures: list[list[Component]] = []
        usual = usual_size(samples.sizes)
        for index, own in enumerate(samples.sizes):
            sample = samples.read(index, size)
            members = [] if sample.mask is None else components(sample.mask, samples.ignored)
            of_pictures.append(members)
            kinds = len({each.label for each in members})
            if own == usual and (self.shown is None or kinds > len({each.label for each in self.shown_objects})):
                self.shown, self.shown_objects = sample, tuple(members)
        if self.shown is None or self.shown.mask is None:
            return
        self.objects = class_sizes(of_pictures, samples.names)
        kept = {sizes.label for sizes in self.objects if not sizes.background}
        if not kept:
            raise InputError(f"check: the masks of {shown(samples.source)} hold no object, only the background")
        self.shown_objects = tuple(each for each in self.shown_objects if each.label in kept)
        for own, members in zip(samples.sizes, of_pictures, strict=True):
            self._of_size.setdefault(own, []).extend(each for each in members if each.label in kept)

    def by_size(self, measured: ReceptiveField) -> tuple[SizeRow, ...]:
        """A row for each size of picture, the most frequent first."""
        if self._samples is None:
            return ()
        counts = Counter(self._samples.sizes)
        return tuple(self._row(size, count, measured) for size, count in counts.most_common())

    def _row(self, size: Size, count: int, measured: ReceptiveField) -> SizeRow:
        seen_at = size if self._size is None else self._size
        rnorm = max(rf / side for rf, side in zip(measured.size, seen_at, strict=True))
        members = self._of_size.get(size)
        return SizeRow(size, count, rnorm, typical_side(members) if members else None)

    def tensors(self, size: Size) -> list[Tensor]:
        """Some of the pictures as the network sees them, each ``(1, 3, H, W)``; the one that is shown first."""
        assert self._samples is not None
        assert self.shown is not None
        count = min(len(self._samples.sizes), EFFECTIVE_PICTURES - 1)
        others = [round(at) for at in np.linspace(0, len(self._samples.sizes) - 1, count)]
        chosen = [resized(self.shown, size), *(self._samples.read(index, size) for index in others)]
        return [self._samples.normalisation(each.image[None]) for each in chosen]

    @property
    def picture(self) -> NDArray[np.uint8] | None:
        """The shown picture as colours ``(H, W, 3)``."""
        if self._samples is None or self.shown is None:
            return None
        rule = self._samples.normalisation
        colours: Tensor = (255 * rule.shown(rule(self.shown.image[None])[0])).round().byte()
        return colours.permute(1, 2, 0).contiguous().numpy()


def _noise(channels: int, size: Size) -> Tensor:
    return torch.randn((1, channels, *size), generator=torch.Generator().manual_seed(0))


def _effective(model: nn.Module, images: Sequence[Tensor]) -> tuple[EffectiveField | None, tuple[str, ...]]:
    try:
        return effective_receptive_field(model, images), ()
    except InputError as error:
        return None, (f"no effective field: {error}",)


def _line(model: nn.Module, measured: ReceptiveField, channels: int) -> DilationLine | None:
    try:
        return dilation_line(model, measured, in_channels=channels)
    except InputError:
        return None


def _sufficient(objects: Sequence[ClassSizes], size: Size, line: DilationLine | None) -> Sufficient | None:
    kinds = [sizes.typical for sizes in objects if not sizes.background]
    return advised_field(kinds, size, None if line is None else line.without) if kinds else None


def _advice(
    model: nn.Module,
    measured: ReceptiveField,
    sufficient: Sufficient | None,
    channels: int,
    spec: ModelSpec | None,
    line: DilationLine | None,
) -> tuple[Advice | None, tuple[str, ...]]:
    if sufficient is None:
        return None, ()
    try:
        return advice_for(model, measured, sufficient.rf, in_channels=channels, spec=spec, line=line), ()
    except InputError as error:
        return None, (f"no knob of the network: {error}",)
