"""The picture of the floors is drawn from the files."""

from pathlib import Path
from xml.etree import ElementTree

from docs.generator.floors import FLOORS, rooms
from docs.generator.floors_picture import WIDTH, picture

SVG = "{http://www.w3.org/2000/svg}"


def boxes(svg: str) -> dict[str, dict[str, float]]:
    groups = ElementTree.fromstring(svg).findall(f"{SVG}g")
    shapes = {group.findall(f"{SVG}text")[0].text or "": group.find(f"{SVG}rect") for group in groups}
    return {
        name: {key: float(value) for key, value in shape.attrib.items()}
        for name, shape in shapes.items()
        if shape is not None
    }


def test_every_room_with_files_has_a_box_inside_the_picture() -> None:
    drawn = boxes(picture(rooms()))
    assert set(drawn) == {room for floor in FLOORS for room in floor} & set(rooms())
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= WIDTH for box in drawn.values())


def test_a_room_stands_above_every_room_it_imports_from() -> None:
    drawn = boxes(picture(rooms()))
    ground = set(FLOORS[0])
    for room in rooms().values():
        for below in room.imports & set(drawn) if room.name in drawn and room.name not in ground else ():
            assert drawn[room.name]["y"] < drawn[below]["y"], (room.name, below)


def test_a_room_is_told_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "upper").mkdir()
    (tmp_path / "lower.py").write_text('"""Small & low."""\n')
    (tmp_path / "upper" / "__init__.py").write_text('"""Stands on\nothers.\n\nMore.\n"""\n')
    (tmp_path / "upper" / "late.py").write_text("def late():\n    from autorf.lower import it\n    return it\n")
    found = rooms(tmp_path)
    assert (found["upper"].lines, found["upper"].summary) == (8, "Stands on others.")
    assert (found["upper"].imports, found["lower"].imports) == ({"lower"}, frozenset())
    svg = picture(found, (("lower",), ("upper",), ("planned",)))
    assert set(boxes(svg)) == {"lower", "upper"}
    assert "8 lines" in svg
    assert "Small &amp; low." in svg
