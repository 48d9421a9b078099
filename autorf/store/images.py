"""The images that a study began on: remembered at its beginning, and asked for whenever it goes on."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from autorf.data import DataSpec
from autorf.data.cache_place import DIGESTS, cache_folder
from autorf.errors import InputError
from autorf.files import write_atomically
from autorf.store.data_digest import DataDigest, Files, digest_of
from autorf.store.image_changes import changes
from autorf.store.store import Store

NOTE = "data"
"""The note of a study that holds the summary of its files' digests."""

FILES = "data.json"
"""In a study's folder: each file's digest, so that a difference can be named. Nothing else rests on it."""


class StudyImages:
    """What a study knows of its images, against those of today.

    Args:
        store: the study.
        data: its data set.
        root: the folder of all studies.
    """

    def __init__(self, store: Store, data: DataSpec, root: Path) -> None:
        self._store, self._data, self._cache = store, data, cache_folder(root) / DIGESTS
        self._today: DataDigest | None = None
        self._is_older = False

    def check(self) -> None:
        """Digest the images of today and compare them; nothing is remembered yet.

        Raises:
            InputError: where the study began on others, naming the first differences.
        """
        stored = summary_in(self._store.notes())
        self._today = digest_of(self._data, self._cache, None if stored is None else stored["rule"])
        self._is_older = stored is None and self._store.spec is not None
        if stored is not None and self._today is not None:
            self._refuse_others(stored, self._today)

    def remember(self) -> str | None:
        """Remember the images of a study that knows none yet; a line about one that began without.

        Raises:
            InputError: where another process has begun the study on others meanwhile.
        """
        if self._today is None:
            return None
        before = summary_in(self._store.notes())
        summary = self._today.summary()
        if before is None:
            before = self._store.note_once(NOTE, summary)
            if before == summary:
                self._write_files(self._today)
        self._refuse_others(before, self._today)
        if not self._is_older:
            return None
        return f"study {self._store.name!r} began before studies knew their images: from now on it knows those of today"

    def _refuse_others(self, stored: Mapping[str, Any], today: DataDigest) -> None:
        text = changes(stored, self._files(stored), today)
        if text:
            raise InputError(
                f"study {self._store.name!r} began on other images: {text}; put them back, or give the study another "
                "name"
            )

    def _write_files(self, today: DataDigest) -> None:
        with suppress(OSError):
            write_atomically(self._store.folder / FILES, json.dumps(today.files))

    def _files(self, stored: Mapping[str, Any]) -> Files | None:
        """Each file's digest, unless they are gone, damaged or another study's."""
        try:
            files = json.loads((self._store.folder / FILES).read_bytes())
            return files if DataDigest(stored["rule"], files).summary() == stored else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def same_images(store: Store, data: DataSpec, root: Path) -> str | None:
    """Check that a study goes on with the images it began on; returns a line about one that did not know them.

    Raises:
        InputError: naming the first differences.
    """
    images = StudyImages(store, data, root)
    images.check()
    return images.remember()


def summary_in(notes: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a study's notes say of its images; None where they say nothing that this version can read."""
    stored = notes.get(NOTE)
    if not isinstance(stored, dict) or stored.get("rule") not in ("content", "ends"):
        return None
    splits = stored.get("splits")
    is_whole = isinstance(splits, dict) and all(
        isinstance(split, dict) and {"n", "images", "masks", "times"} <= split.keys() for split in splits.values()
    )
    return stored if is_whole else None
