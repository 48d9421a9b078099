"""What the choice of validation images adds to the uncertainty of scores, from the trials' evidence."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autorf.accuracy import Outcomes
from autorf.comparison.groups import Group, members_of
from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row
from autorf.running.evidence import read_group_tallies, read_outcomes, read_tallies
from autorf.statistics import image_variance, influence
from autorf.study.objectives import METRICS, group_of
from autorf.tasks import CLASSIFICATION

MOST_TRIALS = 300
"""Where a study has more complete trials, only those of its best configurations are read."""

CONTENDERS = 3
"""How many configurations of either kind are read then."""

Influence = NDArray[np.float64]


class ImageNoise:
    """Reads trials' evidence when asked, once each.

    Args:
        studies: where the files are.
        rows: of the studies.
        metric: that is compared; a cost does not depend on images.
    """

    def __init__(self, studies: Sequence[StudyResults], rows: Sequence[Row], metric: str) -> None:
        self.metric, self.n_images = metric, 0
        self._studies = {study.name: study for study in studies}
        self._rows = rows
        self._moved: dict[tuple[str, tuple[str, ...]], Influence | None] = {}
        self._labelled: NDArray[np.int64] | None = None

    def of_group(self, group: Group, *, only_images: bool = False) -> float | None:
        """The variance that images add to a group's mean; None where a trial has no evidence."""
        members = members_of(group, self._rows).values()
        influences = [moved for row in members if (moved := self._of_row(row)) is not None]
        if not influences or len(influences) < len(members):
            return None
        return image_variance(np.stack(influences), only_images=only_images)

    def of_pairs(
        self, ours: Sequence[Group], theirs: Sequence[Group], *, only_images: bool = False
    ) -> NDArray[np.float64] | None:
        """The same of paired differences ``(len(ours), len(theirs))``.

        Pairs that were not read, or have no evidence, get the largest known; None where none is known.
        """
        members = {group.configuration: members_of(group, self._rows) for group in [*ours, *theirs]}
        chosen = {group.configuration for group in [*self._contenders(ours), *self._contenders(theirs)]}
        variances = np.full((len(ours), len(theirs)), np.nan)
        first, second = ([group.configuration for group in groups] for groups in (ours, theirs))
        for i, j in np.ndindex(*variances.shape):
            a, b = first[i], second[j]
            if a in chosen and b in chosen:
                variance = self._of_pair(members[a], members[b], only_images)
                variances[i, j] = np.nan if variance is None else variance
        read = np.isfinite(variances)
        # A pair that was left out to save reading must not look surer than one that was read.
        return np.where(read, variances, variances[read].max()) if read.any() else None

    def _contenders(self, groups: Sequence[Group]) -> Iterable[Group]:
        if sum(row.counts for row in self._rows) <= MOST_TRIALS:
            return groups
        return list(groups)[:CONTENDERS]

    def _of_pair(self, ours: Mapping[int, Row], theirs: Mapping[int, Row], only_images: bool) -> float | None:
        differences = []
        for seed in ours.keys() & theirs.keys():
            a, b = self._of_row(ours[seed]), self._of_row(theirs[seed])
            if a is not None and b is not None:
                differences.append(a - b)
        return image_variance(np.stack(differences), only_images=only_images) if differences else None

    def _of_row(self, row: Row) -> Influence | None:
        place = (row.study, row.trial_keys)
        if place not in self._moved:
            self._moved[place] = self._read(row)
        return self._moved[place]

    def _read(self, row: Row) -> Influence | None:
        if self.metric in CLASSIFICATION.metrics:
            return self._of_pictures(row)
        counts = self._tallies(row)
        if counts is None or not counts[:, :, 1].any():
            return None
        if self._labelled is None:
            self._labelled, self.n_images = counts[:, :, 1], len(counts)
        # Only on the same images is a difference a paired one.
        if not np.array_equal(counts[:, :, 1], self._labelled):
            return None
        if group_of(self.metric) is not None:
            return influence(counts, "f1")
        labels = self._studies[row.study].labels
        return influence(counts, self.metric, () if labels is None else labels.left_out)

    def _of_pictures(self, row: Row) -> Influence | None:
        """Of a classification, whose pictures are one label each: tallies of many classes would not fit into memory."""
        outcomes = self._outcomes(row)
        if outcomes is None or not len(outcomes.labels):
            return None
        if self._labelled is None:
            self._labelled, self.n_images = outcomes.labels, len(outcomes.labels)
        # Only on the same pictures is a difference a paired one.
        return outcomes.influence(self.metric) if np.array_equal(outcomes.labels, self._labelled) else None

    def _outcomes(self, row: Row) -> Outcomes | None:
        """Of all pictures that a row is measured on; folds one after the other."""
        folders = [self._studies[row.study].trial_folder(key) for key in row.trial_keys]
        parts = [read_outcomes(folder) for folder in folders if folder is not None]
        known = [outcomes for outcomes in parts if outcomes is not None]
        if not known or len(known) < len(folders):
            return None
        labels, ranks = ([getattr(outcomes, name) for outcomes in known] for name in ("labels", "ranks"))
        return Outcomes(np.concatenate(labels), np.concatenate(ranks))

    def _tallies(self, row: Row) -> NDArray[np.int64] | None:
        """Counts by image and class, or by image of the group that the metric is of; folds one after the other."""
        parts = [self._of_trial(row.study, key) for key in row.trial_keys]
        known = [counts for counts in parts if counts is not None]
        return np.concatenate(known) if known and len(known) == len(parts) else None

    def _of_trial(self, of_study: str, key: str) -> NDArray[np.int64] | None:
        study, group = self._studies[of_study], group_of(self.metric)
        folder, labels = study.trial_folder(key), study.labels
        if folder is None:
            return None
        tallies = None
        if self.metric in METRICS:
            tallies = read_tallies(folder)
        elif group is not None and labels is not None and labels.groups and group in labels.groups:
            tallies = read_group_tallies(folder, labels.groups[group])
        return None if tallies is None else tallies.numpy()
