from types import SimpleNamespace

from autorf.comparison.pareto import pareto_front


def test_the_front_is_what_nothing_beats_in_every_objective() -> None:
    rows = [
        {"miou": 0.5, "latency_ms": 1.0},
        {"miou": 0.7, "latency_ms": 2.0},
        {"miou": 0.6, "latency_ms": 3.0},
        {"miou": 0.7, "latency_ms": 2.0},
        {"miou": 0.9, "latency_ms": None},
        {"miou": 0.4},
    ]
    assert pareto_front(rows, ["miou", "latency_ms"]) == [rows[0], rows[1], rows[3]]
    assert pareto_front(rows, ["miou"]) == [rows[4]]


def test_rows_may_be_objects_and_none_at_all() -> None:
    rows = [SimpleNamespace(miou=0.5, flops=4), SimpleNamespace(miou=0.5, flops=3)]
    assert pareto_front(rows, ["miou", "flops"]) == [rows[1]]
    assert pareto_front([], ["miou"]) == []
