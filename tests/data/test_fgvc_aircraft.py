"""FGVC-Aircraft in the layout of its archive, and the odd cases that people have on disk."""

from pathlib import Path

import pytest

from autorf.data import AircraftData, load
from autorf.data.names import shown
from autorf.errors import InputError
from tests.data.classes import VARIANTS, label_of, write_aircraft, write_shade


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_aircraft(tmp_path / "fgvc-aircraft-2013b")


def _fails(root: Path, **keys: object) -> str:
    with pytest.raises(InputError) as error:
        load(AircraftData(root=root, image_size=16, **keys))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


@pytest.mark.parametrize(("protocol", "counts"), [("official", (3, 1, 0)), ("held_out", (2, 1, 1))])
def test_variants_are_read_without_the_banner(root, protocol, counts):
    splits = load(AircraftData(root=root, image_size=(30, 40), fit="resize", protocol=protocol))
    assert splits.class_names == VARIANTS
    assert (len(splits.train), len(splits.val), len(splits.test or ())) == counts
    pixels, masks = splits.train.unchanged(range(len(splits.train)))
    assert [label_of(image) for image in pixels] == masks.flatten().tolist()
    assert pixels.max() < 140, "the banner is white"


def test_the_level_that_is_meant_is_named(root):
    assert _fails(root / "data").endswith(f"give {shown(root, 70)}")
    assert _fails(root.parent).endswith(f"give {shown(root, 70)}")


def test_lists_that_do_not_fit_are_named(root):
    path = root / "data" / "images_variant_test.txt"
    path.write_text("1025794 707-320\n")
    assert "'1025794' is in images_variant_trainval.txt and in images_variant_test.txt" in _fails(root)
    path.write_text("1514522 Boeing 717-200\n")
    assert "gives 1514522 the variant 'Boeing 717-200', which data/variants.txt does not list" in _fails(root)
    path.write_text("7777777 707-320\n")
    assert "names 7777777, of which there is no data/images/7777777.jpg" in _fails(root)
    path.write_text("")
    assert "names no image" in _fails(root)
    path.write_text("variant without a number\n")
    assert "names no image; a line is 'NUMBER VARIANT'" in _fails(root)
    path.unlink()
    assert "cannot be read as a list of images" in _fails(root)


def test_a_picture_of_nothing_but_the_banner_is_refused(root):
    write_shade(root / "data" / "images" / "1514522.jpg", 2, (20, 40))
    assert "is 20 pixels high, and the banner that is cut off 20" in _fails(root)
