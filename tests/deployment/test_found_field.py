"""The field that a trial found, fixed from the first step."""

from typing import Any

from autorf.deployment.found_field import with_found_field
from autorf.deployment.model_card import with_interval
from autorf.methods import Inflation
from autorf.store.record import Record
from autorf.study.trial import trial_from
from tests.reports import trial_result


def ended(configuration: dict[str, Any], **learned: float) -> Record:
    trial = trial_from(configuration, 0)
    return Record(1, trial.key, trial.configuration, 0, "complete", 1, trial, trial_result(values=learned))


def test_a_learned_dilation_becomes_a_plain_one_on_the_same_layers() -> None:
    trial, note = with_found_field(ended({"method": "learned_dilation", "targets": "head", "start": 4}, dilation=3.0))
    assert (trial.configuration, note) == ({"method": "dilation", "rate": 3, "targets": "head"}, None)


def test_layers_that_found_different_dilations_are_searched_again_even_where_their_mean_is_whole() -> None:
    record = ended({"method": "learned_dilation"}, **{"dilation": 3.0, "dilation.1": 2.0, "dilation.2": 4.0})
    trial, note = with_found_field(record)
    assert trial == record.trial
    assert note is not None
    assert "found different dilations; they are searched again" in note


def test_an_inflation_keeps_the_factor_it_found_and_can_learn_no_other() -> None:
    trial, note = with_found_field(ended({"method": "inflation", "search": 0.2, "dilation": 2}, f=0.6))
    assert note is None
    assert trial.method == Inflation(dilation=2, factor=0.6, low=0.6, high=0.6)


def test_a_field_of_every_pixel_is_learned_again_and_a_manual_one_stays() -> None:
    record = ended({"method": "scale_adaptive"}, scale=1.2)
    trial, note = with_found_field(record)
    assert (trial, note) == (
        record.trial,
        "scale_adaptive has a field of its own at every pixel, which cannot be fixed; it is learned again",
    )
    manual = ended({"method": "dilation", "rate": 2})
    assert with_found_field(manual) == (manual.trial, None)


def test_no_interval_reaches_beyond_0_and_1() -> None:
    assert with_interval({"mean": 0.9, "ci95": 0.3}, 2) == "0.90 (0.60 to 1.00)"
    assert with_interval({"mean": 0.5, "ci95": 0.3}, 2) == "0.50 ± 0.30"
    assert with_interval({"mean": 0.5, "ci95": None}, 2) == "0.50"
