"""The classes' names, where a file beside the masks has them: with their colours, or one a line."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autorf.data.mask_table import code_of

_TABLES = re.compile(r"(label_?map|label_?colou?rs|class_?dict|class_?colou?rs|colou?r_?map)\.(txt|csv)", re.IGNORECASE)
_NAMES = re.compile(r"(classes|class_?names|labels|label_?names|obj\.names)(\.txt|\.names|$)", re.IGNORECASE)
_NO_CLASS = frozenset(("void", "unlabelled", "unlabeled", "ignore", "ignored", "ignore_label", "don't care"))


@dataclass(frozen=True)
class ClassTable:
    """Names of classes.

    Attributes:
        file: that holds them.
        colours: the names by colour as one number; empty where the file has names only.
        names: in the file's order.
    """

    file: Path
    colours: dict[int, str]
    names: tuple[str, ...]


def is_no_class(name: str) -> bool:
    """Whether a name is one for pixels without a class."""
    return name.lower() in _NO_CLASS


def class_tables(root: Path) -> list[ClassTable]:
    """The tables in a folder and the folders in it, those with colours first.

    ``label_colors.txt`` (``128 64 128 road``), ``class_dict.csv`` (``road,128,64,128``), ``labelmap.txt`` of CVAT
    (``road:128,64,128::``), and ``classes.txt`` of a name a line.
    """
    files = sorted((*root.glob("*"), *root.glob("*/*")))
    tables = [table for file in files if _TABLES.fullmatch(file.name) and (table := _with_colours(file))]
    return tables + [table for file in files if _NAMES.fullmatch(file.name) and (table := _names_only(file))]


def _with_colours(file: Path) -> ClassTable | None:
    colours: dict[int, str] = {}
    for line in _lines(file):
        numbers = [int(number) for number in re.findall(r"(?<![\w.])\d{1,3}(?![\w.])", line)]
        name = re.sub(r"[\s,;:]+", " ", re.sub(r"(?<![\w.])\d{1,3}(?![\w.])", " ", line)).strip()
        if len(numbers) >= 3 and name and max(numbers[:3]) <= 255:
            colours.setdefault(code_of((numbers[0], numbers[1], numbers[2])), name)
    distinct = len(set(colours.values())) == len(colours) >= 2
    return ClassTable(file, colours, tuple(colours.values())) if distinct else None


def _names_only(file: Path) -> ClassTable | None:
    # A number in front of a name is its class, in the order of the lines.
    names = [re.sub(r"^\d+[\s,:;]+", "", line) for line in _lines(file)]
    return ClassTable(file, {}, tuple(names)) if len(set(names)) == len(names) >= 2 else None


def _lines(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return
    if file.suffix.lower() == ".csv":
        yield from (",".join(row).strip() for row in csv.reader(text.splitlines()) if row)
        return
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped
