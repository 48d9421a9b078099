"""FGVC-Aircraft's variants as its archive lays them out."""

import re
from pathlib import Path

from autorf.data.class_pairs import ClassPair
from autorf.data.class_spec import AircraftData
from autorf.data.names import check_file, on_disk, shown
from autorf.data.official import Layout, check_apart, listed
from autorf.errors import InputError, near_names

SOURCE = "fgvc-aircraft-2013b.tar.gz, FGVC-Aircraft benchmark, VGG, University of Oxford"
IMAGES, VARIANTS = "data/images", "data/variants.txt"
LAYOUT = Layout((IMAGES, VARIANTS), SOURCE, name="fgvc-aircraft-2013b")
BANNER = 20
"""Rows in pixels at the bottom of every picture, which name its copyright."""

_PROTOCOLS = {
    "official": {"train": "trainval", "val": "test"},
    "held_out": {"train": "train", "val": "val", "test": "test"},
}
_FORM = "'NUMBER VARIANT'"
_LINE = re.compile(r"\s*(\d+) (.+?)\s*")


def aircraft_classes(spec: AircraftData) -> tuple[str, ...]:
    """The variants.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    LAYOUT.check(root)
    names = listed(root / VARIANTS, lambda line: line.strip() or None, "'VARIANT'")
    if len(names) < 2:
        raise InputError(f"{shown(root / VARIANTS)}: lists one variant; take it from {SOURCE}")
    return tuple(names)


def aircraft_pairs(spec: AircraftData) -> dict[str, list[ClassPair]]:
    """The pictures of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root, names = on_disk(spec.root), aircraft_classes(spec)
    numbers = {name: number for number, name in enumerate(names)}
    lists = {split: root / f"data/images_variant_{file}.txt" for split, file in _PROTOCOLS[spec.protocol].items()}
    lines = {split: listed(path, _line, _FORM) for split, path in lists.items()}
    stems = {lists[split].name: [_parts(line)[0] for line in of_split] for split, of_split in lines.items()}
    check_apart(stems)
    return {
        split: sorted(_pair(root, line, numbers, lists[split]) for line in of_split)
        for split, of_split in lines.items()
    }


def _line(line: str) -> str | None:
    return line.strip() if _LINE.fullmatch(line) else None


def _parts(line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    assert match is not None, "lines of another form are refused"
    return match[1], match[2]


def _pair(root: Path, line: str, numbers: dict[str, int], path: Path) -> ClassPair:
    stem, variant = _parts(line)
    if variant not in numbers:
        raise InputError(
            f"{shown(path, 100)}: gives {stem} the variant {variant[:40]!r}, which {VARIANTS} does not list"
            f"{near_names(variant, numbers)}"
        )
    file = root / IMAGES / f"{stem}.jpg"
    if not file.exists():
        raise InputError(
            f"{shown(path, 100)}: names {stem}, of which there is no {IMAGES}/{stem}.jpg; unpack the archive anew, or "
            "take its line away"
        )
    check_file(file)
    return ClassPair(file, file, (root / VARIANTS, path), numbers[variant])
