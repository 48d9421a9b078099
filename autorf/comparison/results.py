"""What a comparison knows of a study, and whether two studies can be compared at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from autorf.comparison.looks import Look, looks_of
from autorf.comparison.same_images import PLACES, same_images, trained_on_others
from autorf.data import Labels, labels_in
from autorf.errors import InputError
from autorf.store.replicates import replicates
from autorf.store.store import Record, Store, newest_attempts
from autorf.study.objectives import group_of
from autorf.tasks import CLASSIFICATION, Task, task_of

_AT_MASKS = "Scores and object sizes are at the masks' own size, fields in pixels of the images."

_READING = ("data.digest_gb", "data.cache_gb", "data.pictures")
"""How images are read and known: see :func:`autorf.comparison.same_images.same_images`."""

_TRAIN_ONLY = ("n_train", "n_test", "augmentation", "train", "test", "groups", "half", "patches")
"""Settings of a data set that leave its validation split as it is, and the means over it."""


@dataclass(frozen=True)
class StudyResults:
    """A study as it stands.

    Attributes:
        name: of the study.
        records: the newest attempt at every trial, in the order the trials were enqueued.
        attempts: every attempt; the same as ``records`` where no others are known.
        spec: the study file as it was when the study began; empty where it is not known.
        folder: of the study; None where there are no files.
        retrains: seconds and epochs of what was retrained, by trial key.
        notes: what the store remembers of the study as a whole: how it ended, versions of libraries.
    """

    name: str
    records: tuple[Record, ...]
    attempts: tuple[Record, ...]
    spec: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    retrains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def objectives(self) -> tuple[str, ...]:
        """What the search aims at; the first one chooses."""
        return tuple(self.part("search").get("objectives") or (self.task.metrics[0],))

    @property
    def task(self) -> Task:
        """What its networks are trained for."""
        return task_of(self.spec)

    @property
    def constraints(self) -> tuple[str, ...]:
        """Limits that a best configuration keeps."""
        return tuple(self.part("search").get("constraints") or ())

    @property
    def looks(self) -> tuple[Look, ...]:
        """At which seeds a grid that is not trained whole is tested; nothing for one test over all that are there."""
        if self.part("search").get("sampler") != "sufficient":
            return ()
        return looks_of(self.part("training").get("seeds") or ())

    def part(self, name: str) -> Mapping[str, Any]:
        """One part of the study file, such as ``data``."""
        section: Mapping[str, Any] = self.spec.get(name) or {}
        return section

    @cached_property
    def labels(self) -> Labels | None:
        """What the data set says of its classes; None where it is not known, such as one of a missing package."""
        return labels_in(self.part("data"))

    @cached_property
    def pooled(self) -> "StudyResults":
        """The study with its replicates in the place of its trials; itself where its data is not in folds."""
        if not self.folds:
            return self
        return replace(self, records=tuple(replicates(self.records, self.part("data"))))

    @property
    def folds(self) -> int | None:
        """How many folds the data is in; None without."""
        folds = self.part("data").get("folds")
        return folds if isinstance(folds, int) else None

    def trial_folder(self, key: str) -> Path | None:
        """Where a trial's files are."""
        return None if self.folder is None else self.folder / "trials" / key


def results_of(store: Store) -> StudyResults:
    """A study as it stands in its storage, read once."""
    attempts = store.attempts()
    return StudyResults(
        name=store.name,
        records=tuple(newest_attempts(attempts)),
        attempts=tuple(attempts),
        spec=store.spec or {},
        folder=store.folder,
        retrains=store.retrains(),
        notes=store.notes(),
    )


def bare_results(study: str, records: Iterable[Record]) -> StudyResults:
    """Records alone, without files."""
    rows = tuple(records)
    return StudyResults(study, rows, rows)


def check_comparable(studies: Sequence[StudyResults]) -> tuple[str, ...]:
    """What else differs between studies that can be compared, in a line each.

    Raises:
        InputError: when metric, classes, those of the means, or validation split differ, naming the difference.
    """
    first = studies[0]
    notes = [_AT_MASKS] if _scale(first) == "mask" else []
    for other in studies[1:]:
        where = f"studies {first.name!r} and {other.name!r} cannot be compared"
        if first.objectives[0] != other.objectives[0]:
            raise InputError(f"{where}: their metrics differ: {first.objectives[0]} and {other.objectives[0]}")
        mine, theirs = _classes(first), _classes(other)
        if mine and theirs and mine != theirs:
            raise InputError(f"{where}: their classes differ: {_shown(mine, theirs)} and {_shown(theirs, mine)}")
        data = _differences("data", first.part("data"), other.part("data"))
        if means := [text for name, text in data.items() if name.startswith("data.left_out")]:
            raise InputError(f"{where}: their means are over different classes: {'; '.join(means)}")
        if group_of(first.objectives[0]) is not None and "data.groups" in {name[:11] for name in data}:
            raise InputError(f"{where}: their label groups differ, of which the metric is one")
        ours, its = _scale(first), _scale(other)
        if ours != its:
            raise InputError(
                f"{where}: data.score_at ({ours} against {its}): scores at the training size and at the masks' own are "
                "of two scales"
            )
        data.pop("data.score_at", None)
        data = {name: text for name, text in data.items() if not name.startswith(_READING)}
        images = same_images(first, other)
        free = (*_TRAIN_ONLY, "image_size") if scored_at_masks(first) else _TRAIN_ONLY
        free = (*free, *PLACES) if images.same else free
        split = [text for name, text in data.items() if name.split(".")[1] not in free]
        if split:
            repair = "; data.score_at: mask makes image sizes comparable" if "data.image_size" in data else ""
            raise InputError(f"{where}: their validation images differ: {'; '.join(split)}{repair}")
        if images.same is False:
            raise InputError(f"{where}: {images.sentence} Search both on the same ones")
        if trained_on_others(first, other):
            notes.append(f"{first.name} and {other.name} were trained on other images.")
        rest = dict(data)
        for part in ("model", "training"):
            rest |= _differences(part, first.part(part), other.part(part))
        notes += [f"{first.name} and {other.name} differ in {text}" for text in rest.values()]
    return tuple(notes)


def _scale(study: StudyResults) -> str:
    """What the study says of the scale of its scores; an older one is scored at the training size."""
    return str(study.part("data").get("score_at") or "training")


def scored_at_masks(study: StudyResults) -> bool:
    """Whether a study's scores are of one scale whatever its images' size."""
    data = study.part("data")
    drawn_at_image_size = data.get("name") in ("digits", "digit_classes") and data.get("canvas") is None
    # A picture has its class at any size.
    has_one_scale = _scale(study) == "mask" or study.task == CLASSIFICATION
    return has_one_scale and not drawn_at_image_size


def _classes(study: StudyResults) -> list[str]:
    results = (record.result for record in study.records if record.result is not None)
    return next((list(result.class_scores) for result in results if result.class_scores), [])


def _shown(mine: Sequence[str], theirs: Sequence[str]) -> str:
    """How many classes, and the first that the others lack."""
    lacking = [name for name in mine if name not in theirs]
    some = f" with {', '.join(lacking[:3])}{' ...' if len(lacking) > 3 else ''}" if lacking else ""
    order = " in another order" if not lacking and len(mine) == len(theirs) else ""
    return f"{len(mine)} classes{some}{order}"


def _differences(name: str, mine: Any, theirs: Any) -> dict[str, str]:
    """``{path: "path (one against other)"}`` for every value that differs; a part not known differs in nothing."""
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        if not mine or not theirs:
            return {}
        keys = dict.fromkeys([*mine, *theirs])
        return {
            path: text
            for key in keys
            for path, text in _differences(f"{name}.{key}", mine.get(key), theirs.get(key)).items()
        }
    return {} if mine == theirs else {name: f"{name} ({_plain(mine)} against {_plain(theirs)})"}


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
