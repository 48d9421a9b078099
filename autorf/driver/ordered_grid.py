"""The manual grid by its receptive fields, and which of its trainings the sampler ``sufficient`` asks for."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.comparison.groups import groups_of
from autorf.comparison.images import ImageNoise
from autorf.comparison.looks import looks_of
from autorf.comparison.results import StudyResults, results_of
from autorf.comparison.rows import rows_of
from autorf.driver.bisection import LEAST_FIELDS, next_trainings
from autorf.errors import InputError
from autorf.methods import is_manual
from autorf.store.record import Record
from autorf.store.store import Store
from autorf.study.objectives import sign, violated
from autorf.study.settings import IMAGE_SIZE
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial


def ordered_grid(spec: StudySpec, source: str, trials: Iterable[Trial], classes: Any) -> tuple[tuple[Trial, ...], str]:
    """The manual configurations, smallest receptive field first, and why they are trained whole all the same, if so.

    Raises:
        InputError: with one seed, several image sizes, or no manual configuration.
    """
    from autorf.running.at_start import field_at_start

    manual = [trial for trial in trials if is_manual(trial.method.method)]
    if len(spec.training.seeds) < 2:
        raise InputError(
            f"{source}: search.sampler: sufficient tests over seeds; training.seeds is {list(spec.training.seeds)}: "
            "give three, such as [0, 1, 2], or five for a second look"
        )
    if not manual:
        raise InputError(
            f"{source}: search.sampler: sufficient bisects a manual grid, and search_space has none; add dilation"
        )
    if any(key == IMAGE_SIZE for trial in manual for key, _ in trial.settings):
        raise InputError(
            f"{source}: search.sampler: sufficient takes one image size; leave {IMAGE_SIZE} out of search_space, "
            "or set sampler to grid"
        )
    if len(manual) < LEAST_FIELDS:
        fields = "one field is" if len(manual) == 1 else f"{len(manual)} fields are"
        told = f"{fields} too few to bisect (at least {LEAST_FIELDS}); all of the grid is trained"
        return (), f"{source}: search.sampler: sufficient: {told}"
    sides = {trial: max(field_at_start(spec, trial, classes).rf) for trial in manual}
    return tuple(sorted(manual, key=sides.__getitem__)), ""


def due_trainings(grid: Sequence[Trial], spec: StudySpec, store: Store) -> list[Trial]:
    """What the sampler asks for next; nothing while trainings of the grid wait or run, and at the end.

    A field one of whose trainings failed or breaks a limit is left out: the others are bisected without it.
    """
    if not grid:
        return []
    study, members = results_of(store), set(grid)
    searched = [record for record in study.records if record.control is None]
    by_trial = {record.trial: record for record in searched if _first_of(record, spec) in members}
    if any(not record.finished for record in by_trial.values()):
        return []
    seeds = spec.training.seeds
    records = {trial: [by_trial.get(replace(trial, seed=seed)) for seed in seeds] for trial in grid}
    usable = [trial for trial in grid if all(_usable(record, spec) for record in records[trial])]
    if not usable:
        return []
    scores = np.array([[_score(record, spec) for record in records[trial]] for trial in usable])
    images = _image_noise(study, [records[trial] for trial in usable], spec.search.objectives[0])
    cells = next_trainings(scores, spec.search.margin, looks_of(seeds), *images)
    return [replace(usable[field], seed=seeds[seed]) for field, seed in cells]


def _image_noise(
    study: StudyResults, fields: Sequence[Sequence[Record | None]], metric: str
) -> tuple[NDArray[np.float64], int]:
    """The variances that the choice of images adds to each pair of fields, as the comparison counts them."""
    rows = rows_of(study)
    noise, groups = ImageNoise([study], rows, metric), groups_of(rows)
    by_key = {key: group for group in groups for key in group.keys}
    trained = [place for place, records in enumerate(fields) if any(records)]
    compared = [by_key[next(record.key for record in fields[place] if record)] for place in trained]
    variances = np.zeros((len(fields), len(fields)))
    known = noise.of_pairs(compared, compared) if compared else None
    if known is None:
        return variances, 0
    variances[np.ix_(trained, trained)] = known
    return variances, noise.n_images


def _first_of(record: Record, spec: StudySpec) -> Trial | None:
    """The record's configuration as the grid has it, under the first seed."""
    return None if record.trial is None else replace(record.trial, seed=spec.training.seeds[0])


def _usable(record: Record | None, spec: StudySpec) -> bool:
    if record is None:
        return True
    scores = None if record.result is None else record.result.by_name
    if record.state != "complete" or scores is None or spec.search.objectives[0] not in scores:
        return False
    return not violated(scores, spec.search.constraints)


def _score(record: Record | None, spec: StudySpec) -> float:
    """Larger for better; nan for what was not trained."""
    metric = spec.search.objectives[0]
    return float("nan") if record is None else sign(metric) * record.value(metric)
