"""Images and masks of a folder as scanners, microscopes and annotation tools write them."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from autorf.data import FolderData, channels_of, labels_in, load
from autorf.data.normalisation import IMAGENET
from autorf.errors import InputError
from tests.data.pictures import save_palette

SIZE = (8, 12)
RNG = np.random.default_rng(0)


def numbers(dtype: str, channels: int, index: int) -> np.ndarray:
    rng = np.random.default_rng(index)
    if dtype == "float32":
        return rng.normal(3, 2, (*SIZE, channels)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max, (*SIZE, channels), dtype=dtype)


def deep_png(array: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, grey, RGB or RGBA."""
    height, width, channels = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bands_last(file: Path, array: np.ndarray) -> None:
    tifffile.imwrite(
        file.with_suffix(".tif"), array, photometric="minisblack", planarconfig="contig" if array.shape[2] > 1 else None
    )


def bands_first(file: Path, array: np.ndarray) -> None:
    tifffile.imwrite(file.with_suffix(".tif"), np.moveaxis(array, -1, 0), photometric="minisblack")


def deflated(file: Path, array: np.ndarray) -> None:
    tifffile.imwrite(file.with_suffix(".tiff"), array, photometric="minisblack", compression="zlib")


def npy_last(file: Path, array: np.ndarray) -> None:
    np.save(file.with_suffix(".npy"), array)


def npy_first(file: Path, array: np.ndarray) -> None:
    np.save(file.with_suffix(".npy"), np.moveaxis(array, -1, 0))


def png(file: Path, array: np.ndarray) -> None:
    if array.dtype == np.uint16:
        file.with_suffix(".png").write_bytes(deep_png(array))
    else:
        Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(file.with_suffix(".png"))


Write = Callable[[Path, np.ndarray], None]


def write_folder(root: Path, write: Write, dtype: str, channels: int, n: int = 4) -> None:
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for index in range(n):
        write(root / "images" / f"p{index}.x", numbers(dtype, channels, index))
        Image.fromarray(np.full(SIZE, index % 2, np.uint8)).save(root / "masks" / f"p{index}.png")


def spec(root: Path, **fields: Any) -> FolderData:
    return FolderData(**{"root": root, "classes": ["a", "b"], "image_size": SIZE, **fields})


def images_of(root: Path, **fields: Any) -> dict[str, torch.Tensor]:
    """Every image as the network's normalisation gets it, by its file's stem."""
    from autorf.data.folder import folder_pairs

    data = spec(root, **fields)
    splits, pairs = load(data), folder_pairs(data)
    images = {}
    for split in ("train", "val"):
        source = getattr(splits, split).source
        images |= {pair.image.stem: source.read([at])[0][0] for at, pair in enumerate(pairs[split])}
    return images


@pytest.mark.parametrize("write", [bands_last, bands_first, deflated, npy_last, npy_first])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint16", 5), ("float32", 2), ("uint16", 1)])
def test_an_image_comes_back_as_it_was_written(tmp_path: Path, write: Write, dtype: str, channels: int) -> None:
    write_folder(tmp_path, write, dtype, channels)
    images = images_of(tmp_path, channels=channels)
    for index in range(4):
        array = numbers(dtype, channels, index)
        expected = torch.from_numpy(array / np.float32(65535) if dtype == "uint16" else array).movedim(-1, 0)
        image = images[f"p{index}"]
        assert image.dtype == expected.dtype
        assert torch.equal(image, expected)


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint8", 1), ("uint8", 3), ("uint8", 4), ("uint16", 1), ("uint16", 3)]
)
def test_a_png_comes_back_with_all_its_bits_and_channels(tmp_path: Path, dtype: str, channels: int) -> None:
    write_folder(tmp_path, png, dtype, channels)
    images = images_of(tmp_path, channels=channels)
    array = numbers(dtype, channels, 2)
    expected = array.astype(np.float32) / np.float32(65535) if dtype == "uint16" else array
    assert torch.equal(images["p2"], torch.from_numpy(expected).movedim(-1, 0))


def test_bytes_of_three_channels_are_normalised_by_imagenet_and_all_else_by_the_training_split(tmp_path: Path) -> None:
    write_folder(tmp_path / "rgb", npy_last, "uint8", 3)
    write_folder(tmp_path / "deep", npy_last, "float32", 3)
    assert load(spec(tmp_path / "rgb", channels=3)).val.normalisation == IMAGENET
    splits = load(spec(tmp_path / "deep", channels=3))
    images, _ = splits.train.tensors(range(len(splits.train)))
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert splits.val.normalisation == splits.train.normalisation
    none = load(spec(tmp_path / "deep", channels=3, normalise="none")).train.normalisation
    assert (none.mean, none.std) == ((0.0,) * 3, (1.0,) * 3)
    assert (channels_of(spec(tmp_path, channels=5)), channels_of(spec(tmp_path))) == (5, 3)


def test_other_numbers_are_resized_as_pictures_are(tmp_path: Path) -> None:
    write_folder(tmp_path / "rgb", png, "uint8", 3)
    write_folder(tmp_path / "float", lambda file, array: npy_last(file, array.astype(np.float32)), "uint8", 3)
    as_picture = images_of(tmp_path / "rgb", image_size=(5, 7))["p0"].float()
    as_numbers = images_of(tmp_path / "float", image_size=(5, 7), channels=3)["p0"]
    # Pillow rounds bytes.
    torch.testing.assert_close(as_numbers, as_picture, atol=1.0, rtol=0)


def test_a_turned_tiff_stands_upright(tmp_path: Path) -> None:
    write_folder(tmp_path, bands_last, "uint16", 2)
    array = numbers("uint16", 2, 9)
    stored = np.ascontiguousarray(np.rot90(array, 1))
    tag = [(274, "H", 1, 6, True)]
    file = tmp_path / "images" / "p0.tif"
    tifffile.imwrite(file, stored, photometric="minisblack", planarconfig="contig", extratags=tag)
    expected = torch.from_numpy(array / np.float32(65535)).movedim(-1, 0)
    assert torch.equal(images_of(tmp_path, channels=2)["p0"], expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda f: np.save(f, np.zeros((*SIZE, 4), np.uint16)),
            "p1.npy: holds 8 x 12 x 4 numbers.*data.channels says 2",
        ),
        (
            lambda f: np.save(f, np.zeros((*SIZE, 2), np.uint8)),
            "holds uint(8|16) numbers, and others uint(8|16); convert it",
        ),
        (
            lambda f: np.save(f, np.zeros((*SIZE, 2), np.int32)),
            "p1.npy: holds int32; images hold uint8, uint16, float32",
        ),
        (lambda f: np.save(f, np.full((*SIZE, 2), np.nan, np.float32)), "p1.npy: holds nan or infinite numbers"),
        (lambda f: f.write_bytes(b"\x93NUMPY broken"), "p1.npy: cannot be read as numbers"),
        (lambda f: np.save(f, np.array([{}]), allow_pickle=True), "p1.npy: cannot be read as numbers"),
    ],
)
def test_an_image_that_does_not_fit_is_named(tmp_path: Path, change: Callable[[Path], None], said: str) -> None:
    write_folder(tmp_path, npy_last, "uint16", 2)
    change(tmp_path / "images" / "p1.npy")
    with pytest.raises(InputError, match=said):
        load(spec(tmp_path, channels=2, val_fraction=0.25))


def mask_folder(root: Path, write: Callable[[Path, np.ndarray], None], raw: np.ndarray, n: int = 3) -> None:
    """Images, and masks that ``write`` makes of ``raw``."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for index in range(n):
        Image.fromarray(np.zeros((*raw.shape[:2], 3), np.uint8)).save(root / "images" / f"p{index}.png")
        write(root / "masks" / f"p{index}", raw)


CLASSES = np.arange(96, dtype=np.uint8).reshape(SIZE) % 2
ONE_BIT = CLASSES.astype(bool)


@pytest.mark.parametrize(
    ("write", "dtype"),
    [
        (lambda f, raw: tifffile.imwrite(f.with_suffix(".tif"), raw), "uint8"),
        (lambda f, raw: tifffile.imwrite(f.with_suffix(".tif"), raw), "uint16"),
        (lambda f, raw: np.save(f.with_suffix(".npy"), raw), "int64"),
        (lambda f, raw: np.save(f.with_suffix(".npy"), raw[..., None]), "uint8"),
        (lambda f, raw: f.with_suffix(".png").write_bytes(deep_png(raw[..., None])), "uint16"),
        (lambda f, raw: save_palette(raw, [(0, 0, 0), (255, 0, 0)], f.with_suffix(".png")), "uint8"),
    ],
)
def test_a_mask_of_class_numbers_comes_back(tmp_path: Path, write: Any, dtype: str) -> None:
    mask_folder(tmp_path, write, CLASSES.astype(dtype))
    masks = load(spec(tmp_path)).val.source.read([0])[1]
    assert np.array_equal(masks[0].numpy(), CLASSES)


@pytest.mark.parametrize(
    ("write", "dtype"),
    [
        (lambda f, raw: Image.fromarray(raw).save(f.with_suffix(".png")), "uint8"),
        (lambda f, raw: f.with_suffix(".png").write_bytes(deep_png(raw[..., None])), "uint16"),
        (lambda f, raw: np.save(f.with_suffix(".npy"), raw), "int32"),
    ],
)
def test_values_stand_for_classes_and_ignored_ones_for_none(tmp_path: Path, write: Any, dtype: str) -> None:
    raw = np.array([7, 26, 200], dtype)[np.arange(96).reshape(SIZE) % 3]
    mask_folder(tmp_path, write, raw)
    data = spec(tmp_path, values={"b": 26, "a": 7}, ignore_values=[200, 3])
    splits = load(data)
    expected = np.array([0, 1, 255])[np.arange(96).reshape(SIZE) % 3]
    assert np.array_equal(splits.val.source.read([0])[1][0].numpy(), expected)
    assert splits.ignore_index == 255
    labels = labels_in(data.model_dump(mode="json"))
    assert labels is not None
    assert labels.ignore_index == 255


@pytest.mark.parametrize("one_bit", [False, True])
def test_a_binary_mask_of_0_and_255_is_read_by_values(tmp_path: Path, one_bit: bool) -> None:
    raw = ONE_BIT if one_bit else CLASSES * np.uint8(255)
    mask_folder(tmp_path, lambda f, raw: Image.fromarray(raw).save(f.with_suffix(".png")), raw)
    masks = load(spec(tmp_path, values={"a": 0, "b": 255})).val.source.read([0])[1]
    assert np.array_equal(masks[0].numpy(), CLASSES)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".bmp"])
def test_colours_stand_for_classes(tmp_path: Path, suffix: str) -> None:
    table = np.array([[128, 64, 128], [0, 0, 142], [9, 9, 9]], np.uint8)
    raw = table[np.arange(96).reshape(SIZE) % 3]

    def write(file: Path, raw: np.ndarray) -> None:
        file = file.with_suffix(suffix)
        if suffix == ".npy":
            np.save(file, raw)
        else:
            Image.fromarray(raw).save(file)

    mask_folder(tmp_path, write, raw)
    colours = {"a": [128, 64, 128], "b": [0, 0, 142]}
    masks = load(spec(tmp_path, colors=colours, ignore_colors=[[9, 9, 9]])).val.source.read([0])[1]
    assert np.array_equal(masks[0].numpy(), np.array([0, 1, 255])[np.arange(96).reshape(SIZE) % 3])
    said = r"p\d" + suffix + r": holds the colour \[9, 9, 9\] at 32 pixels not in data.colors; .*ignore_colors"
    with pytest.raises(InputError, match=said):
        load(spec(tmp_path, colors=colours))


def test_a_colour_mask_that_lost_its_colours_is_refused(tmp_path: Path) -> None:
    raw = np.full((*SIZE, 3), 128, np.uint8)
    mask_folder(tmp_path, lambda f, raw: Image.fromarray(raw).save(f.with_suffix(".png"), "JPEG"), raw)
    with pytest.raises(InputError, match="is a JPEG file, which keeps no exact colours; save it as PNG"):
        load(spec(tmp_path, colors={"a": [128, 128, 128], "b": [0, 0, 0]}))


def test_a_value_outside_the_table_is_named_with_its_pixels(tmp_path: Path) -> None:
    raw = np.full(SIZE, 7, np.uint8)
    raw[0, :5] = 9
    mask_folder(tmp_path, lambda f, raw: Image.fromarray(raw).save(f.with_suffix(".png")), raw)
    with pytest.raises(InputError, match=r"holds the value 9 at 5 pixels; it is not in data.values"):
        load(spec(tmp_path, values={"a": 7, "b": 8}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"values": {"a": 7}}, "values: lacks the class 'b'"),
        ({"values": {"a": 7, "b": 8, "c": 9}}, "values: names 'c', which classes does not"),
        ({"values": {"a": 7, "b": 7}}, "values: two classes have the same entry"),
        ({"colors": {"a": [0, 0, 0], "b": [0, 0, 256]}}, "less than or equal to 255"),
        ({"values": {"a": 0, "b": 1}, "colors": {"a": [0, 0, 0], "b": [1, 1, 1]}}, "masks hold one or the other"),
        ({"ignore_values": [3]}, "ignore_values: goes with values"),
        ({"values": {"a": 0, "b": 1}, "ignore_values": [1]}, "names what a class has in values"),
        ({"values": {"a": 0, "b": 1}, "ignore_index": 255}, "ignore_index: with values say ignore_values"),
        ({"channels": 4, "normalise": "imagenet"}, "imagenet is for red, green and blue, not for 4 channels"),
        ({"channels": 4, "augmentation": {"colour": {"hue": 0.1}}}, "not for 4 channels; leave it out"),
    ],
)
def test_a_table_or_channels_that_cannot_be_meant_are_refused(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        spec(tmp_path, **fields)


def test_data_with_tables_are_compared_hashed_and_written_as_they_were_given(tmp_path: Path) -> None:
    data = spec(tmp_path, colors={"a": [1, 2, 3], "b": [4, 5, 6]})
    assert hash(data) == hash(spec(tmp_path, colors={"a": [1, 2, 3], "b": [4, 5, 6]}))
    plain = data.model_dump(mode="json")
    assert plain["colors"] == {"a": [1, 2, 3], "b": [4, 5, 6]}
    assert FolderData(**plain) == data
