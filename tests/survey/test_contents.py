"""What stands for the classes, how images are read, and what is odd: found in the files, and then read by the study."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from autorf.data import load
from autorf.errors import InputError
from autorf.survey.folder_survey import survey_folder
from autorf.survey.survey import Survey
from tests.survey.folders import (
    COLOURS,
    coloured,
    photograph,
    save,
    scene,
    split_places,
    write_pairs,
    write_palette_masks,
)
from tests.survey.test_layouts import written

PLACES = split_places("{split}/images/{n}.png", "{split}/masks/{n}.png", splits=["train", "val"])


def classes_read(root: Path) -> tuple[dict[str, Any], list[int]]:
    """The keys that were found, and the classes that the study then reads of the first training mask."""
    result = survey_folder(root)
    splits = load(written(result, root.parent / "lists"))
    return result.keys, splits.train[0][1].unique().tolist()


MASKS: dict[str, tuple[Callable[[Any], NDArray[Any]], dict[str, Any]]] = {
    "numbers": (lambda mask: mask, {"classes": 3}),
    "16_bits": (lambda mask: mask.astype(np.uint16), {"classes": 3}),
    "ids": (
        lambda mask: np.array([7, 26, 24], np.uint8)[mask],
        {
            "classes": ["value_7", "value_24", "value_26"],
            "values": {"value_7": 7, "value_24": 24, "value_26": 26},
        },
    ),
    "ids_and_ignored": (
        lambda mask: np.array([255, 26, 24], np.uint8)[mask],
        {"classes": ["value_24", "value_26"], "values": {"value_24": 24, "value_26": 26}, "ignore_values": [255]},
    ),
    "ignored": (lambda mask: np.array([0, 1, 255], np.uint8)[mask], {"classes": 2, "ignore_index": 255}),
    "black_and_white": (
        lambda mask: np.array([0, 255, 255], np.uint8)[mask],
        {"classes": ["background", "foreground"], "values": {"background": 0, "foreground": 255}},
    ),
    "one_bit": (lambda mask: mask > 0, {"classes": 2}),
    "colours": (
        coloured,
        {
            "classes": ["colour_00008e", "colour_804080", "colour_dc143c"],
            "colors": {
                "colour_00008e": [0, 0, 142],
                "colour_804080": [128, 64, 128],
                "colour_dc143c": [220, 20, 60],
            },
        },
    ),
}


@pytest.mark.parametrize("kind", MASKS)
def test_what_stands_for_the_classes_is_found(kind: str, tmp_path: Path) -> None:
    mask_of, wanted = MASKS[kind]
    write_pairs(tmp_path / "data", PLACES, mask_of=mask_of)
    keys, read = classes_read(tmp_path / "data")
    assert {key: value for key, value in keys.items() if key != "image_size"} == wanted
    n_classes = wanted["classes"] if isinstance(wanted["classes"], int) else len(wanted["classes"])
    is_partly_ignored = "ignore_index" in wanted or "ignore_values" in wanted
    assert read == [*range(n_classes), *([255] if is_partly_ignored else [])]


def test_a_palette_gives_the_classes_their_colours(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES)
    write_palette_masks(tmp_path, [mask for _, mask in PLACES])
    result = survey_folder(tmp_path)
    assert result.keys["classes"] == 3
    assert result.colours == dict(enumerate(COLOURS))


TABLES = {
    "class_dict.csv": "name,r,g,b\nroad,128,64,128\ncar,0,0,142\nperson,220,20,60\nvoid,1,2,3\n",
    "label_colors.txt": "128 64 128 road\n0 0 142 car\n220 20 60\tperson\n1 2 3 void\n",
    "labelmap.txt": "# label:color_rgb:parts\nroad:128,64,128::\ncar:0,0,142::\nperson:220,20,60::\nvoid:1,2,3::\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_colours_names_the_classes_in_its_order(name: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, PLACES, mask_of=coloured)
    (root / name).write_text(TABLES[name])
    keys, read = classes_read(root)
    assert keys["classes"] == ["road", "car", "person"]
    assert keys["colors"]["car"] == [0, 0, 142]
    assert (keys["ignore_colors"], read) == ([[1, 2, 3]], [0, 1, 2])


def test_a_colour_that_is_in_no_table_is_told_with_its_file_and_pixels_and_ignored(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, PLACES, mask_of=coloured)
    (root / "class_dict.csv").write_text(TABLES["class_dict.csv"])
    stray = coloured(scene(1))
    stray[:2, :3] = (9, 9, 9)
    save(root / PLACES[1][1], stray)
    result = survey_folder(root)
    (problem,) = result.survey.problems
    assert problem.text == "the colour [9, 9, 9] at 6 pixels is in no table (ignored)"
    assert problem.files == ("train/masks/train1.png",)
    assert result.keys["ignore_colors"] == [[1, 2, 3], [9, 9, 9]]
    assert len(load(result.spec()).train) == 3


def test_names_of_a_list_name_the_numbers_where_there_are_as_many(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES)
    (tmp_path / "classes.txt").write_text("0 ground\n1 car\n2 person\n")
    assert survey_folder(tmp_path).keys["classes"] == ["ground", "car", "person"]
    (tmp_path / "classes.txt").write_text("ground\ncar\n")
    assert survey_folder(tmp_path).keys["classes"] == 3


def bands(count: int, kind: str, *, first: bool = False) -> Callable[[Any, int], NDArray[Any]]:
    def image_of(mask: Any, number: int) -> NDArray[Any]:
        scale = {"uint8": 50, "uint16": 9000, "float32": 0.3}[kind]
        layers = np.stack(
            [(mask.astype(float) + 1) * scale * (band + 1) / count for band in range(count)], axis=0 if first else -1
        )
        return layers.astype(kind) if count > 1 else layers.astype(kind)[0 if first else (..., 0)]

    return image_of


IMAGES = {
    "npy_bands_last": (".npy", bands(5, "float32"), {"channels": 5}),
    "npy_bands_first": (".npy", bands(5, "uint16", first=True), {"channels": 5}),
    "tiff_16_bits": (".tif", bands(4, "uint16"), {"channels": 4}),
    "tiff_float": (".tif", bands(2, "float32", first=True), {"channels": 2}),
    "png_16_bits": (".png", bands(1, "uint16"), {"channels": 1}),
    "png_grey": (".png", bands(1, "uint8"), {}),
    "tiff_colours": (".tif", photograph, {}),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_how_images_are_read_is_found(kind: str, tmp_path: Path) -> None:
    suffix, image_of, wanted = IMAGES[kind]
    root = tmp_path / "data"
    for number, (image, mask) in enumerate(PLACES):
        save(root / mask, scene(number))
        file = (root / image).with_suffix(suffix)
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = image_of(scene(number), number)
        if suffix == ".tif":
            tifffile.imwrite(file, pixels, photometric="rgb" if not wanted else "minisblack")
        else:
            save(file, pixels)
    result = survey_folder(root)
    assert {key: result.keys[key] for key in ("channels", "pictures") if key in result.keys} == wanted
    image, mask = load(result.spec()).train[0]
    assert image.shape[1:] == mask.shape == tuple(result.keys["image_size"])
    assert len(image) == wanted.get("channels", 3)


def test_colours_of_transparent_pictures_are_read_and_the_file_says_so(tmp_path: Path) -> None:
    def see_through(mask: Any, number: int) -> NDArray[np.uint8]:
        return np.dstack([photograph(mask, number), np.full(mask.shape, 128, np.uint8)])

    write_pairs(tmp_path, PLACES, image_of=see_through)
    result = survey_folder(tmp_path)
    assert result.keys["pictures"] == {"extra": "drop"}
    assert len(load(result.spec()).train) == 3


def many_colours(mask: Any) -> NDArray[np.uint8]:
    smooth = coloured(mask).astype(int)
    return (smooth + np.arange(mask.shape[1])[None, :, None] * 2).clip(0, 255).astype(np.uint8)


def refuse(root: Path) -> str:
    with pytest.raises(InputError) as refused:
        survey_folder(root)
    message = str(refused.value)
    assert len(message) <= 290
    return message


def test_masks_with_too_many_colours_are_refused_with_a_file_a_colour_and_its_pixels(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES, mask_of=many_colours)
    message = refuse(tmp_path)
    assert "masks/" in message
    assert "holds the colour [" in message
    assert "class_dict.csv" in message


def test_images_of_several_kinds_are_refused_with_one_of_each(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES)
    save(tmp_path / "train/images/train0.png", bands(1, "uint16")(scene(0), 0))
    message = refuse(tmp_path)
    assert "train0.png: has 1 channel of uint16 (1 of 6 images)" in message
    assert "colours of 8 bits (5)" in message


def test_masks_of_two_kinds_are_refused_with_one_of_each(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES)
    save(tmp_path / PLACES[0][1], coloured(scene(0)))
    message = refuse(tmp_path)
    assert "train0.png: is a colour mask and" in message
    assert "(1 and 5)" in message


def test_a_folder_of_unreadable_pictures_is_refused_by_the_first(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES)
    for image, _ in PLACES[:4]:
        (tmp_path / image).write_bytes(b"no picture")
    assert "train0.png: cannot be read" in refuse(tmp_path)


def test_masks_with_one_class_alone_are_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES, mask_of=np.zeros_like)
    assert "holds no class but the value 0; there are two classes at least" in refuse(tmp_path)


def kinds(looked: Survey) -> dict[str, list[tuple[str, ...]]]:
    told: dict[str, list[tuple[str, ...]]] = {}
    for problem in looked.problems:
        told.setdefault(problem.kind, []).append(problem.files)
    return told


def test_everything_odd_is_told_with_file_names_and_the_study_reads_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "data"
    places = [(f"images/p {n:02}.png", f"masks/p {n:02}.png") for n in range(14)]
    write_pairs(root, places)
    for number, change in {3: 77, 4: 0, 5: 255}.items():
        mask = scene(number)
        if change == 77:
            mask[0, 0] = 77
        else:
            mask[:] = change
        save(root / places[number][1], mask)
    rare = scene(6)
    rare[0, :3] = 3
    save(root / places[6][1], rare)
    save(root / places[7][1], scene(7)[:20])
    (root / places[8][0]).write_bytes(b"broken")
    tall = scene(9, (64, 48))
    save(root / places[9][0], photograph(tall, 9))
    save(root / places[9][1], tall)
    result = survey_folder(root)
    told = kinds(result.survey)
    assert told["value_out_of_range"] == [("masks/p 03.png",)]
    assert told["empty_mask"] == [("images/p 05.png",), ("images/p 04.png",)]
    assert told["sizes_differ"] == [("images/p 07.png", "masks/p 07.png")]
    assert told["unreadable"] == [("images/p 08.png",)]
    assert root / places[6][0] in {pair.image for pair in result.pairs["train"]}
    assert ("images/p 06.png",) in told["rare_class"]
    assert any("images/p 09.png" in files for files in told["aspect_ratios"])
    read = load(written(result, tmp_path / "lists"))
    assert len(read.train) + len(read.val) == 14 - 3
    assert result.survey.to_dict()["classes"][3]["pictures"] == 1
    json.dumps(result.survey.to_dict())


def test_a_picture_that_is_in_two_splits_is_told(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES)
    for part in (0, 1):
        (tmp_path / PLACES[3][part]).write_bytes((tmp_path / PLACES[0][part]).read_bytes())
    (problem,) = survey_folder(tmp_path).survey.problems
    assert problem.text == "1 picture is in train and in val, byte for byte"
    assert problem.files == ("train/images/train0.png = val/images/val0.png",)


def test_counts_shares_and_objects_are_those_of_the_masks(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES)
    looked = survey_folder(tmp_path).survey
    masks = [scene(number) for number in range(3)]
    for number, row in enumerate(looked.classes):
        assert row.shares["train"] == pytest.approx(np.mean([mask == number for mask in masks]))
        assert row.pictures == 6
    objects = looked.classes[1].objects
    assert objects is not None
    # 48 is as near to 32 as to 64, and the object is 20 pixels wide at either height.
    assert (looked.image_size[1], looked.sizes) == (64, (((48, 64), 6),))
    assert objects.objects == 6
    assert objects.typical == pytest.approx(20, abs=1)


def test_the_same_image_twice_in_one_folder_of_two_formats_is_no_silent_choice(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, PLACES)
    with Image.open(root / PLACES[0][0]) as picture:
        picture.save((root / PLACES[0][0]).with_suffix(".jpg"))
    result = survey_folder(root)
    (problem,) = result.survey.problems
    assert (problem.kind, problem.files) == ("same_name", ("train/images/train0.jpg",))
    assert len(load(written(result, tmp_path / "lists")).train) == 3


def test_one_image_with_numbers_that_are_not_finite_is_left_out_and_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, [(image.replace(".png", ".npy"), mask) for image, mask in PLACES], image_of=bands(2, "float32"))
    np.save(root / "train/images/train1.npy", np.full((48, 64, 2), np.nan, np.float32))
    result = survey_folder(root)
    (problem,) = result.survey.problems
    assert "train1.npy: holds nan or infinite numbers" in problem.text
    assert problem.files == ("train/images/train1.npy",)
    assert len(load(written(result, tmp_path / "lists")).train) == 2


def test_a_folder_whose_masks_are_of_other_sizes_is_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path, PLACES, mask_of=lambda mask: mask[:30])
    message = refuse(tmp_path)
    assert "image and mask are of different sizes, 48 x 64 and 30 x 64; so it is with most of 6 pairs" in message
