"""A mask has the classes that were painted, whatever a PNG optimiser makes of its file; or it is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autorf.data import Pictures
from autorf.data.mask_files import LegalClasses, read_classes
from autorf.errors import InputError
from tests.data.pictures import grey_png, save_palette

PAINTED = (np.arange(48) % 3).astype(np.uint8).reshape(6, 8)


def classes(file: Path, n: int = 3, ignore: int | None = None, **pictures: object) -> list[int]:
    """The classes of the mask's first three pixels."""
    read = read_classes(file, Pictures(**pictures), LegalClasses(n, ignore))
    assert read.dtype == np.uint8
    assert np.array_equal(read, read.flat[:3][PAINTED])
    return [int(value) for value in read.flat[:3]]


def refused(file: Path, n: int = 3, ignore: int | None = None, **pictures: object) -> str:
    with pytest.raises(InputError) as error:
        read_classes(file, Pictures(**pictures), LegalClasses(n, ignore))
    assert str(error.value).startswith(f"{file}: ")
    assert len(str(error.value)) < 300 + len(str(file))
    return str(error.value)


def grey(levels: list[int]) -> list[tuple[int, int, int]]:
    return [(level, level, level) for level in levels]


@pytest.mark.parametrize(
    ("levels", "ignore"), [([0, 1, 2], None), ([0, 5, 7], None), ([0, 1, 255], 255), ([7, 0, 1], None)]
)
def test_a_grey_palette_has_the_classes_that_it_shows(tmp_path: Path, levels: list[int], ignore: int | None) -> None:
    plain, optimised = tmp_path / "plain.png", tmp_path / "optimised.png"
    Image.fromarray(np.array(levels, np.uint8)[PAINTED]).save(plain)
    save_palette(PAINTED, grey(levels), optimised)
    assert classes(optimised, 9, ignore) == classes(plain, 9, ignore) == levels


def test_a_palette_whose_levels_are_no_classes_is_refused_as_the_plain_mask_is(tmp_path: Path) -> None:
    save_palette(PAINTED, grey([0, 128, 255]), tmp_path / "a.png")
    message = refused(tmp_path / "a.png")
    assert "holds class 128; legal are 0 to 2; its palette is grey" in message
    assert message.endswith("set data.pictures.grey_palette: index")
    assert classes(tmp_path / "a.png", grey_palette="index") == [0, 1, 2]


@pytest.mark.parametrize(("levels", "n"), [([0, 255], 2), ([0, 128, 255], 200)])
def test_a_palette_from_black_to_white_is_refused_where_it_can_be_read_in_two_ways(
    tmp_path: Path, levels: list[int], n: int
) -> None:
    file, painted = tmp_path / "a.png", np.minimum(PAINTED, len(levels) - 1)
    save_palette(painted, grey(levels), file)
    message = refused(file, n, 255)
    assert "has a palette from black to white" in message
    assert message.endswith("set data.pictures.grey_palette: index or level")
    for rule, expected in (("index", painted), ("level", np.array(levels, np.uint8)[painted])):
        read = read_classes(file, Pictures(grey_palette=rule), LegalClasses(n, 255))  # type: ignore[arg-type]
        assert np.array_equal(read, expected)


def test_a_palette_with_one_colour_has_its_entries_numbers(tmp_path: Path) -> None:
    save_palette(PAINTED, [*grey([0, 2, 1]), (128, 0, 0)], tmp_path / "a.png")
    assert classes(tmp_path / "a.png") == [0, 1, 2]


def test_grey_entries_among_colours_that_a_mask_does_not_use_change_nothing(tmp_path: Path) -> None:
    # The palette of Pascal VOC: entry 7 is grey, and a mask of entries 0 and 7 alone is no grey palette.
    colours = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    save_palette(np.array([0, 7, 7], np.uint8)[PAINTED], [*colours, (128, 128, 128)], tmp_path / "a.png")
    assert classes(tmp_path / "a.png", 21) == [0, 7, 7]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_low_bits_hold_their_classes(tmp_path: Path, bits: int) -> None:
    samples = np.array([0, 1, min(2, 2**bits - 1)], np.uint8)
    (tmp_path / "a.png").write_bytes(grey_png(samples[PAINTED], bits))
    assert classes(tmp_path / "a.png") == samples.tolist()


@pytest.mark.parametrize(
    ("bits", "samples", "n", "ignore", "levels"),
    [
        (1, [0, 1, 1], 2, 255, [0, 255, 255]),
        (2, [0, 3, 3], 4, 255, [0, 255, 255]),
        (4, [0, 1, 1], 19, None, [0, 17, 17]),
    ],
)
def test_low_bits_that_can_be_read_in_two_ways_are_refused_until_one_is_chosen(
    tmp_path: Path, bits: int, samples: list[int], n: int, ignore: int | None, levels: list[int]
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(grey_png(np.array(samples, np.uint8)[PAINTED], bits))
    message = refused(file, n, ignore)
    assert f"grey with {bits} bits a pixel" in message
    assert message.endswith("set data.pictures.low_bits: sample or level")
    assert classes(file, n, ignore, low_bits="sample") == samples
    assert classes(file, n, ignore, low_bits="level") == levels


def test_low_bits_whose_levels_alone_are_legal_are_the_levels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(grey_png(np.array([0, 3, 3], np.uint8)[PAINTED], 2))
    assert classes(tmp_path / "a.png", 2, 255) == [0, 255, 255]


def test_low_bits_that_are_no_classes_say_that_the_bits_are_the_problem(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(grey_png(np.array([0, 9, 2], np.uint8)[PAINTED], 4))
    assert "holds class 9; legal are 0 to 2; it is grey with 4 bits a pixel" in refused(tmp_path / "a.png")


def test_what_studies_did_before_the_rules_is_a_rule_too(tmp_path: Path) -> None:
    old = {"low_bits": "pillow", "grey_palette": "index", "extra": "drop", "frame": 0}
    one, two, palette = tmp_path / "one.png", tmp_path / "two.png", tmp_path / "palette.png"
    one.write_bytes(grey_png(np.array([0, 1, 1], np.uint8)[PAINTED], 1))
    two.write_bytes(grey_png(np.array([0, 1, 2], np.uint8)[PAINTED], 2))
    save_palette(PAINTED, grey([0, 2, 1]), palette)
    assert classes(one, 2, 255, **old) == [0, 1, 1]
    assert classes(two, 200, None, **old) == [0, 85, 170]
    assert classes(palette, **old) == [0, 1, 2]


def test_an_image_of_class_0_alone_is_not_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(grey_png(np.zeros((6, 8), np.uint8), 1))
    assert classes(tmp_path / "a.png", 2, 255) == [0, 0, 0]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP"])
def test_a_mask_of_another_kind_called_png_is_refused(tmp_path: Path, kind: str) -> None:
    Image.fromarray(PAINTED).save(tmp_path / "a.png", kind)
    assert f"is a {kind} file by its content, and masks are PNG" in refused(tmp_path / "a.png")


def test_a_mask_with_transparent_pixels_is_refused(tmp_path: Path) -> None:
    save_palette(PAINTED, [(0, 0, 0), (255, 0, 0), (0, 255, 0)], tmp_path / "a.png", transparency=b"\x00\xff\xff")
    assert "has transparent pixels" in refused(tmp_path / "a.png")
    assert classes(tmp_path / "a.png", extra="drop") == [0, 1, 2]


def test_a_grey_mask_with_an_opaque_alpha_channel_keeps_its_classes(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([PAINTED, np.full_like(PAINTED, 255)]), "LA").save(tmp_path / "a.png")
    assert classes(tmp_path / "a.png") == [0, 1, 2]


def test_further_frames_of_a_mask_are_refused(tmp_path: Path) -> None:
    first = Image.fromarray(PAINTED)
    first.save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(2 - PAINTED)])
    assert "holds 2 pages or frames" in refused(tmp_path / "a.png")
    assert classes(tmp_path / "a.png", frame=1) == [2, 1, 0]
