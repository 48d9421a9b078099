"""A folder of the user's own faces with their landmarks: aligned, with a map of these, trained on and predicted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import autorf
from autorf.data import FassegData, FolderData, channels_of, load
from autorf.data.loading import labels_of
from autorf.errors import InputError
from autorf.specification import parse
from autorf.store.data_digest import digest_of
from autorf.study.spec import parse_study
from tests.data.faces import face, picture_of
from tests.deployment.predictable import RESIZED, retrained

CLASSES = ["ground", "a", "b"]
# Where a face of 40 x 44 pixels has eyes, nose and mouth.
FIVE = np.array([[16.0, 14], [28, 15], [22, 21], [17, 28], [27, 28]])


def spread(five: np.ndarray, count: int) -> np.ndarray:
    """As many points as a form of landmarks has, whose five are those given."""
    left, right, nose, *mouth = five
    points = np.repeat(nose[None], count, 0)
    if count == 68:
        points[36:42], points[42:48], points[48], points[54] = left, right, *mouth
    elif count == 194:
        points[58:114], points[114:134], points[134:154] = five[3:].mean(0), left, right
        points[58], points[70] = mouth
    else:
        points = five
    return points


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(6):
        labels = face((40, 44), number, len(CLASSES))
        for part in ("images", "masks"):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
        picture_of(labels, len(CLASSES)).save(tmp_path / "data" / "images" / f"f{number}.png")
        Image.fromarray(labels).save(tmp_path / "data" / "masks" / f"f{number}.png")
    return tmp_path / "data"


def landmarks(root: Path, points: np.ndarray = FIVE, form: str = "json") -> Path:
    names = [path.stem for path in (root / "images").iterdir()]
    if form == "annotation":
        folder = root.parent / "annotation"
        folder.mkdir(exist_ok=True)
        for number, name in enumerate(names):
            lines = "".join(f"{x} , {y}\n" for x, y in points)
            (folder / f"{number}.txt").write_text(f"{name}\n{lines}")
        return folder
    file = root.parent / f"points.{form}"
    if form == "json":
        file.write_text(json.dumps({name: points.tolist() for name in names}))
    else:
        rows = [",".join([name, *(str(value) for value in points.ravel())]) for name in names]
        file.write_text("\n".join(rows))
    return file


def data(root: Path, file: Path, **keys: Any) -> FolderData:
    heat = {"root": file, "heat_map": True}
    return FolderData(
        **{"root": root, "classes": CLASSES, "image_size": [64, 64], "landmarks": heat, "align": {}, **keys}
    )


@pytest.mark.parametrize(("count", "form"), [(5, "json"), (68, "csv"), (194, "annotation")])
def test_a_face_has_its_five_points_where_they_are_wanted(root: Path, count: int, form: str) -> None:
    spec = data(root, landmarks(root, spread(FIVE, count), form), image_size=[128, 128])
    assert channels_of(spec) == 4
    assert labels_of(spec).ignore_index == 255
    images, masks = load(spec).train.tensors(range(4))
    assert images.shape == (4, 4, 128, 128)
    assert set(masks.unique().tolist()) == {0, 1, 2, 255}, "what lies beside a picture is ignored"
    # The left eye's square; a face's own five points are no similarity of the wanted ones, so it is near its place.
    column, row = round(0.38 * 128), round(0.42 * 128)
    assert (images[:, 3, row - 9 : row + 9, column - 9 : column + 9].amax((1, 2)) > 1).all()
    assert images[:, 3].min() == 0


def test_a_face_that_is_not_aligned_keeps_its_place_and_has_the_map(root: Path) -> None:
    file = landmarks(root)
    images, masks = load(data(root, file, align=None)).train.tensors([0])
    plain, own = load(data(root, file, align=None, landmarks=None)).train.tensors([0])
    torch.testing.assert_close(images[:, :3], plain)
    torch.testing.assert_close(masks, own)
    heat = images[0, 3]
    assert heat[round(14.5 * 64 / 40 - 0.5), round(16.5 * 64 / 44 - 0.5)] == heat.max()


def test_a_mask_may_not_hold_what_only_lies_beside_aligned_pictures(root: Path) -> None:
    file, mask = landmarks(root), np.zeros((40, 44), np.uint8)
    mask[:9] = 255
    Image.fromarray(mask).save(root / "masks" / "f0.png")
    with pytest.raises(InputError, match=r"f0.png: holds class 255; legal are 0 to 2"):
        load(data(root, file))
    load(data(root, file, ignore_index=255))


def test_fassegs_masks_may_not_either(root: Path) -> None:
    for split in ("train", "test"):
        for part, own in (("images", "images"), ("labels", "masks")):
            (root / split / part).mkdir(parents=True)
            for path in (root / own).iterdir():
                (root / split / part / path.name).write_bytes(path.read_bytes())
    mask = np.full((40, 44), 255, np.uint8)
    Image.fromarray(mask).save(root / "train" / "labels" / "f0.png")
    faces = FassegData(root=root, image_size=(64, 64), landmarks={"root": landmarks(root)}, align={})
    with pytest.raises(InputError, match=r"f0.png: holds class 255"):
        load(faces)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"fit": "crop"}, "fit: crop: faces are aligned or resized as a whole"),
        ({"channels": 3}, "channels: landmarks go with pictures of red, green and blue"),
        ({"normalise": "training"}, "normalise: training: the map of landmarks goes with imagenet"),
        ({"ignore_index": 7}, "ignore_index: 7: what lies beside an aligned picture is ignored as 255"),
        ({"landmarks": None}, "align: needs landmarks"),
        ({"patches": {"size": [32, 32]}, "image_size": None}, "landmarks: faces are seen whole"),
        ({"augmentation": {"colour": {"hue": 0.1}}}, "augmentation.colour is for red, green and blue"),
    ],
)
def test_what_does_not_go_with_landmarks_is_refused(root: Path, keys: dict[str, Any], said: str) -> None:
    values = {**data(root, root).model_dump(mode="json"), **keys}
    values = {key: value for key, value in values.items() if value is not None or key == "landmarks"}
    with pytest.raises(InputError) as refused:
        parse(FolderData, values, "faces.yaml: data")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (FIVE + np.array([0, 30]), r"is 40 x 44 pixels and has a landmark outside, at x 16, y 44"),
        (np.tile([[3.0, 4.0]], (5, 1)), "its landmarks are all at one place"),
        (FIVE[:4], "holds 4 landmarks; a picture has 5, 68 .* or 194"),
    ],
)
def test_landmarks_that_cannot_be_a_faces_are_refused(root: Path, points: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(data(root, landmarks(root, points)))


def test_a_picture_without_landmarks_is_named(root: Path) -> None:
    file = landmarks(root)
    file.write_text(json.dumps({name: value for name, value in json.loads(file.read_text()).items() if name != "f3"}))
    with pytest.raises(InputError, match=r"f3.png: has no landmarks in .*points.json; add them there"):
        load(data(root, file))


def test_landmarks_are_part_of_what_a_study_knows_of_its_images(root: Path, tmp_path: Path) -> None:
    spec = data(root, landmarks(root))
    before = digest_of(spec, tmp_path / "cache").summary()
    landmarks(root, FIVE + 1)
    assert digest_of(spec, tmp_path / "other").summary() != before


def test_a_map_of_landmarks_wants_weights_of_its_own(root: Path) -> None:
    section = {**data(root, landmarks(root)).model_dump(mode="json", exclude_defaults=True), "name": "folder"}
    with pytest.raises(InputError, match=r"set model\.added_channels: 1"):
        parse_study({**RESIZED, "data": section}, "f")


def test_a_study_on_a_folder_of_faces_is_trained_and_predicts_pictures_as_they_are(root: Path) -> None:
    file = landmarks(root)
    section = {"name": "folder", "root": str(root), "classes": CLASSES, "image_size": 64, "align": {}}
    section["landmarks"] = {"root": str(file), "heat_map": True}
    model = {**RESIZED["model"], "added_channels": 1}
    folder = retrained(root.parent, {**RESIZED, "name": "own_faces", "data": section, "model": model})
    pictures = sorted((root / "images").iterdir())[:2]
    for prediction in autorf.predict(folder, pictures, landmarks=file):
        assert prediction.classes.shape == (40, 44)
        assert prediction.classes.max() < len(CLASSES)
    with pytest.raises(InputError, match="--landmarks: the model sees faces by their landmarks"):
        list(autorf.predict(folder, pictures))
