"""Results of trainings that ran elsewhere, taken into a study: checked, kept, and compared like any other."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autorf.errors import InputError, shown
from autorf.methods.base import Method
from autorf.ops._arguments import check_path, image_sides, kind_of, positive_number, whole_number
from autorf.running.confusions import (
    checked_confusions,
    names_of_classes,
    other_images,
    scored_confusions,
    write_confusions,
)
from autorf.running.evidence import read_evidence
from autorf.store.outside import OutsideStore
from autorf.store.record import Record
from autorf.store.storage import stored_url
from autorf.store.store import study_folder
from autorf.study.study_name import checked_name
from autorf.study.trial import Trial
from autorf.training.results import LABELLED, METRICS, Field, TrialResult

OUTSIDE = "recorded"
"""What stands for the data of a study whose trainings ran elsewhere."""


def record(
    study: str,
    method: Method,
    seed: int,
    confusions: Any,
    *,
    steps: int,
    seconds: float,
    rf: float | tuple[float, float],
    image_size: int | tuple[int, int],
    device: str | None = None,
    learned: Mapping[str, float] | None = None,
    classes: Sequence[str] | None = None,
    metric: str = "miou",
    root: str | Path = "runs",
) -> str:
    """Take the result of a training that ran elsewhere into a study, which is made by the first.

    :func:`autorf.compare`, :func:`autorf.report` and their commands then say of it what they say of a study that autorf
    ran: intervals over seeds and images, the verdict at equal steps, the recommendation. The same result once more
    changes nothing.

    Args:
        study: its name.
        method: how the field was set or learned, such as ``autorf.Dilation(rate=3)``; with the seed it is the trial.
        seed: of the training.
        confusions: ``(n_images, C, C)`` whole numbers, ``[image, truth, predicted]``: the pixels of the validation
            split, each image's apart and in one order for all trials. An array, a tensor, or nested lists. Pixels
            without a label are left out.
        steps: optimizer steps it was trained; the comparison says where these differ.
        seconds: of training; the verdict at equal cost rests on them.
        rf: side or ``(height, width)`` of the field in input pixels: ``autorf.receptive_field(...).size``.
        image_size: side or ``(height, width)`` in pixels of the images.
        device: that trained it, such as ``"cuda"``; costs are compared on one kind only.
        learned: what was learned, as ``autorf.learned_values`` gives it.
        classes: names of the ``C`` classes; their numbers without.
        metric: by which the study is compared: ``miou``, ``f1`` or ``pixel_accuracy``.
        root: the folder of all studies.

    Returns:
        The trial's key.

    Raises:
        InputError: for confusions of another shape or with other images than the study's, axes that are swapped, a
            trial that is there with other results, a study that autorf itself trains, or an argument out of range.

    Examples:
        >>> import autorf, numpy, tempfile
        >>> counts = numpy.array([[[90, 10], [20, 80]], [[95, 5], [30, 70]]])  # 2 images, 2 classes
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for seed in (0, 1):
        ...         key = autorf.record(
        ...             "mine", autorf.Dilation(rate=2), seed, counts,
        ...             steps=100, seconds=9, rf=35, image_size=96, root=root,
        ...         )
        ...     autorf.compare("mine", root=root).groups[0].n
        2
    """
    check_path("record", "root", root)
    if not isinstance(method, Method):
        raise InputError(f"record: method must be one such as autorf.Dilation(rate=3), got {kind_of(method)}")
    if metric not in METRICS:
        raise InputError(f"record: metric {shown(metric)}: one of {', '.join(METRICS)}")
    trial = Trial(method, whole_number("record", "seed", seed, least=0))
    counts = checked_confusions("record", confusions)
    names = names_of_classes("record", classes, counts.shape[1])
    sides = image_sides("record", image_size)
    result = TrialResult(
        **_scored(counts, names, metric),
        mean_over=LABELLED,
        learned=_learned(learned),
        field=_field(rf, sides),
        epochs=1,
        steps=whole_number("record", "steps", steps),
        seconds=positive_number("record", "seconds", seconds),
        device=device,
    )
    store = _store(Path(root), study, names, len(counts), sides, metric)
    _check_images(store, counts)
    folder = store.folder / "trials" / trial.key
    if not store.keep_recorded(
        trial, result, result.by_name[metric], lambda: write_confusions(folder, counts, names, trial.key)
    ):
        _check_same(folder, counts, trial)
    return trial.key


def _scored(counts: Tensor, names: Sequence[str], metric: str) -> dict[str, Any]:
    measured = scored_confusions("record", counts, names, metric)
    values = {name: float(getattr(measured, name)) for name in METRICS}
    return {"metrics": values, "iou_per_class": measured.iou, "f1_per_class": measured.f1_per_class}


def _learned(learned: Mapping[str, float] | None) -> dict[str, float]:
    return {
        str(name): positive_number("record", f"learned[{name!r}]", value) for name, value in (learned or {}).items()
    }


def _field(rf: Any, sides: tuple[int, int]) -> Field:
    pair = rf if isinstance(rf, Sequence) else (rf, rf)
    if isinstance(rf, str) or len(pair) != 2:
        raise InputError(f"record: rf must be a side or (height, width) in pixels, got {shown(rf)}")
    height, width = (positive_number("record", "rf", side) for side in pair)
    return Field((height, width), max(height / sides[0], width / sides[1]))


def _store(
    root: Path, study: str, names: tuple[str, ...], n_images: int, sides: tuple[int, int], metric: str
) -> OutsideStore:
    name = checked_name(study, "record: study")
    data = {"name": OUTSIDE, "classes": list(names), "n_val": n_images, "image_size": list(sides)}
    folder = study_folder(root, name)
    if stored_url(folder) is not None:
        raise InputError(f"study {name!r} is one that autorf trains; record under another name")
    store = OutsideStore(folder, name)
    store.register_outside({"name": name, "data": data, "search": {"objectives": [metric]}})
    return store


def _check_images(store: OutsideStore, counts: Tensor) -> None:
    """Raise unless the truth of every image is that of the study's first trial."""
    before = first_confusions(store.folder, store.records())
    if before is not None and (problem := other_images("record", before, counts, "the study's earlier trials")):
        raise InputError(problem)


def first_confusions(folder: Path, records: Iterable[Record]) -> Tensor | None:
    """The confusions of a study's first complete trial that has any, ``(n_images, C, C)``; None without."""
    complete = (record.key for record in records if record.state == "complete")
    evidence = next((kept for key in complete if (kept := read_evidence(folder / "trials" / key))), None)
    return None if evidence is None else evidence.confusion


def _check_same(folder: Path, counts: Tensor, trial: Trial) -> None:
    before = read_evidence(folder)
    if before is None or not torch.equal(before.confusion.long(), counts):
        raise InputError(
            f"record: {trial.label} is recorded already, with other confusions; give it another seed, or the study "
            "another name"
        )
