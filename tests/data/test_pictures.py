"""Images are what they show: turned as they say, whole or refused by name."""

import os
import re
import socket
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import FolderData, Pictures, load
from autorf.data.decoding import Decoder
from autorf.data.image_files import read_rgb
from autorf.data.opening import stored_size
from autorf.data.pairs import Pair
from autorf.errors import InputError
from tests.data.conftest import WritePair
from tests.data.pictures import deep_png, exif, four_band_tiff, save_palette, stored

UPRIGHT = (np.arange(48) % 3).astype(np.uint8).reshape(6, 8)
COLOURS = np.dstack([UPRIGHT * 100] * 3)
STRICT, LENIENT = Pictures(), Pictures(extra="drop")


def refused(file: Path, pictures: Pictures = STRICT) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as error:
            read_rgb(file, pictures)
    message = str(error.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message


def pixels(file: Path, pictures: Pictures = STRICT) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.asarray(read_rgb(file, pictures))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("turned", ["image", "mask", "both"])
def test_image_and_mask_are_both_turned_as_they_say(tmp_path: Path, orientation: int, turned: str) -> None:
    def save(upright: np.ndarray, file: Path, turn: bool) -> Path:
        how = orientation if turn else 1
        Image.fromarray(np.ascontiguousarray(stored(upright, how))).save(file, exif=exif(how))
        return file

    image = save(COLOURS, tmp_path / "a.png", turned != "mask")
    mask = save(UPRIGHT, tmp_path / "m.png", turned != "image")
    decoded = Decoder((6, 8), 3)(Pair(image, mask))
    assert torch.equal(decoded[1], torch.from_numpy(UPRIGHT))
    assert torch.equal(decoded[0], torch.from_numpy(COLOURS).permute(2, 0, 1))


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp"])
def test_every_kind_of_file_is_turned_once(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    half = np.zeros((16, 32, 3), np.uint8)
    half[:, 16:] = 255
    Image.fromarray(np.ascontiguousarray(stored(half, 6))).save(file, exif=exif(6))
    shown = pixels(file)
    assert shown.shape == half.shape
    assert abs(shown.astype(int) - half).mean() < 10


def test_masks_of_their_own_size_have_that_which_they_show(tmp_path: Path, write_pair: WritePair) -> None:
    for split in ("train", "val"):
        write_pair(tmp_path / split / "images", tmp_path / split / "masks", "a.png", (6, 8))
    mask = tmp_path / "val" / "masks" / "a.png"
    Image.fromarray(np.ascontiguousarray(stored(UPRIGHT, 6))).save(mask, exif=exif(6))
    assert stored_size(mask) == (8, 6)
    val = load(FolderData(root=tmp_path, classes=3, image_size=(4, 4), score_at="mask")).val
    assert val.mask_sizes == [(6, 8)]
    assert tuple(val[0][1].shape) == (6, 8)


@pytest.mark.parametrize(
    "block", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_with_a_damaged_exif_block_is_as_it_is_stored(tmp_path: Path, block: bytes, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 6), (200, 200, 200)).save(file, exif=block)
    assert pixels(file).shape == (6, 8, 3)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path: Path, value: int) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif(value))
    assert np.array_equal(pixels(tmp_path / "a.png"), COLOURS)


def alpha(file: Path) -> None:
    Image.fromarray(np.dstack([COLOURS, UPRIGHT * 100])).save(file)


def grey_alpha(file: Path) -> None:
    Image.fromarray(np.dstack([UPRIGHT, UPRIGHT]), "LA").save(file)


def transparent_entry(file: Path) -> None:
    save_palette(UPRIGHT, [(9, 9, 9), (10, 20, 30), (7, 8, 9)], file, transparency=b"\x00\xff\xff")


def transparent_colour(file: Path) -> None:
    Image.fromarray(COLOURS).save(file, transparency=(0, 0, 0))


def inks(file: Path) -> None:
    Image.new("CMYK", (8, 6), (1, 2, 3, 4)).save(file, "TIFF")


def photographed_inks(file: Path) -> None:
    Image.new("CMYK", (8, 6), (1, 2, 3, 4)).save(file, "JPEG")


def fourth_band(file: Path) -> None:
    file.write_bytes(four_band_tiff(6, 8))


def deep(file: Path) -> None:
    file.write_bytes(deep_png(6, 8))


EXTRAS = {
    alpha: "transparent",
    grey_alpha: "transparent",
    transparent_entry: "transparent",
    transparent_colour: "transparent",
    inks: "CMYK",
    photographed_inks: "CMYK",
    fourth_band: "4 channels",
    deep: "16 bits",
}


@pytest.mark.parametrize("write", EXTRAS)
def test_what_three_colours_cannot_hold_is_refused_with_the_line_that_drops_it(tmp_path: Path, write) -> None:
    file = tmp_path / "a.png"
    write(file)
    message = refused(file)
    assert EXTRAS[write] in message
    assert message.endswith("set data.pictures.extra: drop")
    assert pixels(file, LENIENT).shape == (6, 8, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_alpha_channel_that_is_opaque_everywhere_holds_nothing(tmp_path: Path, mode: str) -> None:
    Image.fromarray(COLOURS).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), COLOURS)


def frames(file: Path) -> None:
    pages = [Image.new("RGB", (8, 6), (level, level, level)) for level in (50, 100, 150)]
    pages[0].save(
        file, save_all=True, append_images=pages[1:], **({"lossless": True} if file.suffix == ".webp" else {})
    )


@pytest.mark.parametrize("suffix", [".tif", ".png", ".webp"])
def test_further_pages_and_frames_are_read_by_number_or_refused(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    frames(file)
    assert "holds 3 pages or frames" in refused(file)
    assert "data.pictures.frame" in refused(file)
    for number, level in enumerate((50, 100, 150)):
        assert abs(int(pixels(file, Pictures(frame=number))[0, 0, 0]) - level) <= 1
    assert "0 to 2; correct data.pictures.frame: 3" in refused(file, Pictures(frame=3))


def test_a_camera_file_of_two_pictures_is_refused_too(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    assert "holds 2 pages or frames" in refused(tmp_path / "a.jpg")
    assert pixels(tmp_path / "a.jpg", Pictures(frame=0))[0, 0, 0] > 200


def test_a_file_of_one_page_has_it_whatever_frame_is_asked_for(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png", Pictures(frame=2)), COLOURS)


def test_a_large_picture_is_read_up_to_the_setting_and_named_with_the_line_that_raises_it(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("1", (2000, 1500)).save(file)
    message = refused(file, Pictures(max_megapixels=2.5))
    assert "is 1500 x 2000, 3 megapixels, more than the 2.5 allowed" in message
    assert message.endswith("set data.pictures.max_megapixels: 4")
    assert pixels(file, Pictures(max_megapixels=4)).shape == (1500, 2000, 3)


@pytest.mark.parametrize("bound", [1000, 100])
def test_pillows_own_bound_neither_warns_nor_refuses_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    # 1500 pixels: a warning above the bound, an error above twice the bound; a TIFF is looked at again in decoding.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", bound)
    for suffix in (".png", ".tif"):
        file = tmp_path / f"a{suffix}"
        Image.new("RGB", (50, 30)).save(file)
        assert pixels(file).shape == (30, 50, 3)
        assert stored_size(file) == (30, 50)
    assert bound == Image.MAX_IMAGE_PIXELS


def test_a_file_of_another_suffix_is_read_by_its_content(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", "PNG")
    assert np.array_equal(pixels(tmp_path / "a.jpg"), COLOURS)


def test_no_program_is_run_for_a_file_that_is_no_picture_of_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\n")
    assert "cannot be read as a picture" in refused(tmp_path / "a.png")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path)


def nothing(path: Path) -> None:
    path.symlink_to("nowhere")


KINDS = {
    pipe: "it is a pipe", bound_socket: "it is a socket", device: "it is a device", folder: "it is a folder",
    loop: "Too many levels of symbolic links", nothing: "No such file or directory",
}  # fmt: skip


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("part", ["images", "masks"])
def test_what_is_no_file_is_named_before_anything_is_opened(
    tmp_path: Path, write_pair: WritePair, monkeypatch: pytest.MonkeyPatch, make, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        write_pair(tmp_path / split / "images", tmp_path / split / "masks", "a.png")
    path = tmp_path / "train" / part / "a.png"
    path.unlink()
    make(path)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a file was opened"))
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: cannot be read as a picture: {KINDS[make]}"):
        load(FolderData(root=tmp_path, classes=3, image_size=(8, 8)))
    with pytest.raises(InputError, match=KINDS[make]):
        stored_size(path)


@pytest.mark.parametrize(
    "error", [KeyError("tag"), IndexError(), RuntimeError("a\nb"), OverflowError("big"), MemoryError()]
)
def test_whatever_a_reader_raises_is_one_line_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(COLOURS).save(file)

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", broken)
    assert "cannot be read as a picture: " in refused(file)
