"""``autorf predict`` as a user meets it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Shell
from tests.deployment.predictable import RESIZED, retrained, write_pictures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and ``runs``; never changed."""
    folder = tmp_path_factory.mktemp("made")
    write_pictures(folder / "data")
    retrained(folder, RESIZED)
    return folder


@pytest.fixture
def ready(shell: Shell, made: Path) -> Shell:
    shutil.copytree(made / "runs", shell.folder / "runs")
    shutil.copytree(made / "data" / "val", shell.folder / "val")
    return shell


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.array(picture)


def test_a_study_predicts_a_folder_with_everything_that_is_asked_for(ready: Shell) -> None:
    asked = ("--overlay", "--color", "--probabilities", "--masks", "val/masks")
    done = ready.run("predict", "resized", "val/images", "--output", "out", *asked)
    assert done.code == 0, done.err
    out = ready.folder / "out"
    for stem in ("p6", "p7", "p8"):
        classes = pixels(out / f"{stem}.png")
        assert classes.shape == pixels(ready.folder / "val" / "images" / f"{stem}.png").shape[:2]
        assert classes.max() < 3
        probabilities = np.load(out / "probabilities" / f"{stem}.npy")
        assert (probabilities.shape, probabilities.dtype) == ((3, *classes.shape), np.float32)
        colours = pixels(out / "color" / f"{stem}.png")
        assert colours.shape == (*classes.shape, 3)
        # One colour a class.
        assert len(np.unique(colours.reshape(-1, 3), axis=0)) == len(np.unique(classes))
        assert pixels(out / "overlay" / f"{stem}.png").shape == colours.shape
    figures = json.loads((out / "metrics.json").read_text())
    assert (figures["n_images"], figures["study_scale"]) == (3, "training")
    assert set(figures["scales"]) == {"training", "mask"}
    miou = figures["scales"]["training"]["metrics"]["miou"]
    assert f"mIoU {miou:.4f}" in done.out
    assert "of 3 pictures, at 32 x 32, as the study scores" in done.out
    assert "of 3 pictures, at the masks' own size\n" in done.out


def test_a_model_folder_predicts_single_files(ready: Shell) -> None:
    (folder,) = (ready.folder / "runs" / "resized" / "retrained").iterdir()
    done = ready.run("predict", str(folder), "val/images/p6.png", "val/images/p8.png", "--output", "out")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (ready.folder / "out").rglob("*")) == ["p6.png", "p8.png"]


def test_a_picture_that_cannot_be_read_is_named_and_the_others_go_on(ready: Shell) -> None:
    (ready.folder / "val" / "images" / "bad.png").write_bytes(b"no picture")
    done = ready.run("predict", "resized", "val/images", "--output", "out")
    assert done.code == 1
    (line,) = done.err.strip().splitlines()
    assert "val/images/bad.png: cannot be read as a picture" in line
    assert "3 predicted, 1 not" in done.out
    assert sorted(path.name for path in (ready.folder / "out").iterdir()) == ["p6.png", "p7.png", "p8.png"]


def test_a_file_that_exists_is_replaced_by_force_only(ready: Shell) -> None:
    out = ready.folder / "out"
    out.mkdir()
    (out / "p8.png").write_text("mine")
    assert "out/p8.png: exists; " in ready.refused("predict", "resized", "val/images", "--output", "out")
    assert (out / "p8.png").read_text() == "mine"
    done = ready.run("predict", "resized", "val/images", "--output", "out", "--force")
    assert done.code == 0, done.err
    assert pixels(out / "p8.png").ndim == 2


def test_pictures_and_masks_that_are_read_are_never_written_over(ready: Shell) -> None:
    for arguments in (["--output", "val/images"], ["--output", "val/masks", "--masks", "val/masks"]):
        line = ready.refused("predict", "resized", "val/images", "--force", *arguments)
        assert "is one of the files that are read; name another folder" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resized", "nowhere"], "PICTURES nowhere: no such file or folder"),
        (["resized", "runs"], "PICTURES runs: holds no picture (.bmp"),
        (["resized", "val/images", "val/images/p6.png"], "p6.png: has the name of val/images/p6.png"),
        (["resized", "val/images", "--masks", "runs"], "p6.png: has no mask in --masks runs; expected p6.png"),
        (["resized", "val/images", "--trial", "zzz"], "zzz"),
        (["val", "val/images"], "val: holds no model (no autorf.json)"),
        (["tiny", "val/images"], "no study 'tiny' under"),
        (["resized", "val/images", "--tile", "64"], "--tile 64: the model was trained on whole pictures"),
        (["resized", "val/images", "--device", "tpu"], "--device tpu: is not here; there is cpu"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(ready: Shell, arguments: list[str], said: str) -> None:
    assert said in ready.refused("predict", *arguments, "--output", "out")


def test_a_study_is_found_where_a_folder_of_the_working_directory_has_its_name(ready: Shell) -> None:
    (ready.folder / "resized").mkdir()
    answer = ready.run("predict", "resized", "val/images/p6.png", "--output", "beside")
    assert answer.code == 0, answer.err
    assert (ready.folder / "beside" / "p6.png").is_file()


def test_a_study_without_a_retrained_model_says_how_to_get_one(ready: Shell) -> None:
    shutil.rmtree(ready.folder / "runs" / "resized" / "retrained")
    line = ready.refused("predict", "resized", "val/images", "--output", "out")
    assert "study resized: no model has been retrained: autorf retrain resized" in line


def test_a_mask_of_another_size_is_named_and_the_others_are_scored(ready: Shell) -> None:
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(ready.folder / "val" / "masks" / "p7.png")
    done = ready.run("predict", "resized", "val/images", "--masks", "val/masks", "--output", "out")
    assert done.code == 1
    assert "val/masks/p7.png: is 5 x 5 pixels, but its image is 40 x 56; they must agree" in done.err
    assert json.loads((ready.folder / "out" / "metrics.json").read_text())["n_images"] == 2


def test_maps_of_a_model_with_one_field_for_all_pixels_are_refused_before_anything_is_written(ready: Shell) -> None:
    done = ready.run("predict", "resized", "val/images", "--output", "out", "--maps")
    assert done.code == 2
    assert done.err.startswith("autorf: --maps: runs/resized/retrained/")
    assert "has one field for all pixels; models that scale_adaptive or pixel_adaptive trained have maps" in done.err
    assert not (ready.folder / "out").exists()
