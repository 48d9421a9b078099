"""The picture files of a folder, grouped by the folders that images or masks of all splits lie in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from autorf.data.names import spelled
from autorf.data.pairs import ARRAY_SUFFIXES, IMAGE_SUFFIXES, MASK_SUFFIXES, OTHER_MASKS
from autorf.survey.words import Role, SplitName, role_of, split_in

PICTURES = (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
MASKS = (*MASK_SUFFIXES, *OTHER_MASKS)

MOST_GROUPS = 60
"""The largest ones are looked at: each is compared with each."""


@dataclass
class FileGroup:
    """Files below one folder, or below the like folders of several splits.

    Attributes:
        pattern: the folder below the root, the split's name written ``{split}``; empty for the root itself.
        role: what the folder's name says that they are.
        spellings: of the splits' names, as the folders have them.
        files: by split (None where the path names none), and by the path below the folder without the suffix.
    """

    pattern: str
    role: Role | None
    spellings: dict[str, str] = field(default_factory=dict)
    files: dict[str | None, dict[str, list[Path]]] = field(default_factory=dict)

    def tailed(self, split: str | None, tail: str, suffixes: Sequence[str]) -> dict[str, Path]:
        """The files of a split whose stems end in ``tail``, by their stems without it."""
        chosen: dict[str, Path] = {}
        for stem, files in self.files.get(split, {}).items():
            if stem.endswith(tail) and len(stem.rpartition("/")[2]) > len(tail):
                usable = [file for file in files if file.suffix.lower() in suffixes]
                # PNG comes first of several: masks are PNG, and of images none is better than another.
                for file in sorted(usable, key=lambda file: file.suffix.lower() != ".png")[:1]:
                    chosen[stem[: len(stem) - len(tail)]] = file
        return chosen

    def others(self, split: str | None, suffixes: Sequence[str], taken: Iterable[Path]) -> list[Path]:
        """Files of a split that are called like one that is taken, but for the suffix."""
        chosen = set(taken)
        return [
            file
            for files in self.files.get(split, {}).values()
            for file in files
            if file not in chosen and file.suffix.lower() in suffixes and chosen.intersection(files)
        ]

    @property
    def all_files(self) -> list[Path]:
        """Every file of it."""
        return [file for stems in self.files.values() for files in stems.values() for file in files]


def picture_files(root: Path) -> list[Path]:
    """Every picture file below a folder, hidden ones and what macOS adds to archives left out."""
    files = (path for path in root.rglob("*") if path.suffix.lower() in PICTURES)
    return sorted(path for path in files if not _is_hidden(path.relative_to(root)) and path.is_file())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def groups_by_words(root: Path, files: Sequence[Path]) -> list[FileGroup]:
    """Files by those parts of their path that name a split or a role; the other folders belong to the stem.

    Folders above the first such part, which all files lie in, stay what they are.
    """
    paths = _below(root, files)
    shared = _shared_folders(list(paths.values()))
    return _grouped(paths, shared, lambda part: role_of(part) is not None or split_in(part) is not None)


def groups_by_folder(root: Path, files: Sequence[Path]) -> list[FileGroup]:
    """Files by the whole folder that they lie in, for names that say nothing."""
    return _grouped(_below(root, files), 0, lambda part: True)


def _below(root: Path, files: Iterable[Path]) -> dict[Path, PurePosixPath]:
    return {file: PurePosixPath(file.relative_to(root).as_posix()) for file in files}


def _shared_folders(paths: Sequence[PurePosixPath]) -> int:
    """How many folders from the root down all files lie in, before one names a split or a role."""
    count = 0
    for parts in zip(*(path.parts[:-1] for path in paths), strict=False):
        if len(set(parts)) > 1 or role_of(parts[0]) is not None or split_in(parts[0]) is not None:
            break
        count += 1
    return count


def _grouped(paths: Mapping[Path, PurePosixPath], shared: int, is_structural: Callable[[str], bool]) -> list[FileGroup]:
    groups: dict[str, FileGroup] = {}
    for file, path in paths.items():
        split: SplitName | None = None
        patterns = list(path.parts[:shared])
        rest: list[str] = []
        for part in path.parts[shared:-1]:
            if not is_structural(part):
                rest.append(part)
                continue
            named = split_in(part)
            split = split or named
            same = named is not None and split is not None and named[:2] == split[:2]
            patterns.append(named.pattern if named is not None and same else part)
        pattern = "/".join(patterns)
        group = groups.setdefault(pattern, FileGroup(pattern, _role(patterns)))
        if split is not None:
            group.spellings.setdefault(split.split, split.spelling)
        stem = spelled("/".join((*rest, path.stem)))
        group.files.setdefault(split.split if split else None, {}).setdefault(stem, []).append(file)
    return sorted(groups.values(), key=lambda group: -len(group.all_files))[:MOST_GROUPS]


def _role(patterns: Sequence[str]) -> Role | None:
    """What the last folder that says something says."""
    roles = [role for pattern in patterns if (role := role_of(pattern)) is not None]
    return roles[-1] if roles else None
