"""Every method under every behaviour: the flow works as the plain loop does, or is refused by a line of ours."""

import pytest

from tests.matrix import distributed
from tests.matrix.behaviours import BEHAVIOURS
from tests.matrix.loop import METHODS, SEARCHING
from tests.matrix.outcome import RIGHT, Outcome, outcome

LEARNING = tuple(name for name in METHODS if name != "dilation")
OWN_PARAMETERS = ("inflation", "inflation with search", "scale-adaptive", "pixel-adaptive")

REFUSED: dict[str, tuple[str, ...]] = {
    "export before freeze": ("inflation", "inflation with search"),
    "early stop": SEARCHING,
    "optimizer before adapt": OWN_PARAMETERS,
    "foreign optimizer": OWN_PARAMETERS,
    "evaluation mode": SEARCHING,
    "DDP before adapt": LEARNING,
}
"""The methods of each behaviour whose flow is refused, or of which it is said what is wrong; all others work."""


def check(behaviour: str, method: str, cell: Outcome) -> None:
    assert cell.kind in RIGHT, f"{behaviour}, {method}: {cell.kind}: {cell.words}"
    if cell.kind != "does not apply":
        refused = method in REFUSED.get(behaviour, ())
        assert cell.kind == ("refused" if refused else "works"), cell.words
        assert not refused or cell.words


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("method", METHODS)
def test_a_flow_works_or_is_refused_by_a_line(method: str, behaviour: str) -> None:
    check(behaviour, method, outcome(lambda: BEHAVIOURS[behaviour](method)))


@pytest.fixture(scope="module")
def pair() -> dict[tuple[str, str], Outcome]:
    """All cells that take two processes, from one pair of them."""
    return distributed.outcomes(tuple(METHODS))


@pytest.mark.parametrize("behaviour", distributed.BEHAVIOURS)
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_work_or_are_refused_by_a_line(
    method: str, behaviour: str, pair: dict[tuple[str, str], Outcome]
) -> None:
    check(behaviour, method, pair[behaviour, method])
