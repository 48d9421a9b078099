"""A retrained model predicts pictures as it was trained, without its study."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import autorf
from autorf.deployment.predicting import OWN_SCALE, TRAINING_SCALE, Wishes, predict_files, scores_of, tasks
from autorf.deployment.predictor import Predictor, predict
from autorf.errors import InputError
from tests.data.scenes import write_ade20k
from tests.deployment.predictable import CROPPED, NET, RESIZED, retrained, write_pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds pictures, in ``data``; never changed."""
    folder = tmp_path_factory.mktemp("predicted")
    write_pictures(folder / "data")
    return folder


@pytest.fixture(scope="module")
def resized(data: Path) -> Path:
    return retrained(data, RESIZED)


@pytest.fixture(scope="module")
def cropped(data: Path) -> Path:
    return retrained(data, CROPPED)


@pytest.mark.parametrize("study", ["resized", "cropped"])
def test_predictions_of_the_validation_pictures_have_the_scores_of_retrain(
    study: str, data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(study)
    predictor = Predictor(folder, code=data if study == "cropped" else None)
    val = data / "data" / "val"
    report = predict_files(predictor, tasks([val / "images"], tmp_path, Wishes(), val / "masks"), Wishes())
    stored = json.loads((folder / "metrics.json").read_text())
    assert (stored["split"], stored["n_images"], report.scored) == ("val", 3, 3)
    scored = scores_of(report, predictor)
    assert list(scored) == [TRAINING_SCALE, OWN_SCALE]
    for name, value in stored["shipped"]["metrics"].items():
        assert getattr(scored[TRAINING_SCALE], name) == pytest.approx(value, abs=1e-9)
    assert scored[OWN_SCALE].miou != scored[TRAINING_SCALE].miou


def test_pictures_that_keep_their_scale_and_masks_with_values_of_their_own_have_the_scores_of_retrain(
    tmp_path: Path,
) -> None:
    root = write_ade20k(tmp_path / "data")
    wide = root / "annotations" / "validation" / "ADE_val_00000001.png"
    for path in (wide, root / "images" / "validation" / "ADE_val_00000001.jpg"):
        with Image.open(path) as picture:
            picture.crop((0, 0, 64, 30)).save(path)
    # One picture is larger than the image, and shrunk; 0 of the masks is no class, and 1 is the first.
    data = {"name": "ade20k", "root": "data", "image_size": [48, 56]}
    folder = retrained(tmp_path, {**RESIZED, "data": data})
    predictor = Predictor(folder)
    val = [root / part / "validation" for part in ("images", "annotations")]
    report = predict_files(predictor, tasks([val[0]], tmp_path / "o", Wishes(), val[1]), Wishes())
    stored = json.loads((folder / "metrics.json").read_text())
    scored = scores_of(report, predictor)[TRAINING_SCALE]
    for name, value in stored["shipped"]["metrics"].items():
        assert getattr(scored, name) == pytest.approx(value, abs=1e-9)
    (prediction,) = predict(folder, wide.parents[2] / "images" / "validation" / "ADE_val_00000001.jpg")
    # Of a picture that is enlarged to its own size again, the part of the image that it fills.
    enlarged = torch.nn.functional.interpolate(prediction.scores, (55, 64), mode="bilinear", align_corners=False)
    assert np.array_equal(prediction.classes, enlarged.argmax(1)[0, :30].numpy())


def test_a_study_that_scores_at_the_masks_size_has_the_scores_of_retrain_there(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data")
    folder = retrained(tmp_path, {**RESIZED, "data": {**RESIZED["data"], "score_at": "mask"}})
    predictor, val = Predictor(folder), tmp_path / "data" / "val"
    report = predict_files(predictor, tasks([val / "images"], tmp_path / "o", Wishes(), val / "masks"), Wishes())
    stored = json.loads((folder / "metrics.json").read_text())
    scored = scores_of(report, predictor)
    assert list(scored) == [OWN_SCALE]
    assert scored[OWN_SCALE].miou == pytest.approx(stored["shipped"]["metrics"]["miou"], abs=1e-9)


def test_masks_have_the_size_of_their_pictures_and_the_class_of_the_highest_probability(
    resized: Path, data: Path
) -> None:
    pictures = sorted((data / "data" / "val" / "images").iterdir())
    predictions = list(autorf.predict(resized, pictures, probabilities=True))
    assert [prediction.picture for prediction in predictions] == pictures
    for picture, prediction in zip(pictures, predictions, strict=True):
        with Image.open(picture) as opened:
            width, height = opened.size
        assert prediction.classes.shape == (height, width)
        assert prediction.classes.dtype == np.uint8
        assert prediction.probabilities is not None
        assert prediction.probabilities.shape == (3, height, width)
        np.testing.assert_allclose(prediction.probabilities.sum(0), 1, atol=1e-5)
        highest = np.take_along_axis(prediction.probabilities, prediction.classes[None].astype(int), 0)[0]
        np.testing.assert_allclose(highest, prediction.probabilities.max(0), atol=1e-6)


def test_exact_tiles_of_a_large_picture_predict_what_the_whole_does(cropped: Path, data: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (201, 310, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    code = data / "net.py"
    (whole,) = predict(cropped, tmp_path / "large.png", code=code, probabilities=True)
    (tiled,) = predict(cropped, tmp_path / "large.png", code=code, probabilities=True, tile=64)
    assert (whole.in_tiles, tiled.in_tiles) == (False, True)
    assert Predictor(cropped, code=code, tile=64).tiling == "tiles of 64 x 64 px, exact"
    assert whole.probabilities is not None
    assert tiled.probabilities is not None
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert whole.classes.shape == (201, 310)


def test_the_folder_predicts_where_its_study_and_data_are_not(resized: Path, data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(resized, elsewhere)
    picture = tmp_path / "p.png"
    shutil.copy2(data / "data" / "val" / "images" / "p6.png", picture)
    (here,) = predict(resized, picture)
    (there,) = predict(elsewhere, picture)
    assert np.array_equal(here.classes, there.classes)
    text = (elsewhere / "autorf.json").read_text()
    assert str(data) not in text


def test_the_record_holds_classes_colours_normalisation_size_fit_and_channels(resized: Path) -> None:
    recipe = json.loads((resized / "autorf.json").read_text())["prediction"]
    assert recipe["class_names"] == ["ground", "a", "b"]
    assert len(recipe["colours"]) == 3
    assert (recipe["image_size"], recipe["fit"], recipe["channels"]) == ([32, 32], "resize", 3)
    assert (recipe["mean"], recipe["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_the_model_is_the_one_that_autorf_load_gives(resized: Path, data: Path) -> None:
    predictor = Predictor(resized)
    model = autorf.load(lambda: autorf.build(autorf.ModelSpec(**RESIZED["model"]), classes=3), resized).eval()
    picture = data / "data" / "val" / "images" / "p6.png"
    image = Image.open(picture).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    colours = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (predictor.recipe.mean, predictor.recipe.std))
    with torch.no_grad():
        torch.testing.assert_close(predictor(picture).scores, model((colours - mean) / std), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prediction": None}, "says nothing of pictures and classes .*autorf retrain writes"),
        ({"prediction": {"version": 99}}, "its prediction has version 99 .* reads version 1"),
        ({"version": 7}, "has version 7 .*; this autorf reads version 1"),
        ({"prediction": {"version": 1}}, "prediction.*model"),
    ],
)
def test_a_folder_of_another_version_is_refused(
    resized: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    shutil.copytree(resized, tmp_path / "model")
    path = tmp_path / "model" / "autorf.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=said):
        Predictor(tmp_path / "model")


def test_own_code_is_found_by_its_file_and_other_code_is_refused(cropped: Path, data: Path, tmp_path: Path) -> None:
    picture = data / "data" / "val" / "images" / "p6.png"
    (prediction,) = predict(cropped, picture, code=data / "net.py")
    assert prediction.classes.shape == (52, 44)
    with pytest.raises(InputError, match=r"net\.py.*--code FILE says where it is"):
        predict(cropped, picture, code=tmp_path)
    (tmp_path / "net.py").write_text(NET.replace("nn.ReLU()", "nn.Tanh()"))
    with pytest.raises(InputError, match=r"is not the code that the model was trained with.*--accept-code-change"):
        predict(cropped, picture, code=tmp_path / "net.py")
    assert Predictor(cropped, code=tmp_path / "net.py", accept_code_change=True)(picture).classes.shape == (52, 44)
    (tmp_path / "other.py").write_text(NET)
    with pytest.raises(InputError, match=r"of a file net\.py; name that"):
        predict(cropped, picture, code=tmp_path / "other.py")


def test_what_does_not_fit_the_model_is_refused(resized: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs no code; leave it out"):
        Predictor(resized, code=tmp_path)
    with pytest.raises(InputError, match="--tile 64: the model was trained on whole pictures"):
        Predictor(resized, tile=64)
    with pytest.raises(InputError, match="--device tpu: is not here; there is cpu"):
        Predictor(resized, device="tpu")


def test_a_reduced_precision_is_that_of_the_training(data: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data")
    folder = retrained(tmp_path, {**RESIZED, "training": {**RESIZED["training"], "precision": "bf16"}})
    predictor, val = Predictor(folder), tmp_path / "data" / "val"
    report = predict_files(predictor, tasks([val / "images"], tmp_path / "o", Wishes(), val / "masks"), Wishes())
    stored = json.loads((folder / "metrics.json").read_text())
    assert predictor(val / "images" / "p6.png").scores.dtype == torch.bfloat16
    scored = scores_of(report, predictor)[TRAINING_SCALE]
    assert scored.miou == pytest.approx(stored["shipped"]["metrics"]["miou"], abs=1e-9)


def test_a_model_of_other_channels_and_colour_masks_predicts_files_of_their_kind(tmp_path: Path) -> None:
    table = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 9]], np.uint8)
    rng = np.random.default_rng(0)
    for number in range(8):
        classes = rng.integers(0, 3, (5, 6)).repeat(8, 0).repeat(8, 1)
        bands = (classes[None] * [[[9000]], [[500]], [[100]], [[20000]]] + 50).astype(np.uint16)
        split = tmp_path / "data" / ("train" if number < 6 else "val")
        for part in ("images", "masks"):
            (split / part).mkdir(parents=True, exist_ok=True)
        np.save(split / "images" / f"p{number}.npy", bands)
        Image.fromarray(table[classes]).save(split / "masks" / f"p{number}.png")
    colours = dict(zip(("ground", "a", "b"), table.tolist(), strict=True))
    folder = retrained(tmp_path, {**RESIZED, "data": {**RESIZED["data"], "channels": 4, "colors": colours}})
    predictor, val = Predictor(folder), tmp_path / "data" / "val"
    planned = tasks([val / "images"], tmp_path / "o", Wishes(colour=True), val / "masks", arrays=True)
    report = predict_files(predictor, planned, Wishes(colour=True))
    stored = json.loads((folder / "metrics.json").read_text())
    assert (report.problems, report.scored) == ([], 2)
    scored = scores_of(report, predictor)[TRAINING_SCALE]
    assert scored.miou == pytest.approx(stored["shipped"]["metrics"]["miou"], abs=1e-9)
    assert stored["normalisation"] == {"mean": list(predictor.recipe.mean), "std": list(predictor.recipe.std)}
    with Image.open(tmp_path / "o" / "color" / "p7.png") as drawn:
        assert {tuple(colour) for colour in np.array(drawn).reshape(-1, 3)} <= {tuple(row) for row in table.tolist()}
    np.save(tmp_path / "bytes.npy", np.zeros((4, 40, 48), np.uint8))
    with pytest.raises(InputError, match=r"bytes\.npy: holds uint8 numbers, and others uint16"):
        predictor(tmp_path / "bytes.npy")
