from autorf.store.traces import alike_of, stepped
from tests.reporting.conftest import make_record
from tests.reports import with_trace

LEARNED = {"method": "learned_dilation", "start": 4.0}
FIRST = {
    "steps_per_epoch": 4, "step": [0, 2], "dilation": [4.0, 2.0],
    "rates": [1, 2, 4], "window": [[0.3, 0.4, 0.3], [0.2, 0.5, 0.3]], "profiles": [[0.0, -0.1, None]],
}  # fmt: skip
SECOND = {"steps_per_epoch": 4, "step": [4, 6], "dilation": [2.0, 2.0]}


def test_the_traces_of_all_epochs_become_one_against_steps_and_epochs() -> None:
    record = make_record(1, LEARNED)
    found = stepped(with_trace(record, FIRST, SECOND))
    assert found.steps == [0, 2, 4, 6]
    assert found.epochs == [0.0, 0.5, 1.0, 1.5]
    assert found.values == {"dilation": [4.0, 2.0, 2.0, 2.0]}
    assert found.rates == [1, 2, 4]
    assert len(found.window) == 2
    assert found.profiles == [[0.0, -0.1, None]]


def test_the_one_profile_of_an_earlier_version_is_read() -> None:
    trace = {name: values for name, values in FIRST.items() if name != "profiles"}
    record = make_record(1, LEARNED)
    found = stepped(with_trace(record, {**trace, "losses": [0.0, -0.1, None]}))
    assert found.profiles == [[0.0, -0.1, None]]
    assert found.values == {"dilation": [4.0, 2.0]}


def test_what_a_search_could_not_tell_apart_is_what_its_newest_epoch_says() -> None:
    record = make_record(1, LEARNED)
    traced = with_trace(record, {**FIRST, "alike": [[1, 2, 4]]}, {**SECOND, "alike": [[2, 4]]})
    assert alike_of(traced) == [[2, 4]]
    assert alike_of(with_trace(record, FIRST, SECOND)) == []
    assert "alike" not in stepped(traced).values


def test_trials_of_earlier_versions_have_none() -> None:
    assert stepped(make_record(1, LEARNED)).steps == []
