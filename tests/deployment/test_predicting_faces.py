"""A model that was trained on aligned faces with a map of landmarks predicts the pictures as they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import autorf
from autorf.deployment.predicting import TRAINING_SCALE, Wishes, predict_files, scores_of, tasks
from autorf.deployment.predictor import Predictor
from autorf.errors import InputError
from tests.data.faces import write_helen
from tests.deployment.predictable import RESIZED, retrained

FIVE = np.array([[16.0, 14], [28, 15], [22, 21], [17, 28], [27, 28]])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    root = write_helen(folder / "data", 4, 2, 2, size=(40, 44))
    stems = [path.stem for path in (root / "images").iterdir()]
    # Every face is turned otherwise.
    turned = {}
    for index, stem in enumerate(sorted(stems)):
        angle = 0.12 * (index - 3)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        turned[stem] = ((FIVE - [22, 21]) @ turn + [22, 21]).tolist()
    (root / "points.json").write_text(json.dumps(turned))
    return folder


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    landmarks = {"root": str(data / "data" / "points.json"), "heat_map": True}
    study = {
        **RESIZED,
        "name": "faces",
        "data": {"name": "helen", "root": str(data / "data"), "image_size": 64, "landmarks": landmarks, "align": {}},
        "model": {**RESIZED["model"], "added_channels": 1},
    }
    return retrained(data, study)


def val_pictures(data: Path) -> list[Path]:
    names = (data / "data" / "tuning.txt").read_text().split("\n")
    return [data / "data" / "images" / f"{line.partition(', ')[2]}.jpg" for line in names if line]


def test_masks_have_the_size_of_the_picture_and_lie_on_it(data: Path, folder: Path) -> None:
    landmarks = data / "data" / "points.json"
    predictor = Predictor(folder, landmarks=landmarks)
    for prediction in autorf.predict(folder, val_pictures(data), landmarks=landmarks, probabilities=True):
        assert prediction.classes.shape == prediction.pixels.shape[:2] == (40, 44)
        assert prediction.probabilities is not None
        assert prediction.probabilities.shape == (11, 40, 44)
        np.testing.assert_array_equal(prediction.probabilities.argmax(0), prediction.classes)
        # By hand: the class of the aligned pixel that each of the picture's comes to lie on.
        faces = predictor._decoder.faces
        assert faces is not None
        similarity = faces.similarity(prediction.picture, (40, 44), (64, 64))
        assert similarity is not None
        aligned = torch.nn.functional.interpolate(prediction.scores, (64, 64), mode="bilinear")[0].argmax(0).numpy()
        rows, columns = np.mgrid[:40, :44]
        x, y = np.round(similarity(np.stack([columns.ravel(), rows.ravel()], 1).astype(float))).astype(int).T
        inside = ((x >= 0) & (x < 64) & (y >= 0) & (y < 64)).reshape(40, 44)
        by_hand = aligned[y.clip(0, 63), x.clip(0, 63)].reshape(40, 44)
        assert (by_hand == prediction.classes)[inside].mean() > 0.9


def test_predictions_of_the_validation_faces_have_the_scores_of_retrain(
    data: Path, folder: Path, tmp_path: Path
) -> None:
    from autorf.data import HelenData, load

    stored = json.loads((folder / "metrics.json").read_text())
    truth = tmp_path / "truth"
    truth.mkdir()
    splits = load(HelenData(root=data / "data", image_size=(40, 44)))
    pictures = val_pictures(data) if stored["split"] == "val" else sorted((data / "data" / "images").iterdir())[-2:]
    images = splits.val if stored["split"] == "val" else splits.test
    assert images is not None
    for picture, mask in zip(sorted(pictures), images.tensors(range(2))[1], strict=True):
        Image.fromarray(mask.byte().numpy()).save(truth / f"{picture.stem}.png")
    predictor = Predictor(folder, landmarks=data / "data" / "points.json")
    report = predict_files(predictor, tasks(pictures, tmp_path / "o", Wishes(), truth), Wishes())
    assert report.problems == []
    scored = scores_of(report, predictor)[TRAINING_SCALE]
    for name, value in stored["shipped"]["metrics"].items():
        if hasattr(scored, name):
            assert getattr(scored, name) == pytest.approx(value, abs=1e-9)


def test_landmarks_are_asked_for_where_they_are_needed_and_only_there(data: Path, folder: Path) -> None:
    with pytest.raises(
        InputError, match="--landmarks: the model sees faces by their landmarks; give the file or folder"
    ):
        Predictor(folder)
    with pytest.raises(InputError, match=r"--landmarks: .*nowhere: does not exist"):
        Predictor(folder, landmarks=data / "nowhere")
    picture = data / "other.jpg"
    Image.new("RGB", (44, 40)).save(picture)
    with pytest.raises(InputError, match=r"other.jpg: has no landmarks in .*points.json"):
        Predictor(folder, landmarks=data / "data" / "points.json")(picture)


def test_the_recipe_names_no_file_of_the_training(folder: Path) -> None:
    recipe = json.loads((folder / "autorf.json").read_text())["prediction"]
    assert recipe["landmarks"]["root"] == "."
    assert recipe["channels"] == 4
