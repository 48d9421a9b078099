"""A study keeps the defaults that it began with."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from autorf.methods import METHODS, LearnedDilation
from autorf.specification import Before, Specification, value_before
from autorf.store.store import Store, beginning, open_store
from autorf.study.defaults import Defaults
from autorf.study.search_space import read_spaces
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import Trial, configurations, key_of, spec_of, trial_from, under_every_seed
from autorf.training.spec import TrainingSpec
from tests.tiny import TINY

STORED = Path(__file__).parents[1] / "fixtures" / "studies_0_1.tar.xz"


@contextmanager
def another_default(kind: type[BaseModel], name: str, value: Any) -> Iterator[None]:
    """A version of autorf in which a field has another default."""
    field, before = kind.model_fields[name], kind.model_fields[name].default
    try:
        field.default = value
        kind.model_rebuild(force=True)
        yield
    finally:
        field.default = before
        kind.model_rebuild(force=True)


def read(name: str = "tiny", training: dict[str, Any] | None = None) -> StudySpec:
    return StudySpec(
        name=name,
        data=TINY["data"],
        model=TINY["model"],
        search_space=tuple(TINY["search_space"]),
        training=TrainingSpec(**(training or {"epochs": 2})),
    )


def registered(root: Path, spec: StudySpec) -> Store:
    """What a search does before it runs anything."""
    defaults = beginning(root, spec)
    whole = defaults.completed(spec)
    listed = configurations(whole, read_spaces(whole.search_space, "f", whole, defaults))
    store = Store(root / spec.name, spec.name)
    store.register(whole, under_every_seed(listed, whole.training.seeds))
    return store


def learned(store: Store) -> LearnedDilation:
    (record,) = [one for one in store.records() if one.configuration["method"] == "learned_dilation"]
    method = trial_from(record.configuration, record.seed).method
    assert isinstance(method, LearnedDilation)
    return method


def test_a_study_goes_on_with_its_own_defaults_and_a_new_one_takes_todays(tmp_path: Path) -> None:
    before = learned(registered(tmp_path, read())).window
    keys = {record.key for record in open_store(tmp_path, "tiny").records()}
    with another_default(LearnedDilation, "window", before + 1.5):
        store = registered(tmp_path, read())
        assert {record.key for record in store.records()} == keys
        assert learned(store).window == before
        assert learned(registered(tmp_path, read("another"))).window == before + 1.5
    assert learned(open_store(tmp_path, "another")).window == before + 1.5
    assert {record.key for record in open_store(tmp_path, "another").records()} == keys


def test_layers_of_a_study_of_a_time_without_sharing_still_learn_each_their_own() -> None:
    configuration = {"method": "learned_dilation", "start": 4.0}
    before = Defaults({"learned_dilation": {"extra": 0.0}})
    today = {**configuration, "shared": False, "prefer": "lowest_loss"}
    assert before.to_today(configuration) == today
    # Its key is of what was written then.
    assert before.to_stored(today) == configuration


def test_an_attempt_that_follows_keeps_its_meaning_and_its_key(tmp_path: Path) -> None:
    store = registered(tmp_path, read())
    key = next(record.key for record in store.records() if record.configuration["method"] == "learned_dilation")
    before = learned(store).window
    with another_default(LearnedDilation, "window", before + 1.5):
        again = open_store(tmp_path, "tiny")
        while (record := again.claim()) is not None and record.key != key:
            pass
        assert record is not None
        again.requeue(record, "interrupted")
        assert (again.record(key).attempt, learned(again).window) == (2, before)
    stored = open_store(tmp_path, "tiny").record(key)
    assert key_of(stored.configuration, stored.seed) == key


def test_what_a_study_file_leaves_out_is_what_it_was_when_the_study_began(tmp_path: Path) -> None:
    before = TrainingSpec().lr
    registered(tmp_path, read())
    with another_default(TrainingSpec, "lr", 0.5):
        assert beginning(tmp_path, read()).completed(read()).training.lr == before
        registered(tmp_path, read())
        assert beginning(tmp_path, read("another")).completed(read("another")).training.lr == 0.5
        given = read(training={"epochs": 2, "lr": 0.5})
        assert beginning(tmp_path, given).completed(given).training.lr == 0.5


def test_a_key_that_is_taken_out_of_the_file_is_a_change(tmp_path: Path) -> None:
    registered(tmp_path, read(training={"epochs": 2, "lr": 0.5}))
    with pytest.raises(ValueError, match=r"training\.lr: 0\.5 became 0\.003"):
        registered(tmp_path, read())


def test_a_field_that_is_newer_than_a_study_means_what_was_done_before_it() -> None:
    class Newer(Specification):
        margin: Annotated[float, Before(0.0)] = 0.1
        side: int = 3

    assert [value_before(field) for field in Newer.model_fields.values()] == [0.0, 3]


def test_a_method_with_a_newer_field_keeps_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wider(LearnedDilation):
        margin: Annotated[float, Before(0.0)] = 0.1

    stored = {name: value for name, value in _defaults_of(LearnedDilation).items() if name != "margin"}
    monkeypatch.setitem(METHODS, "learned_dilation", Wider)
    study = Defaults({"learned_dilation": stored})
    configuration = {"method": "learned_dilation", "start": 4.0}
    today = study.to_today(configuration)
    assert today == {**configuration, "margin": 0.0}
    trial = trial_from(today, 0)
    assert study.to_stored(trial.configuration) == configuration
    assert study.to_stored(Trial(Wider(start=4), 0).configuration) == {**configuration, "margin": 0.1}


def _defaults_of(kind: type[BaseModel]) -> dict[str, Any]:
    return json.loads(kind.model_validate({}).model_dump_json())


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies of version 0.1."""
    root = tmp_path_factory.mktemp("earlier")
    with tarfile.open(STORED) as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.mark.parametrize("name", ["stored", "unfinished"])
def test_trials_of_an_earlier_version_have_the_keys_they_had(earlier: Path, name: str) -> None:
    store = open_store(earlier, name)
    records = store.records()
    assert records
    spec = parse_study(store.spec or {}, name)
    for record in records:
        trial = trial_from(record.configuration, record.seed)
        assert trial.configuration == record.configuration
        for same in (trial, trial_from(record.configuration, record.seed, spec)):
            assert key_of(store.defaults.to_stored(same.configuration), record.seed) == record.key
        assert spec_of(spec, trial).training.steps is None


def test_the_file_of_a_study_of_an_earlier_version_may_leave_out_what_it_began_with(earlier: Path) -> None:
    store = open_store(earlier, "stored")
    stored = store.spec or {}
    bare = parse_study({key: stored[key] for key in ("name", "data", "model", "search_space")}, "stored")
    with another_default(TrainingSpec, "lr", 0.7):
        completed = beginning(earlier, bare).completed(bare)
    plain = completed.model_dump(mode="json")
    assert {**plain["training"], "seeds": stored["training"]["seeds"]} == stored["training"]
    assert completed.training.epochs == stored["training"]["epochs"]
