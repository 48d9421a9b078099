"""What the files of a data set hold, in a few numbers: how a study knows its images."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autorf.data.digest_cache import DigestCache
from autorf.data.file_digest import DIGEST_BYTES, Rule, file_digest, rule_for
from autorf.data.loading import AnyData, pairs_of
from autorf.data.names import check_file, on_disk, spelled
from autorf.data.pairs import Pair
from autorf.data.python_data import PythonClassData, PythonData
from autorf.data.python_sets import Items, item_digests, own_items

Files = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Digests by split, by ``images`` or ``masks``, and by the file's name; after an ``@`` the time, where it counts."""


@dataclass(frozen=True)
class DataDigest:
    """The files of a data set.

    Attributes:
        rule: what of them counts; of masks that validate it is always the content.
        files: each one's digest.
    """

    rule: Rule
    files: Files

    def summary(self) -> dict[str, Any]:
        """Plain JSON of a size that does not depend on how many files there are: what a study remembers.

        ``splits`` holds for each split ``n``, the digests ``images`` and ``masks`` of all its files, and ``times``.
        """
        return {"rule": self.rule, "splits": {split: _summary(parts) for split, parts in self.files.items()}}


def digest_of(spec: AnyData, cache: Path, rule: Rule | None = None) -> DataDigest | None:
    """Digest the files of every split; None for generated data, which is known by its settings.

    A data set of the user's own code has items instead of files.

    Args:
        spec: the data set.
        cache: the folder of digests that were computed before.
        rule: what counts; None for the contents up to ``digest_gb``.

    Raises:
        InputError: naming a folder or file that cannot be read.
    """
    if isinstance(spec, PythonData | PythonClassData):
        return DataDigest("content", item_digests(_own_items(spec)))
    splits = pairs_of(spec)
    if not splits:
        return None
    for file in _files(splits):
        check_file(file)
    rule = rule or rule_for(_files(splits), getattr(spec, "digest_gb", 0.0))
    known = DigestCache(cache, on_disk(getattr(spec, "root", Path())))
    files = {split: _of_split(split, pairs, rule, known) for split, pairs in splits.items()}
    known.save()
    return DataDigest(rule, files)


def _own_items(spec: PythonData | PythonClassData) -> Mapping[str, Items]:
    if isinstance(spec, PythonData):
        return own_items(spec)
    # It loads torchvision, which whoever has masks need not wait for.
    from autorf.data.python_class_sets import own_pictures

    return own_pictures(spec)


def _files(splits: Mapping[str, Sequence[Pair]]) -> Iterator[Path]:
    return (file for pairs in splits.values() for pair in pairs for file in (pair.image, *pair.mask_files))


def _of_split(split: str, pairs: Sequence[Pair], rule: Rule, known: DigestCache) -> dict[str, dict[str, str]]:
    of_masks: Rule = "content" if split == "val" else rule
    return {
        "images": _of_files([pair.image for pair in pairs], rule, known),
        "masks": _of_files([file for pair in pairs for file in pair.mask_files], of_masks, known),
    }


def _of_files(files: Sequence[Path], rule: Rule, known: DigestCache) -> dict[str, str]:
    if not files:
        return {}
    folder = os.path.commonpath([file.parent for file in files])
    compute = file_digest(rule)
    digests: dict[str, str] = {}
    for file in files:
        name = os.path.relpath(file, folder)
        alike = spelled(name)
        # Where a study tells spellings apart, both may be there.
        digests[name if alike in digests else alike] = known.digest(file, rule, compute)
    return digests


def _summary(parts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    times = _joined({f"{part}/{name}": text for part in parts for name, text in parts[part].items()}, of_times=True)
    digests = {part: _joined(names) for part, names in parts.items()}
    return {"n": len(parts["images"]), **digests, "times": times}


def _joined(digests: Mapping[str, str], *, of_times: bool = False) -> str:
    """One digest of many, by their names, whatever their order."""
    lines = []
    for name, text in sorted(digests.items()):
        digest, _, time = text.partition("@")
        lines.append(f"{name}\0{time if of_times else digest}")
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=DIGEST_BYTES).hexdigest()
