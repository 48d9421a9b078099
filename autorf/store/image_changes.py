"""The first differences between the images that a study began on and those of today, in words."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autorf.data.names import shown
from autorf.store.data_digest import DataDigest, Files

_SPLITS = {"val": "validation", "train": "training"}
_MOST = 2
"""Differences that are named."""


def changes(stored: Mapping[str, Any], files: Files | None, today: DataDigest) -> str:
    """What differs, or nothing.

    A split that is new is no difference: nothing was trained or chosen on it.

    Args:
        stored: the summary of the digests that the study began with, see :meth:`DataDigest.summary`.
        files: each file's digest, where they are known.
        today: the images of today, by the same rule.
    """
    listed = list(_changes(stored["splits"], files or {}, today))
    more = f" and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
    why = " (by size, time and ends: there is more than data.digest_gb)" if stored["rule"] == "ends" else ""
    return f"{', '.join(listed[:_MOST])}{more}{why}" if listed else ""


def _changes(stored: Mapping[str, Any], files: Files, today: DataDigest) -> Iterator[str]:
    now = today.summary()["splits"]
    for split in sorted(stored, key=_place):
        name = _SPLITS.get(split, split)
        if split not in now:
            yield f"the {name} split is gone"
        elif now[split] != stored[split]:
            if split not in files:
                yield f"the {name} split ({stored[split]['n']} images then, {now[split]['n']} now)"
            for part, names in files.get(split, {}).items():
                yield from _of_part(name, part, names, today.files[split][part])


def _place(split: str) -> int:
    # What validates comes first: the scores are those of these images.
    return list(_SPLITS).index(split) if split in _SPLITS else len(_SPLITS)


def _of_part(split: str, part: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    kinds = {
        "changed": [name for name in before if name in now and before[name] != now[name]],
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
    }
    for kind, names in kinds.items():
        if names:
            first = shown(Path(min(names)), 40)
            one = f"the {split} {part[:-1]} {first} is {kind}"
            yield one if len(names) == 1 else f"{len(names)} {split} {part} are {kind}, such as {first}"
