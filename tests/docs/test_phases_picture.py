"""The picture of the phases."""

from xml.etree import ElementTree

from autorf.methods.bookkeeping import Phase
from autorf.surgery import __all__ as calls
from docs.generator.phases_picture import BACK, PHASES, picture

SPACE = "{http://www.w3.org/2000/svg}"


def test_it_shows_every_phase_of_the_library_in_order() -> None:
    names = [phase.name for phase in PHASES]
    assert [name for name in names if name in list(Phase)] == list(Phase)


def test_what_moves_a_model_can_be_called() -> None:
    assert {phase.onward[0] for phase in PHASES if phase.onward} | {BACK} <= set(calls)


def test_it_is_a_well_formed_drawing_within_its_bounds() -> None:
    drawing = ElementTree.fromstring(picture())
    _, _, width, height = map(float, drawing.attrib["viewBox"].split())
    boxes = drawing.findall(f"{SPACE}rect")
    assert len(boxes) == len(PHASES)
    for box in boxes:
        left, top, wide, high = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert left + wide <= width
        assert top + high <= height
