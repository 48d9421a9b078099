"""Landmarks of faces from files, and the five of them by which a face is aligned."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autorf.data.names import on_disk, shown, spelled
from autorf.errors import InputError

Points = NDArray[np.float64]
"""``(n, 2)``: x and y in pixels, whole numbers at the pixels' centres, from 0."""


class Landmarks(NamedTuple):
    """Of one picture.

    Attributes:
        points: 5, 68 or 194 of them.
        file: that they were read from.
    """

    points: Points
    file: Path


COUNTS = (5, 68, 194)
"""Points of a picture: the five, those of iBUG, those of Helen."""

_Read = tuple[str, Points, Path, str]
"""A picture's name, its points, their file, and their place in it for messages."""

_FORMS = "a folder of .pts or .txt files, one .csv or one .json"


def read_landmarks(root: Path) -> dict[str, Landmarks]:
    """The landmarks of every picture by its stem, as a file or the files of a folder hold them.

    Raises:
        InputError: naming what is missing, unreadable, of no known form, or of another number of points.
    """
    there = on_disk(root)
    if there.is_dir():
        files = sorted(file for file in there.iterdir() if file.suffix.lower() in (".pts", ".txt"))
        if not files:
            raise InputError(f"data.landmarks.root: {shown(there)}: holds no .pts and no .txt file; give {_FORMS}")
        read = [_of_pts(file) if file.suffix.lower() == ".pts" else _of_helen(file) for file in files]
    elif there.suffix.lower() == ".csv":
        read = list(_of_csv(there))
    elif there.suffix.lower() == ".json":
        read = list(_of_json(there))
    else:
        reason = "is no .csv and no .json file" if there.exists() else "does not exist"
        raise InputError(f"data.landmarks.root: {shown(there)}: {reason}; give {_FORMS}")
    landmarks: dict[str, Landmarks] = {}
    for name, points, file, place in read:
        if len(points) not in COUNTS:
            raise InputError(f"{place}: holds {len(points)} landmarks; a picture has 5, 68 (iBUG) or 194 (Helen)")
        if name in landmarks:
            raise InputError(f"{place}: is the second with landmarks of {name!r}; keep one")
        landmarks[name] = Landmarks(points, file)
    return landmarks


def _of_pts(file: Path) -> _Read:
    """iBUG's: a header, and the points between braces; their pixels count from 1."""
    text = _text(file)
    _, brace, inside = text.partition("{")
    points = _points(inside.partition("}")[0].splitlines(), file, " ") if brace else None
    if points is None:
        raise InputError(f"{shown(file)}: holds no points between {{ and }}, as .pts files do")
    return spelled(file.stem), points - 1, file, shown(file)


def _of_helen(file: Path) -> _Read:
    """Helen's: the picture's name, and a line ``x , y`` for each point."""
    name, *lines = _text(file).splitlines() or [""]
    if not name.strip() or "," in name:
        raise InputError(f"{shown(file)}: does not begin with a picture's name, as Helen's annotation/*.txt do")
    return spelled(Path(name.strip()).stem), _points(lines, file, ","), file, shown(file)


def _points(lines: Sequence[str], file: Path, separator: str) -> Points:
    rows = []
    for line in lines:
        if line.strip():
            rows.append(_numbers(line.split(None if separator == " " else separator), f"{shown(file)}: {line[:40]!r}"))
    if any(len(row) != 2 for row in rows):
        raise InputError(f"{shown(file)}: has a line that is no x and y; each point has one line")
    return np.array(rows, np.float64).reshape(-1, 2)


def _of_csv(file: Path) -> Iterator[_Read]:
    for number, row in enumerate(csv.reader(_text(file).splitlines()), 1):
        place = f"{shown(file)}, line {number}"
        if not row or (number == 1 and len(row) > 1 and not _is_number(row[1])):
            continue
        if len(row) % 2 == 0:
            raise InputError(f"{place}: holds a name and {len(row) - 1} numbers; x and y of every point are wanted")
        yield spelled(Path(row[0].strip()).stem), np.array(_numbers(row[1:], place)).reshape(-1, 2), file, place


def _of_json(file: Path) -> Iterator[_Read]:
    try:
        content: Any = json.loads(_text(file))
    except ValueError:
        raise InputError(f"{shown(file)}: is no JSON; {{NAME: [[x, y], ...]}} is wanted") from None
    if not isinstance(content, dict):
        raise InputError(f"{shown(file)}: holds no names; {{NAME: [[x, y], ...]}} is wanted")
    for name, points in content.items():
        place = f"{shown(file)}: {str(name)[:60]!r}"
        if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise InputError(f"{place}: is no list of [x, y]")
        rows = [_numbers(point, place) for point in points]
        yield spelled(Path(str(name)).stem), np.array(rows, np.float64).reshape(-1, 2), file, place


def _numbers(values: Sequence[Any], place: str) -> list[float]:
    if not all(_is_number(value) for value in values):
        raise InputError(f"{place}: holds what is no finite number; landmarks are x and y in pixels")
    return [float(value) for value in values]


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise InputError(f"{shown(file)}: cannot be read as landmarks: {reason}") from None


def five_of(points: Points) -> Points:
    """Left and right eye, nose, left and right corner of the mouth ``(5, 2)``, left as one looks at the picture.

    Of iBUG's 68 points these are the means of 37 to 42, of 43 to 48 and of 32 to 36, and the points 49 and 55, as in
    Wei et al. 2019, section VI-A. Of Helen's 194 the means of each eye's 20 points and of the middle of the nose's
    line, and the two points of the lips that lie farthest apart along the line through the eyes.

    >>> five_of(np.arange(10.0).reshape(5, 2))[2].tolist()
    [4.0, 5.0]
    """
    if len(points) == 5:
        return points
    if len(points) == 68:
        parts = [points[36:42].mean(0), points[42:48].mean(0), points[31:36].mean(0), points[48], points[54]]
        return np.stack(parts)
    eyes = sorted((points[114:134].mean(0), points[134:154].mean(0)), key=lambda eye: float(eye[0]))
    lips = points[58:114]
    along = lips @ (eyes[1] - eyes[0])
    return np.stack([*eyes, points[46:53].mean(0), lips[along.argmin()], lips[along.argmax()]])
