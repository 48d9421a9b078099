"""Landmarks from the files that people have, and the five of them by which faces are aligned."""

import json
from pathlib import Path

import numpy as np
import pytest

from autorf.data.landmarks import five_of, read_landmarks
from autorf.errors import InputError

FIVE = np.array([[30.0, 40], [70, 41], [50, 60], [35, 80], [66, 79]])


def points_of(count: int) -> np.ndarray:
    """Points around the five: 68 in iBUG's order, or 194 in Helen's, whose means and corners are the five."""
    rng = np.random.default_rng(count)

    def around(centre: np.ndarray, n: int) -> np.ndarray:
        offsets = rng.normal(size=(n, 2))
        return centre + offsets - offsets.mean(0)

    points = np.full((count, 2), 50.0)
    if count == 68:
        points[36:42], points[42:48], points[31:36] = around(FIVE[0], 6), around(FIVE[1], 6), around(FIVE[2], 5)
        points[48], points[54] = FIVE[3], FIVE[4]
    elif count == 194:
        points[114:134], points[134:154] = around(FIVE[1], 20), around(FIVE[0], 20)
        points[46:53] = around(FIVE[2], 7)
        points[58:114] = (FIVE[3] + FIVE[4]) / 2 + rng.uniform(-3, 3, (56, 2))
        points[58], points[71] = FIVE[3], FIVE[4]
    else:
        points = FIVE.copy()
    return points


def write_pts(file: Path, points: np.ndarray) -> None:
    lines = "\n".join(f"{x + 1} {y + 1}" for x, y in points)
    file.write_text(f"version: 1\nn_points: {len(points)}\n{{\n{lines}\n}}\n")


@pytest.mark.parametrize("count", [5, 68, 194])
def test_the_five_are_found_among_however_many(count):
    np.testing.assert_allclose(five_of(points_of(count)), FIVE, atol=1e-9)


def test_pts_files_count_pixels_from_one(tmp_path):
    write_pts(tmp_path / "père.pts", points_of(68))
    landmarks = read_landmarks(tmp_path)
    np.testing.assert_allclose(landmarks["père"].points, points_of(68), atol=1e-9)
    assert landmarks["père"].file == tmp_path / "père.pts"


def test_helens_annotation_names_the_picture_in_its_first_line(tmp_path):
    lines = "\n".join(f"{x} , {y}" for x, y in points_of(194))
    (tmp_path / "17.txt").write_text(f"232201_1\r\n{lines}\r\n")
    np.testing.assert_allclose(read_landmarks(tmp_path)["232201_1"].points, points_of(194))


@pytest.mark.parametrize("title", ["", "name,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5\n"])
def test_a_csv_file_holds_a_line_a_picture_with_or_without_titles(tmp_path, title):
    file = tmp_path / "points.csv"
    file.write_text(f"{title}a.jpg,{','.join(map(str, FIVE.ravel()))}\n", encoding="utf-8-sig")
    np.testing.assert_allclose(read_landmarks(file)["a"].points, FIVE)


def test_a_json_file_holds_points_by_name(tmp_path):
    file = tmp_path / "points.json"
    file.write_text(json.dumps({"a": FIVE.tolist(), "b.png": points_of(68).tolist()}))
    landmarks = read_landmarks(file)
    np.testing.assert_allclose(landmarks["a"].points, FIVE)
    assert len(landmarks["b"].points) == 68


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.pts", "version: 1\n", "holds no points between { and }"),
        ("a.pts", "{\n1 2\n3\n}", "has a line that is no x and y"),
        ("a.pts", "{\n1 2\n3 nan\n}", "'3 nan': holds what is no finite number"),
        ("a.pts", "{\n1 2\n3 4\n}", "holds 2 landmarks; a picture has 5, 68 (iBUG) or 194 (Helen)"),
        ("a.txt", "1 , 2\n", "does not begin with a picture's name, as Helen's annotation/*.txt do"),
        ("a.txt", "", "does not begin with a picture's name"),
        ("points.csv", "a,1,2,3\n", "line 1: holds a name and 3 numbers; x and y of every point are wanted"),
        ("points.csv", "a,1,2\nb,1,x\n", "line 2: holds what is no finite number"),
        ("points.json", "[1]", "holds no names"),
        ("points.json", "{", "is no JSON"),
        ("points.json", '{"a": [[1, 2, 3]]}', "'a': is no list of [x, y]"),
        ("points.json", '{"a": [[1, true]]}', "holds what is no finite number"),
        ("points.mat", "", "is no .csv and no .json file; give a folder of .pts or .txt files"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path, name, text, said):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_landmarks(tmp_path if file.suffix in (".pts", ".txt") else file)
    assert said in str(error.value)
    assert name in str(error.value)
    assert len(str(error.value)) <= 290


def test_what_is_missing_or_twice_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: does not exist; give a folder of \.pts"):
        read_landmarks(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no \.pts and no \.txt file"):
        read_landmarks(tmp_path)
    five = ",".join(map(str, FIVE.ravel()))
    (tmp_path / "points.csv").write_text(f"a,{five}\na.png,{five}\n")
    with pytest.raises(InputError, match="line 2: is the second with landmarks of 'a'; keep one"):
        read_landmarks(tmp_path / "points.csv")
