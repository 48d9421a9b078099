"""The same validation images side by side: image, truth, predictions, and the per-pixel maps."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autorf.data.class_colours import NO_CLASS, class_colour, palette
from autorf.reporting.pictures import entries, heat, map_bounds
from autorf.running.evidence import Evidence


@dataclass(frozen=True)
class Panel:
    """One picture of a row: ``source`` is a data URI, ``text`` says it in words."""

    title: str
    source: str
    text: str


@dataclass(frozen=True)
class SampleRow:
    """One validation image and everything shown of it.

    Attributes:
        index: of the image.
        width: in pixels.
        height: in pixels.
        panels: the pictures.
        label: what the row is, where it is no validation image; its panels' titles are names then.
    """

    index: int
    width: int
    height: int
    panels: tuple[Panel, ...]
    label: str = ""


@dataclass(frozen=True)
class Shown:
    """A trial whose predictions are shown, and under which title."""

    title: str
    evidence: Evidence


def sample_rows(shown: Sequence[Shown], maps: Sequence[Shown]) -> tuple[SampleRow, ...]:
    """A row of panels for each validation image that all of ``shown`` kept.

    Args:
        shown: trials whose predictions to show; the first one's image and truth are taken.
        maps: trials whose per-pixel maps to show, those without one left out.
    """
    if not shown:
        return ()
    common = set.intersection(*(set(trial.evidence.sample_indices.tolist()) for trial in shown))
    make = _row if shown[0].evidence.ranks is None else _class_row
    return tuple(make(index, shown, maps) for index in sorted(common))


def class_legend(evidence: Evidence) -> list[tuple[str, str]]:
    """Name and colour of every class that the samples' truth or predictions hold; none of whole pictures' classes."""
    if evidence.ranks is not None:
        return []
    present = set(np.unique(evidence.sample_truth.numpy())) | set(np.unique(evidence.sample_prediction.numpy()))
    names = evidence.class_names
    legend = [(name, class_colour(number)) for number, name in enumerate(names) if number in present]
    return [*legend, ("no class", NO_CLASS)] if evidence.ignore_index in present else legend


def _row(index: int, shown: Sequence[Shown], maps: Sequence[Shown]) -> SampleRow:
    first = shown[0].evidence
    at = _position(first, index)
    truth = first.sample_truth[at].numpy()
    height, width = truth.shape
    panels = [
        Panel("image", photo(first.samples[at].numpy()), f"validation image {index}"),
        Panel("truth", _labels(truth, first), f"labels of image {index}: {_present(truth, first)}"),
    ]
    for trial in shown:
        prediction = trial.evidence.sample_prediction[_position(trial.evidence, index)].numpy()
        right = _fraction_right(prediction, truth, first.ignore_index)
        text = f"{trial.title} on image {index}: {right:.1%} of pixels right"
        panels.append(Panel(trial.title, _labels(prediction, first), text))
    return SampleRow(index, width, height, (*panels, *_map_panels(index, maps)))


def _map_panels(index: int, maps: Sequence[Shown]) -> Iterator[Panel]:
    for trial in maps:
        if trial.evidence.maps is None or index not in trial.evidence.sample_indices.tolist():
            continue
        values = trial.evidence.maps[_position(trial.evidence, index)].float().numpy()
        text = f"{trial.title} on image {index}: {values.min():.2f} to {values.max():.2f}, mean {values.mean():.2f}"
        yield Panel(trial.title, _picture(heat(values, map_bounds(trial.evidence))), text)


def _class_row(index: int, shown: Sequence[Shown], maps: Sequence[Shown]) -> SampleRow:
    """A picture with its class and what each trial took it for, in words."""
    first = shown[0].evidence
    at = _position(first, index)
    height, width = first.samples[at].shape[1:]
    truth = first.class_names[int(first.sample_truth[at, 0, 0])]
    taken = [
        f"{trial.title}: {first.class_names[int(trial.evidence.sample_prediction[place, 0, 0])]}"
        for trial in shown
        for place in [_position(trial.evidence, index)]
    ]
    words = f"{truth}; {', '.join(taken)}"
    panel = Panel(words, photo(first.samples[at].numpy()), f"validation picture {index}: {words}")
    # Every row has titles of its own.
    return SampleRow(index, width, height, (panel, *_map_panels(index, maps)), f"Validation picture {index}")


def _position(evidence: Evidence, index: int) -> int:
    return evidence.sample_indices.tolist().index(index)


def _fraction_right(prediction: NDArray[np.int16], truth: NDArray[np.int16], ignored: int | None) -> float:
    # What a small picture was filled up with is below 0.
    counted = truth >= 0 if ignored is None else (truth >= 0) & (truth != ignored)
    return float((prediction == truth)[counted].mean()) if counted.any() else 0.0


def _present(labels: NDArray[np.int16], evidence: Evidence) -> str:
    names = [evidence.class_names[number] for number in np.unique(labels) if 0 <= number < evidence.n_classes]
    return ", ".join(names) or "none"


def _labels(labels: NDArray[np.int16], evidence: Evidence) -> str:
    """A label map as a palette image."""
    picture = Image.fromarray(entries(labels, evidence.n_classes)).convert("P")
    picture.putpalette(palette().flatten().tolist())
    return _uri(picture, "PNG", optimize=True)


def photo(image: NDArray[np.uint8]) -> str:
    """An image ``(3, h, w)`` as a data URI."""
    return _picture(np.ascontiguousarray(image.transpose(1, 2, 0)))


def _picture(colours: NDArray[np.uint8]) -> str:
    return _uri(Image.fromarray(colours), "WEBP", quality=82, method=6)


def _uri(picture: Image.Image, kind: str, **options: object) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
