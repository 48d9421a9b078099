"""Data sets that are told by their files' own names, and whose classes are known then."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autorf.data import camvid
from autorf.survey.layout import Layout


@dataclass(frozen=True)
class KnownSet:
    """A published data set: its name, its classes, and the mask value of pixels without one."""

    name: str
    class_names: tuple[str, ...]
    ignore_index: int | None


_BY_STEM: Mapping[str, KnownSet] = {
    r"(0001TP|0006R0|0016E5|Seq05VD)_f?\d+": KnownSet("CamVid", camvid.CLASS_NAMES, camvid.IGNORE_INDEX)
}


def known_set(layout: Layout, values: frozenset[int]) -> KnownSet | None:
    """The data set that all images are called like those of, where its masks hold no other values; None for none."""
    stems = [pair.image.stem for members in layout.pairs.values() for pair in members]
    for pattern, known in _BY_STEM.items():
        legal = {*range(len(known.class_names)), known.ignore_index}
        if values <= legal and all(re.fullmatch(pattern, stem) for stem in stems):
            return known
    return None
