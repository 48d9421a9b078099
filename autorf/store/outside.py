"""The store of a study whose trainings run elsewhere: trials enter it complete."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from optuna.trial import TrialState

from autorf.errors import InputError
from autorf.store.storage import FORMAT
from autorf.store.store import Store
from autorf.study.trial import Trial
from autorf.training.results import TrialResult


class OutsideStore(Store):
    """One study's trials that were trained by others; read as any :class:`autorf.store.store.Store`."""

    def register_outside(self, spec: Mapping[str, Any]) -> None:
        """Remember what is known of a study whose trainings run elsewhere.

        Raises:
            InputError: when the study is one that autorf trains, or another one of that name.
        """
        self._patiently(lambda: self._register_outside(spec))

    def _register_outside(self, spec: Mapping[str, Any]) -> None:
        with self._opened.exclusive():
            attributes = self._attributes()
            before = attributes.get("spec")
            if before is not None and "model" in before:
                raise InputError(f"study {self.name!r} is one that autorf trains; record under another name")
            if before is not None and (part := next((key for key in spec if before.get(key) != spec[key]), None)):
                raise InputError(
                    f"study {self.name!r} was recorded with {part} {before.get(part)}, not {spec[part]}; record as "
                    "before, or under another name"
                )
            for name, value in (("format", FORMAT), ("identity", uuid.uuid4().hex[:12]), ("spec", dict(spec))):
                if name not in attributes:
                    self._study.set_user_attr(name, value)

    def keep_recorded(self, trial: Trial, result: TrialResult, value: float, write_files: Callable[[], None]) -> bool:
        """Enter a trial that was trained elsewhere as complete; False, and nothing done, where it is already.

        Args:
            trial: that was trained.
            result: of it.
            value: of the study's metric.
            write_files: writes the trial's files; called before the trial counts as complete.
        """
        new: bool = self._patiently(lambda: self._keep_recorded(trial, result, value, write_files))
        return new

    def _keep_recorded(self, trial: Trial, result: TrialResult, value: float, write_files: Callable[[], None]) -> bool:
        with self._opened.exclusive():
            self._enqueue_new([trial], self._read())
            record = next(each for each in self._read() if each.key == self._key(trial))
            if record.state == "complete":
                return False
            write_files()
            if record.state == "waiting":
                self._storage.set_trial_state_values(record.row, TrialState.RUNNING)
            self._set(record, "result", result.to_json())
            self._storage.set_trial_state_values(record.row, TrialState.COMPLETE, [value])
        return True
