"""Files of splits that a list names, or a pattern of their paths."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from autorf.data.names import check_file, check_name, on_disk, shown, spelled
from autorf.data.pairs import MASK_SUFFIXES, OTHER_MASKS, Pair, by_stem, require_folder
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError

LIST = ".txt"
STEM, SPLIT = "{stem}", "{split}"


def is_list(place: str) -> bool:
    """Whether a split is named by a list of files, and not by its folder."""
    return place.endswith(LIST)


def split_pairs(
    root: Path, place: str, images: str, masks: str, suffixes: Sequence[str], pictures: Pictures
) -> list[Pair]:
    """The files of one split, sorted by the images' stems.

    Args:
        root: of the data set.
        place: the split's folder or list, below ``root``.
        images: the images' folder or pattern: below ``root`` where it names ``{split}`` or the split is a list, else
            below the split's folder.
        masks: likewise.
        suffixes: of images.
        pictures: says when two spellings are one name.

    Raises:
        InputError: when there is no image, one has no mask, a mask has no image, or a line of a list names no file.
    """
    image_files = _by_stem(root, place, images, suffixes, pictures)
    others = _by_stem(root, place, masks, OTHER_MASKS, pictures)
    mask_files = {**others, **_by_stem(root, place, masks, MASK_SUFFIXES, pictures)}
    where = f"{shown(root)}: {_whole(place, images)}"
    if not image_files:
        raise InputError(f"{where} matches no image ({', '.join(suffixes)}); correct data.images or data.root")
    if is_list(place):
        pairs = list(_listed(root, place, image_files, mask_files, masks))
    else:
        for stem, file in mask_files.items():
            if stem not in image_files:
                raise InputError(f"{shown(file)}: has no image; {where} matches none of the stem {stem}")
        pairs = [Pair(file, _mask(file, stem, mask_files, place, masks)) for stem, file in sorted(image_files.items())]
    for pair in pairs:
        check_file(pair.image)
        check_file(pair.mask)
    return pairs


def has_files(root: Path, place: str, pattern: str) -> bool:
    """Whether there is the folder that a split's files would lie in."""
    return (root / _fixed(_whole(place, pattern))).is_dir()


def _fixed(whole: str) -> PurePosixPath:
    """The folder that all files of a pattern lie in."""
    before, stem, _ = whole.partition(STEM)
    return PurePosixPath(f"{before}x").parent if stem else PurePosixPath(whole)


def check_disjoint(pairs: Mapping[str, Sequence[Pair]]) -> None:
    """Raise ``InputError`` for an image of two splits: what is trained on says nothing as validation."""
    places: dict[Path, str] = {}
    for split, members in pairs.items():
        for pair in members:
            other = places.setdefault(pair.image.resolve(), split)
            if other != split:
                raise InputError(f"{shown(pair.image)}: is in data.{other} and in data.{split}; an image has one split")


def _whole(place: str, pattern: str) -> str:
    """The pattern below the data set's folder."""
    name = place.removesuffix(LIST)
    if SPLIT in pattern:
        return pattern.replace(SPLIT, PurePosixPath(name).name if is_list(place) else name)
    return pattern if is_list(place) else f"{place}/{pattern}"


def _by_stem(root: Path, place: str, pattern: str, suffixes: Sequence[str], pictures: Pictures) -> dict[str, Path]:
    whole = _whole(place, pattern)
    folder = root / _fixed(whole)
    require_folder(folder, whole)
    if STEM not in whole:
        return by_stem(folder, suffixes, pictures.names)
    rule = _rule(whole)
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        match = rule.fullmatch(file.relative_to(root).as_posix())
        if match is None or file.suffix.lower() not in suffixes or file.name.startswith("."):
            continue
        check_name(file)
        stem = spelled(match["stem"], pictures.names)
        if stem in files:
            raise InputError(f"{shown(file)}: has the same stem as {shown(files[stem], 60)}; keep one of them")
        files[stem] = file
    return files


def _rule(pattern: str) -> re.Pattern[str]:
    """What paths match; where the pattern ends without a suffix, any may follow."""
    first, *others = pattern.split(STEM)
    text = re.escape(first) + "(?P<stem>.+?)" + "(?P=stem)".join(map(re.escape, others))
    return re.compile(text + ("" if "." in pattern.rpartition("/")[2] else r"\.\w+"))


def _mask(image: Path, stem: str, masks: Mapping[str, Path], place: str, pattern: str) -> Path:
    if stem not in masks:
        expected = _whole(place, pattern)
        expected = expected.replace(STEM, stem) if STEM in expected else f"{expected}/{stem}.png"
        raise InputError(f"{shown(image)}: has no mask; expected {expected} below data.root")
    return masks[stem]


def _listed(
    root: Path, place: str, images: Mapping[str, Path], masks: Mapping[str, Path], pattern: str
) -> Iterator[Pair]:
    """The pairs that a list names: a stem or an image's path a line, or the paths of an image and its mask."""
    path = root / place
    by_path = {spelled(file.relative_to(root).as_posix()): stem for stem, file in images.items()}
    by_name = {spelled(file.name): stem for stem, file in images.items()}
    seen: set[Path] = set()
    for number, line in enumerate(_lines(path), 1):
        entry = spelled(line.strip())
        if not entry or entry.startswith("#"):
            continue
        stem = next((known for known in (entry, by_path.get(entry), by_name.get(entry)) if known in images), None)
        pair = _two_columns(root, entry) if stem is None else None
        if stem is not None:
            pair = Pair(images[stem], _mask(images[stem], stem, masks, place, pattern))
        if pair is None:
            raise InputError(
                f"{shown(path)}, line {number}: {entry[:60]!r} names no image: a line is a "
                "stem, an image's path below data.root, or the paths of an image and its mask"
            )
        if pair.image in seen:
            raise InputError(f"{shown(path)}, line {number}: {entry[:60]!r} is listed twice; name each image once")
        seen.add(pair.image)
        yield pair


def _two_columns(root: Path, entry: str) -> Pair | None:
    # Between tabs a path may hold spaces.
    parts = [part.strip() for part in entry.split("\t") if part.strip()] if "\t" in entry else entry.split()
    files = [on_disk(root / part) for part in parts]
    return Pair(files[0], files[1]) if len(files) == 2 and all(file.is_file() for file in files) else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise InputError(f"{shown(path)}: cannot be read as a list of files: {reason}") from None
