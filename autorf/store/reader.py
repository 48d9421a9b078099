"""Reading a study: its trials as records, and what is known of it as a whole."""

import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import DBAPIError

from autorf.store.damage import rows_with_damage, study_values
from autorf.store.patience import Patience, may_come_back
from autorf.store.record import Record, newest_attempts, record_from
from autorf.store.scored_anew import LabelledClasses, scored_anew
from autorf.store.storage import Storage
from autorf.study.defaults import Defaults, restored_spec
from autorf.study.storage_spec import StorageSpec


def defaults_in(attributes: Mapping[str, Any]) -> Defaults:
    """The defaults that a study began with, from what its storage knows of it as a whole."""
    spec = attributes.get("spec")
    return Defaults(
        attributes.get("defaults", {}), attributes.get("file_defaults"), None if spec is None else restored_spec(spec)
    )


class StudyReader:
    """One study as its storage has it: trials, the study file it began with, and notes about the whole.

    Everything waits for a storage that cannot be reached, see :class:`autorf.store.patience.Patience`.

    Args:
        folder: of the study.
        name: of the study.
        spec: where the storage is, and how long to wait for silent drivers and for the storage itself.
        exists: whether there must be such a study already.

    Attributes:
        damaged: names of what the study knows of itself that cannot be read; it is left out, and told once.
    """

    def __init__(self, folder: Path, name: str, spec: StorageSpec | None = None, *, exists: bool = False) -> None:
        self.folder, self.name, self._spec = folder, name, spec or StorageSpec()
        self.driver = uuid.uuid4().hex[:12]
        self._opened = Storage(folder, name, self._spec.url, exists=exists)
        self._study, self._storage = self._opened.study, self._opened.rdb
        self._defaults: Defaults | None = None
        self._seen: dict[int, Record] = {}
        self.damaged: tuple[str, ...] = ()
        self._labelled = LabelledClasses(folder)
        self._patiently = Patience(self._opened.label, self._spec.patience_minutes, self._opened.check_there)

    @property
    def lease_seconds(self) -> float:
        """After how much silence another driver takes a trial over."""
        return self._spec.lease_seconds

    def hurry(self) -> None:
        """From now on, wait for the storage only seconds, as someone who pressed Ctrl-C would."""
        self._patiently.minutes = min(self._patiently.minutes, 0.1)

    @property
    def spec(self) -> dict[str, Any] | None:
        """The study file as it was when the study began, or None before."""
        stored = self._patiently(self._attributes).get("spec")
        return None if stored is None else restored_spec(stored)

    @property
    def defaults(self) -> Defaults:
        """Those that the study began with."""
        return self._patiently(self._known_defaults)

    @property
    def identity(self) -> str:
        """Tells this study from every other, those of the same name too; empty before :meth:`register`."""
        return str(self._patiently(self._attributes).get("identity", ""))

    def note(self, name: str, value: object) -> None:
        """Remember something about the study as a whole: plain JSON by name."""
        self._patiently(lambda: self._study.set_user_attr(f"note:{name}", value))

    def notes(self) -> dict[str, Any]:
        """What :meth:`note` has remembered."""
        attributes = self._patiently(self._attributes)
        return {name.removeprefix("note:"): value for name, value in attributes.items() if name.startswith("note:")}

    def attempts(self) -> list[Record]:
        """Every attempt at every trial, each with its own epochs only, in the order they were enqueued."""
        return self._patiently(self._attempts)

    def records(self) -> list[Record]:
        """The newest attempt at every trial, in the order the trials were enqueued."""
        return self._patiently(self._read)

    def record(self, key: str) -> Record:
        """The newest attempt at the trial ``key``."""
        return next(record for record in self.records() if record.key == key)

    def add_retrain(self, key: str, facts: Mapping[str, Any]) -> None:
        """Remember that a trial was retrained; ``seconds`` of an earlier retrain of it are added up."""
        before = self.retrains().get(key, {}).get("seconds", 0.0)
        added_up = {**facts, "seconds": facts["seconds"] + before}
        self._patiently(lambda: self._study.set_user_attr(f"retrain:{key}", added_up))

    def retrains(self) -> dict[str, dict[str, Any]]:
        """What was retrained, by trial key: ``seconds`` in all, ``epochs``, ``seeds``, ``with_val``, ``fixed``."""
        return {
            name.removeprefix("retrain:"): value
            for name, value in self._patiently(self._attributes).items()
            if name.startswith("retrain:")
        }

    def _known_defaults(self) -> Defaults:
        if self._defaults is None or not self._defaults.methods:
            self._defaults = defaults_in(self._attributes())
        return self._defaults

    def _read(self) -> list[Record]:
        return newest_attempts(self._attempts())

    def _attempts(self) -> list[Record]:
        # Asked once, for the storage answers with a copy of all that it knows of the study.
        defaults = self._known_defaults()
        return scored_anew([self._record(row, defaults) for row in self._rows()], self._labelled)

    def _rows(self) -> list[FrozenTrial]:
        try:
            return self._study.get_trials(deepcopy=False)
        except (AssertionError, ValueError, LookupError, TypeError):
            # Optuna stops at a value that is no JSON, a score that is no number, or a state that there is not.
            return rows_with_damage(self._storage, self._study._study_id)
        except (StorageInternalError, DBAPIError) as error:
            if may_come_back(error):
                raise
            return rows_with_damage(self._storage, self._study._study_id)

    def _attributes(self) -> dict[str, Any]:
        """What the study knows of itself, without what is damaged."""
        values, damaged = study_values(self._storage, self._study._study_id)
        if new := [name for name in damaged if name not in self.damaged]:
            self.damaged = tuple(damaged)
            print(f"autorf: {self._opened.label}: damaged and left out: {', '.join(new)[:120]}", file=sys.stderr)
        return values

    def _record(self, row: FrozenTrial, defaults: Defaults) -> Record:
        before = self._seen.get(row._trial_id)
        # What has ended stays as it is.
        if before is None or before.ended is None:
            before = self._seen[row._trial_id] = record_from(row, defaults, before)
        return before
