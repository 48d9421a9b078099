"""The papers' studies as their files have them, and trained in this process."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from autorf.comparison import results_of
from autorf.comparison.results import StudyResults
from autorf.driver import search as searching
from autorf.store.store import open_store
from autorf.study.builtin import folder
from autorf.study.plain_yaml import read_yaml
from autorf.study.published import is_of
from autorf.study.search_space import read_spaces
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import Trial, configurations
from tests.driver.driving import Silent
from tests.study.trained import Here


def study(name: str, *overrides: str) -> StudySpec:
    """A built-in study with other values for some of its keys."""
    path = folder("studies") / f"{name}.yaml"
    return parse_study(read_yaml(path), str(path), overrides)


def trials_of(spec: StudySpec) -> list[Trial]:
    """One for each configuration of a study's grid."""
    return configurations(spec, read_spaces(spec.search_space, spec.name, spec))


def meant_by(spec: StudySpec, where: dict[str, object]) -> list[Trial]:
    """The configurations that a published figure is of."""
    trials = [(trial, {k: v for k, v in trial.configuration.items() if k != "method"}) for trial in trials_of(spec)]
    return [trial for trial, params in trials if is_of(where, spec, trial.method.method, params)]


def searched(spec: StudySpec, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyResults:
    """The results of a search whose trials are trained in this process."""
    monkeypatch.setattr(searching, "make", lambda *_: Here())
    monkeypatch.setattr(searching, "open_mirror", lambda *_: nullcontext(Silent()))
    monkeypatch.setattr(searching, "take_first_steps", lambda *_: [])
    searching.search(spec, name, tmp_path / "runs", quiet=True)
    return results_of(open_store(tmp_path / "runs", name))
