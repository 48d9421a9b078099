"""Results of trainings that ran elsewhere, taken into a study: checked, kept, and compared like any other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autorf.errors import InputError, shown
from autorf.methods.base import Method
from autorf.metrics import scores
from autorf.ops._arguments import check_path, image_sides, kind_of, positive_number, whole_number
from autorf.running.evidence import Evidence, read_evidence, write_evidence
from autorf.store.outside import OutsideStore
from autorf.store.storage import stored_url
from autorf.store.store import study_folder
from autorf.study.spec import checked_name
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
    counts = _checked(confusions)
    names = _class_names(classes, counts.shape[1])
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
    if not store.keep_recorded(trial, result, result.by_name[metric], lambda: _write(folder, counts, names, trial.key)):
        _check_same(folder, counts, trial)
    return trial.key


def _checked(confusions: Any) -> Tensor:
    """The counts as int64.

    Raises:
        InputError: for another shape, or what counts no pixels.
    """
    try:
        counts = torch.as_tensor(confusions)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"record: confusions must be numbers (n_images, C, C), got {kind_of(confusions)}") from None
    shape = tuple(counts.shape)
    if counts.dim() == 2 and shape[0] == shape[1]:
        raise InputError(
            f"record: confusions must be (n_images, C, C), one matrix an image, got {shape}; of one image give "
            "confusions[None]"
        )
    if counts.dim() != 3 or shape[1] != shape[2] or 0 in shape:
        raise InputError(f"record: confusions must be (n_images, C, C), [image, truth, predicted], got shape {shape}")
    if counts.is_complex() or not bool(torch.isfinite(counts.double()).all()):
        raise InputError("record: confusions must be numbers of pixels, got values that are no numbers")
    whole = counts.to("cpu", torch.float64)
    if bool((whole != whole.round()).any()) or bool((whole < 0).any()):
        raise InputError("record: confusions must be numbers of pixels: whole, and not below 0; not shares of them")
    return whole.long()


def _class_names(classes: Sequence[str] | None, n_classes: int) -> tuple[str, ...]:
    if classes is None:
        return tuple(map(str, range(n_classes)))
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise InputError(f"record: classes must be a list of names, got {shown(classes)}")
    if len(classes) != n_classes or len(set(classes)) != n_classes:
        raise InputError(
            f"record: confusions have {n_classes} classes, classes has {len(set(classes))} different names"
        )
    return tuple(classes)


def _scored(counts: Tensor, names: Sequence[str], metric: str) -> dict[str, Any]:
    measured = scores(counts.sum(0), names)
    values = {name: float(getattr(measured, name)) for name in METRICS}
    if values[metric] != values[metric]:
        raise InputError(f"record: confusions have no labelled pixel, so there is no {metric}")
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
    complete = (row.key for row in store.records() if row.state == "complete")
    before = next((seen for key in complete if (seen := read_evidence(store.folder / "trials" / key))), None)
    if before is None:
        return
    truth = before.confusion.long().sum(2)
    if torch.equal(truth, counts.sum(2)):
        return
    if torch.equal(truth, counts.sum(1)):
        raise InputError(
            "record: confusions have truth and predicted swapped against the study's: [image, truth, predicted]; give "
            "the transpose of each matrix"
        )
    wrong = int((truth != counts.sum(2)).any(1).nonzero()[0])
    raise InputError(
        f"record: image {wrong} has other labels than in the study's earlier trials; all are measured on the same "
        "validation images in the same order"
    )


def _check_same(folder: Path, counts: Tensor, trial: Trial) -> None:
    before = read_evidence(folder)
    if before is None or not torch.equal(before.confusion.long(), counts):
        raise InputError(
            f"record: {trial.label} is recorded already, with other confusions; give it another seed, or the study "
            "another name"
        )


def _write(folder: Path, counts: Tensor, names: tuple[str, ...], key: str) -> None:
    cells = counts.nonzero()
    nothing = torch.zeros(0, dtype=torch.int64)
    write_evidence(
        folder,
        Evidence(
            class_names=names,
            ignore_index=None,
            n_images=len(counts),
            cells=cells,
            counts=counts[tuple(cells.T)],
            objects=torch.zeros(0, 4, dtype=torch.int32),
            object_scales=torch.zeros(0),
            sample_indices=nothing,
            samples=torch.zeros(0, 3, 1, 1, dtype=torch.uint8),
            sample_truth=torch.zeros(0, 1, 1, dtype=torch.int16),
            sample_prediction=torch.zeros(0, 1, 1, dtype=torch.int16),
        ),
        key,
    )
