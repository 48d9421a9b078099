"""Decoded pictures under the root of all studies: made once, mapped by all trials and workers of a machine."""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from autorf.data.cache_place import DIGESTS, PICTURES
from autorf.data.decoding import Decoder, Pixels
from autorf.data.digest_cache import DigestCache
from autorf.data.file_digest import file_digest, rule_for
from autorf.data.mapped import INDEX, VERSION, Mapped, read_index, write_decoded
from autorf.data.mask_files import Classes
from autorf.data.names import shown
from autorf.data.pairs import Pair
from autorf.files import lock

_SECONDS_BEFORE_A_LINE, _SECONDS_BETWEEN_LINES = 2.0, 10.0
_LOCK, _BUILDING = ".lock", ".building"
"""Of who uses decoded pictures, shared, or removes them, alone; and of who decodes them, alone."""

_MARGIN = 2**28
"""Bytes that are left free on the disk."""

_said: set[str] = set()


class Lease:
    """A lock on decoded pictures, shared or alone, that ends with this object or with its process."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        weakref.finalize(self, os.close, self._descriptor)

    def share(self) -> None:
        """Wait until nobody has them alone."""
        lock(self._descriptor, wait=True, shared=True)

    def alone(self, *, wait: bool = True) -> bool:
        """Whether nobody else has them now; by waiting nobody does in the end."""
        try:
            lock(self._descriptor, wait=wait)
        except BlockingIOError:
            return False
        return True


@dataclass(frozen=True)
class PictureCache:
    """Decoded pictures of all data sets, known by what their files hold and how they are decoded.

    Whoever builds holds a lock that ends with its process, and renames the whole folder into its place: a reader sees
    all of it or nothing, and what a killed builder left is removed by the next.

    Attributes:
        folder: of the cache.
        root: of the data set, whose files are told by their path below it.
        cache_gb: all that is kept takes no more GB (10^9 bytes); what was not used for longest gives way.
        digest_gb: see :func:`autorf.data.file_digest.rule_for`.
    """

    folder: Path
    root: Path
    cache_gb: float
    digest_gb: float

    def found(self, splits: Mapping[str, Sequence[Pair]], decoders: Mapping[str, Decoder]) -> dict[str, Mapped] | None:
        """The decoded pictures of every split, where they are kept already."""
        if not self.cache_gb:
            return None
        try:
            folder = self._place / self._key(splits, decoders)
            if not folder.with_suffix(_LOCK).exists():
                return None
            lease = Lease(folder.with_suffix(_LOCK))
            lease.share()
            return _mapped(folder, lease)
        except OSError:
            # Whoever fills it says why that cannot be.
            return None

    def filled(
        self, splits: Mapping[str, Sequence[Pair]], decoders: Mapping[str, Decoder], n_bytes: int
    ) -> dict[str, Mapped] | None:
        """The decoded pictures of every split, decoded by this process or one that it waits for; None, said in a line,
        where they cannot be kept.

        Args:
            splits: the files.
            decoders: by split.
            n_bytes: what they will take.

        Raises:
            InputError: for the first file that cannot be used.
        """
        if not self.cache_gb:
            return None
        if n_bytes > self.cache_gb * 1e9:
            _say(
                f"data.cache_gb: the decoded pictures would take {n_bytes / 1e9:.3g} GB, more than {self.cache_gb:g}: "
                "files are read as they are needed; give more, or 0 to keep none"
            )
            return None
        try:
            folder = self._place / self._key(splits, decoders)
            folder.parent.mkdir(parents=True, exist_ok=True)
            lease = Lease(folder.with_suffix(_LOCK))
            lease.share()
            # Of a lock of its own: who has built them goes on to use them, and is not waited for.
            building = Lease(folder.with_suffix(_BUILDING))
            building.alone()
            # Another process may have decoded them until this one was alone.
            mapped = _mapped(folder, lease)
            if mapped is None:
                self._make_room(folder, n_bytes)
                _build(folder, splits, decoders)
                mapped = _mapped(folder, lease)
            return mapped
        except OSError as error:
            reason = error.strerror or error
            _say(f"{shown(self._place)}: no decoded pictures are kept ({reason}): files are read as they are needed")
            return None

    @property
    def _place(self) -> Path:
        return self.folder / PICTURES

    def _key(self, splits: Mapping[str, Sequence[Pair]], decoders: Mapping[str, Decoder]) -> str:
        """Of the files' contents, in their order, and of all that changes what is decoded of them."""
        files = [file for pairs in splits.values() for pair in pairs for file in (pair.image, *pair.mask_files)]
        rule = rule_for(files, self.digest_gb)
        compute, digests = file_digest(rule), DigestCache(self.folder / DIGESTS, self.root)
        contents = {
            split: [[digests.digest(file, rule, compute) for file in (pair.image, *pair.mask_files)] for pair in pairs]
            for split, pairs in splits.items()
        }
        digests.save()
        identity = [VERSION, contents, {split: _settings(decoder) for split, decoder in decoders.items()}]
        return hashlib.blake2b(json.dumps(identity, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()

    def _make_room(self, folder: Path, n_bytes: int) -> None:
        """Remove what a killed builder left, and the decoded pictures that were unused for longest.

        Raises:
            OSError: where there is no room all the same.
        """
        for left in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        for other in sorted(kept_folders(folder.parent), key=_last_use):
            if bytes_in(folder.parent) + n_bytes <= self.cache_gb * 1e9:
                break
            remove_unused(other)
        if bytes_in(folder.parent) + n_bytes > self.cache_gb * 1e9:
            raise OSError(f"what running trials use leaves less than {n_bytes / 1e9:.3g} GB of data.cache_gb")
        if shutil.disk_usage(folder.parent).free < n_bytes + _MARGIN:
            raise OSError(f"the disk has less than the {n_bytes / 1e9:.3g} GB that they take")


def _mapped(folder: Path, lease: Lease) -> dict[str, Mapped] | None:
    """The decoded pictures in a folder, under a lease on them; None where they are not whole."""
    indices = read_index(folder)
    if indices is None:
        return None
    # The time of the last use, by which the oldest give way.
    os.utime(folder / INDEX)
    return {split: Mapped(folder, split, index, lease) for split, index in indices.items()}


def kept_folders(place: Path) -> list[Path]:
    """The folders of decoded pictures that are whole."""
    return sorted(path.parent for path in place.glob(f"*/{INDEX}") if not path.parent.name.startswith("."))


def bytes_in(place: Path) -> int:
    """What all files in the folders of a folder take, those of other processes that build too."""
    n_bytes = 0
    for file in place.glob("*/*"):
        # It may be renamed or removed meanwhile.
        with suppress(FileNotFoundError):
            n_bytes += file.stat().st_size
    return n_bytes


def _last_use(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return (folder / INDEX).stat().st_mtime
    return 0.0


def remove_unused(folder: Path, lock: Path | None = None) -> int:
    """Remove decoded pictures unless a process uses or builds them; how many bytes that made room for."""
    lease = Lease(lock or folder.with_suffix(_LOCK))
    if not lease.alone(wait=False) or not folder.is_dir():
        return 0
    n_bytes = sum(file.stat().st_size for file in folder.iterdir())
    # The index first: what is left of it, should this be killed, is not whole and never read.
    (folder / INDEX).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return n_bytes


def remove_all_unused(place: Path) -> int:
    """Remove all decoded pictures in a folder but those that a process uses; how many bytes that made room for."""
    n_bytes = 0
    for lock_file in sorted(place.glob(f"*{_LOCK}")):
        folder = lock_file.with_suffix("")
        for there in (folder, *place.glob(f".{folder.name}.*")):
            n_bytes += remove_unused(there, lock_file)
    return n_bytes


def is_known(decoder: Decoder) -> bool:
    """Whether all that changes what is decoded can be told: a function of others may be another one tomorrow."""
    return decoder.read_classes is None or _name_of(decoder.read_classes).startswith("autorf.")


def _name_of(function: Callable[..., object]) -> str:
    """Where a function is defined; of what has no name of its own, nothing."""
    name = getattr(function, "__qualname__", None)
    return "" if name is None else f"{function.__module__}.{name}"


def _settings(decoder: Decoder) -> dict[str, object]:
    faces, read_classes = decoder.faces, decoder.read_classes
    plain = replace(decoder, faces=None, read_classes=None)
    settings = {**asdict(plain), "pictures": decoder.pictures.model_dump(mode="json")}
    if read_classes is not None:
        # What it does changes with VERSION alone.
        settings["read_classes"] = _name_of(read_classes)
    if faces is not None:
        # The landmarks themselves are in files of the pairs.
        align = None if faces.align is None else faces.align.model_dump(mode="json")
        settings["faces"] = [faces.landmarks.model_dump(mode="json", exclude={"root"}), align]
    settings["table"] = None if decoder.table is None else decoder.table.model_dump(mode="json")
    # What is found of the first file follows from the files.
    settings.pop("kind")
    if decoder.fit == "whole":
        # Patches of any size are cut out of the same pictures.
        settings.pop("image_size")
    return settings


def _build(folder: Path, splits: Mapping[str, Sequence[Pair]], decoders: Mapping[str, Decoder]) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    progress = _Progress(sum(map(len, splits.values())), folder.parent)
    try:
        write_decoded(unfinished, {split: _decoded(splits[split], decoders[split], progress) for split in splits})
        # Whoever may read the root may map what is in it; a temporary folder is its owner's alone.
        unfinished.chmod(folder.parent.stat().st_mode & 0o777)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _decoded(pairs: Sequence[Pair], decoder: Decoder, progress: "_Progress") -> Iterator[tuple[Pixels, Classes]]:
    threads = min(4, os.cpu_count() or 1)
    # Pillow decodes without holding the interpreter's lock.
    with ThreadPoolExecutor(threads) as pool:
        # A few at a time: the results of a map over all would wait in memory for the disk.
        for start in range(0, len(pairs), 4 * threads):
            for picture in pool.map(decoder.decoded, pairs[start : start + 4 * threads]):
                yield picture
                progress.one_more()


class _Progress:
    """A line now and then of what takes longer than a moment."""

    def __init__(self, total: int, place: Path) -> None:
        self._total, self._place, self._done = total, place, 0
        self._next = time.monotonic() + _SECONDS_BEFORE_A_LINE

    def one_more(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN_LINES
            _say(f"{self._done} of {self._total} pictures decoded into {shown(self._place)}, once for all trials")


def _say(line: str) -> None:
    """On stderr, once a process; the workers of a driver leave it to that."""
    if multiprocessing.parent_process() is None and line not in _said:
        _said.add(line)
        print(f"autorf: {line}", file=sys.stderr, flush=True)
