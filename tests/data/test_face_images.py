"""Faces by their landmarks, as a study's data section asks for them: aligned, and with a map of these."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import HelenData, LfwData, channels_of, load
from autorf.data.face_images import heat_map
from autorf.data.landmark_spec import LandmarkSpec
from autorf.data.loading import labels_of
from autorf.errors import InputError
from autorf.store.data_digest import digest_of
from tests.data.faces import PEOPLE, write_helen, write_lfw

# Where a face of 40 x 44 pixels has eyes, nose and mouth.
FIVE = np.array([[16.0, 14], [28, 15], [22, 21], [17, 28], [27, 28]])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_helen(tmp_path / "helen")


def write_landmarks(root: Path, points: np.ndarray = FIVE, left_out: str = "") -> Path:
    file = root / "points.json"
    names = sorted(image.stem for image in (root / "images").iterdir())
    file.write_text(json.dumps({name: points.tolist() for name in names if name != left_out}))
    return file


def test_the_map_of_landmarks_is_squares_of_255_blurred_and_black_elsewhere():
    spec = LandmarkSpec(root=Path("x"), square=5, sigma=1.0)
    drawn = heat_map(np.array([[10.0, 20.0], [30.2, 8.6]]), (40, 50), spec)
    assert drawn.dtype == np.uint8
    assert drawn[20, 10] > 200
    assert drawn[9, 30] > 200
    assert drawn[35, 45] == 0
    sharp = heat_map(np.array([[10.0, 20.0]]), (40, 50), LandmarkSpec(root=Path("x"), square=5, sigma=1e-3))
    rows, columns = np.nonzero(sharp)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 22, 8, 12)
    assert (sharp[18:23, 8:13] == 255).all()


@pytest.mark.parametrize("point", [(-1.0, 5.0), (0.0, 0.0), (49.0, 39.0), (51.0, 5.0), (-300.0, 5.0)])
def test_a_square_at_the_border_is_cut_off(point):
    drawn = heat_map(np.array([point]), (40, 50), LandmarkSpec(root=Path("x"), square=5, sigma=1e-3))
    x, y = point
    expected = np.zeros((40, 50), np.uint8)
    rows, columns = np.mgrid[:40, :50]
    expected[(np.abs(rows - y) <= 2) & (np.abs(columns - x) <= 2)] = 255
    np.testing.assert_array_equal(drawn, expected)


def test_images_have_a_fourth_channel_where_the_landmarks_are(root):
    data = HelenData(root=root, image_size=(80, 88), landmarks={"root": write_landmarks(root), "heat_map": True})
    assert channels_of(data) == 4
    images, _ = load(data).train.tensors([0])
    assert images.shape == (1, 4, 80, 88)
    heat = images[0, 3]
    assert heat.min() == 0
    # Twice as large as the picture, so that x becomes 2 x + 1/2.
    assert heat[round(2 * 14 + 0.5), round(2 * 16 + 0.5)] == heat.max()
    plain, _ = load(HelenData(root=root, image_size=(80, 88))).train.tensors([0])
    torch.testing.assert_close(images[:, :3], plain)


def test_an_aligned_face_has_its_landmarks_in_their_places_and_what_is_outside_is_ignored(root):
    landmarks = {"root": write_landmarks(root, FIVE[:, ::-1] @ np.diag([1, -1]) + [0, 40]), "heat_map": True}
    data = HelenData(root=root, image_size=(128, 128), landmarks=landmarks, align={})
    assert labels_of(data).ignore_index == 255
    assert load(data).val.ignore_index == 255
    images, masks = load(data).train.tensors(range(4))
    assert (masks == 255).any()
    assert (images[:, 3, round(0.42 * 128), round(0.38 * 128)] > 1).all(), "the face lay on its side"
    assert set(masks.unique().tolist()) <= {*range(11), 255}
    black = images[:, 0] * 0.229 + 0.485
    assert black[masks == 255].abs().max() < 0.4


def test_aligned_masks_may_be_scored_at_one_size_of_their_own(root):
    align = {"mask_size": [96, 96]}
    landmarks = {"root": write_landmarks(root)}
    small, large = (
        load(HelenData(root=root, image_size=size, landmarks=landmarks, align=align, score_at="mask")).val
        for size in (48, 64)
    )
    assert list(small.mask_sizes) == list(large.mask_sizes) == [(96, 96), (96, 96)]
    assert torch.equal(small.tensors([0])[1], large.tensors([0])[1]), "scores of two image sizes are of one truth"
    assert [each.tensors([0])[0].shape[2] for each in (small, large)] == [48, 64]


def test_labels_and_pictures_are_aligned_alike(root):
    data = HelenData(root=root, image_size=(128, 128), landmarks={"root": write_landmarks(root)}, align={})
    images, masks = load(data).train.tensors(range(4))
    red = (images[:, 0] * 0.229 + 0.485) * 255
    # The pictures' red is 21 times the label; blocks of four pixels become ten and more.
    inner = masks != 255
    for shift in ((0, 3), (0, -3), (3, 0), (-3, 0)):
        inner &= torch.roll(masks, shift, (1, 2)) == masks
    assert (red - 21 * masks)[inner].abs().mean() < 9


def test_landmarks_are_part_of_what_a_study_knows_of_its_images(root, tmp_path):
    data = HelenData(root=root, landmarks={"root": write_landmarks(root)}, align={})
    before = digest_of(data, tmp_path / "cache").summary()
    write_landmarks(root, FIVE + 1)
    assert digest_of(data, tmp_path / "other").summary() != before
    unused = HelenData(root=root, landmarks={"root": root / "nowhere"})
    assert digest_of(unused, tmp_path / "cache").summary() == digest_of(HelenData(root=root), tmp_path / "a").summary()


def test_lfw_takes_them_too(tmp_path):
    root = write_lfw(tmp_path / "lfw")
    names = [path.stem for path in root.rglob("*.jpg")]
    assert len(names) == len(PEOPLE)
    (root / "points.json").write_text(json.dumps({name: FIVE.tolist() for name in names}))
    landmarks = {"root": root / "points.json", "heat_map": True}
    splits = load(LfwData(root=root, image_size=(64, 64), landmarks=landmarks, align={}))
    assert splits.train.tensors([0])[0].shape == (1, 4, 64, 64)


def _fails(data: HelenData) -> str:
    with pytest.raises(InputError) as error:
        load(data)
    assert len(str(error.value)) <= 290
    return str(error.value)


def test_a_picture_without_landmarks_is_named(root):
    landmarks = {"root": write_landmarks(root, left_out="232208_1"), "heat_map": True}
    assert "232208_1.jpg: has no landmarks in " in _fails(HelenData(root=root, landmarks=landmarks))


@pytest.mark.parametrize("point", [(-1.0, 3.0), (3.0, 39.6), (44.0, 3.0)])
def test_a_landmark_outside_its_picture_is_named(root, point):
    points = FIVE.copy()
    points[2] = point
    text = _fails(HelenData(root=root, landmarks={"root": write_landmarks(root, points)}, align={}))
    assert f"is 40 x 44 pixels and has a landmark outside, at x {point[0]:g}, y {point[1]:g}; landmarks are in" in text


def test_landmarks_at_one_place_are_named(root):
    data = HelenData(root=root, landmarks={"root": write_landmarks(root, np.full((5, 2), 9.0))}, align={})
    assert "its landmarks are all at one place" in _fails(data)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"align": {}}, "align: needs landmarks, by which faces are aligned"),
        ({"landmarks": {"root": "x", "heat_map": True}, "augmentation": {"colour": {"hue": 0.1}}}, "not for a map of"),
        (
            {"landmarks": {"root": "x"}, "align": {"nose": [0.5, 1.2]}},
            "must be shares of the image's side, from 0 to 1",
        ),
        ({"landmarks": {"root": "x"}, "align": {"nose": [0.38, 0.42]}}, "must be five places, no two alike"),
    ],
)
def test_what_does_not_go_together_is_refused(values, said):
    with pytest.raises(InputError, match=said):
        HelenData(root=Path("x"), **values)


def test_a_random_change_moves_the_map_with_the_picture(root):
    landmarks = {"root": write_landmarks(root), "heat_map": True}
    data = HelenData(
        root=root, image_size=(80, 88), landmarks=landmarks, augmentation={"rotation": 30, "scale": [0.7, 1.4]}
    )
    images, _ = load(data).train.tensors(range(4))
    assert images.shape == (4, 4, 80, 88)
    assert (images[:, 3].flatten(1).amax(1) > 2).all()


def test_a_picture_of_the_landmarks_can_be_shown(root):
    splits = load(HelenData(root=root, landmarks={"root": write_landmarks(root), "heat_map": True}))
    image = splits.val.tensors([0])[0][0]
    assert splits.val.normalisation.shown(image).shape == (3, 256, 256)
    assert Image.fromarray((255 * splits.val.normalisation.shown(image)).byte().permute(1, 2, 0).numpy()).size == (
        256,
        256,
    )
