from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from autorf.store.parameters import waiting_row
from autorf.store.store import Store
from autorf.study.spec import parse_study
from autorf.study.trial import grid
from tests.tiny import TINY


def test_a_value_that_optuna_has_no_range_for_is_kept_beside_its_parameters() -> None:
    configuration = {"method": "dilation", "rate": 3, "training.lr": 1e30, "training.batch_size": 100_000}
    row = waiting_row(configuration, {"configuration": configuration})
    assert row.params == {"method": "dilation", "dilation.rate": 3}
    assert row.user_attrs["configuration"] == configuration


def test_a_method_that_optuna_does_not_know_yet_is_kept_beside_its_parameters() -> None:
    row = waiting_row({"method": "spectral", "bands": 3}, {"method": "spectral"})
    assert row.params == {"spectral.bands": 3}
    assert row.user_attrs["method"] == "spectral"


SPACES = [
    {"method": "dilation", "rate": [1, 2], "training.optimizer": ["adamw", "sgd"]},
    {
        "method": "inflation",
        "dilation": 2,
        "factor": [1, 1.5],
        "gradient": ["exact", "paper"],
        "per_axis": [True, False],
    },
    {"method": "pixel_adaptive", "rates": [[1, 2], [1, 2, 4]], "aggregation": ["markov", "gated"]},
    {"method": "learned_dilation", "start": [None, 4]},
]


def registered(folder: Path, spaces: Sequence[Mapping[str, Any]] = SPACES) -> Store:
    spec = parse_study({**TINY, "search_space": list(spaces)}, "tiny.yaml")
    store = Store(folder / "tiny", "tiny")
    store.register(spec, grid(spec, "tiny.yaml"))
    return store


def rows_of(store: Store) -> list[dict[str, Any]]:
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{store.folder / 'study.db'}")
    return [trial.params for trial in study.get_trials()]


def test_optunas_parameters_hold_every_axis_defaults_and_the_studys_own_values_too(tmp_path: Path) -> None:
    rows = rows_of(registered(tmp_path))
    assert {tuple(row) for row in rows if row["method"] == "dilation"} == {
        ("method", "dilation.rate", "training.optimizer")
    }
    assert {row["training.optimizer"] for row in rows if row["method"] == "dilation"} == {"adamw", "sgd"}
    inflations = [row for row in rows if row["method"] == "inflation"]
    assert len(inflations) == 8
    assert {(row["inflation.gradient"], row["inflation.per_axis"], row["inflation.factor"]) for row in inflations} == {
        (gradient, per_axis, factor) for gradient in ("exact", "paper") for per_axis in (True, False)
        for factor in (1.0, 1.5)
    }  # fmt: skip
    assert {row["pixel_adaptive.rates"] for row in rows if row["method"] == "pixel_adaptive"} == {"[1, 2]", "[1, 2, 4]"}
    assert {row["learned_dilation.start"] for row in rows if row["method"] == "learned_dilation"} == {None, 4.0}


def test_a_choice_that_is_added_later_is_a_fact_of_its_row_only_and_an_axis_a_parameter(tmp_path: Path) -> None:
    registered(tmp_path)
    more = [*SPACES[:2], {**SPACES[2], "rates": [[1, 2], [1, 2, 4], [1, 3]]}, *SPACES[3:]]
    more.append({"method": "scale_adaptive", "share": ["layer", "stage"]})
    rows = rows_of(registered(tmp_path, more))
    grown = [row for row in rows if row["method"] == "pixel_adaptive"]
    assert [row.get("pixel_adaptive.rates") for row in grown[-2:]] == [None, None]
    assert {row["scale_adaptive.share"] for row in rows if row["method"] == "scale_adaptive"} == {"layer", "stage"}


def test_trial_keys_do_not_depend_on_what_optuna_is_told(tmp_path: Path) -> None:
    store = registered(tmp_path)
    spec = parse_study({**TINY, "search_space": SPACES}, "tiny.yaml")
    assert [record.key for record in store.records()] == [trial.key for trial in grid(spec, "tiny.yaml")]
