"""Whether two studies saw the same validation images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autorf.store.images import summary_in

if TYPE_CHECKING:
    from autorf.comparison.results import StudyResults

GENERATED = ("digits", "digit_classes")
"""Data sets that are drawn: the same settings give the same images."""

PLACES = ("root", "train", "val", "test", "images", "masks", "val_fraction")
"""Settings that say where images are; where it is known which these are, they do not matter."""

_BY = {"content": "by content", "ends": "masks by content, images by size and ends"}


@dataclass(frozen=True)
class SameImages:
    """Two studies' validation splits.

    Attributes:
        study: the later one.
        against: the first one.
        same: None where it is not known.
        sentence: the same in words, with the reason.
    """

    study: str
    against: str
    same: bool | None
    sentence: str


def same_images(first: "StudyResults", other: "StudyResults") -> SameImages:
    """Compare what two studies know of their validation images."""
    both = f"{first.name} and {other.name}"
    mine, theirs = _split(first, "val"), _split(other, "val")
    if mine is None or theirs is None:
        same, reason = _without_digests(first, other)
    else:
        same, reason = _by_digests(mine, theirs)
    rules = _reading_rules(first, other)
    if same and rules:
        same, reason = None, f"the files are the same, but are read by other rules: {'; '.join(rules)}"
    if same is None:
        sentence = f"Whether {both} saw the same validation images is not known: {reason}."
    else:
        sentence = f"{both} {'saw' if same else 'did not see'} the same validation images: {reason}."
    return SameImages(other.name, first.name, same, sentence)


def trained_on_others(first: "StudyResults", other: "StudyResults") -> bool:
    """Whether two studies are known to have other training images."""
    mine, theirs = _split(first, "train"), _split(other, "train")
    if mine is None or theirs is None or mine["rule"] != theirs["rule"]:
        return False
    return any(mine[name] != theirs[name] for name in ("n", "images", "masks"))


def _split(study: "StudyResults", split: str) -> Mapping[str, Any] | None:
    """What the study remembers of a split, and by which rule."""
    summary = summary_in(study.notes)
    if summary is None or split not in summary["splits"]:
        return None
    return {**summary["splits"][split], "rule": summary["rule"]}


def _without_digests(first: "StudyResults", other: "StudyResults") -> tuple[bool | None, str]:
    if all(study.part("data").get("name") in GENERATED for study in (first, other)):
        return True, "they are drawn by the same settings"
    names = " and ".join(study.name for study in (first, other) if _split(study, "val") is None)
    return None, f"of {names} no digest of the files is stored"


def _by_digests(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[bool | None, str]:
    if mine["n"] != theirs["n"]:
        return False, f"there are {mine['n']} and {theirs['n']}"
    if mine["masks"] != theirs["masks"]:
        return False, "their masks differ"
    if mine["rule"] != theirs["rule"]:
        return None, "the masks are, but the images are known by content in one of them only (data.digest_gb)"
    if mine["images"] != theirs["images"]:
        return False, "their images differ"
    return True, f"{mine['n']}, {_BY[mine['rule']]}"


def _reading_rules(first: "StudyResults", other: "StudyResults") -> list[str]:
    """By which rules two studies may have read other classes or colours in the same files."""
    mine, theirs = (study.part("data").get("pictures") or {} for study in (first, other))
    names = ("grey_palette", "low_bits", "frame") if mine and theirs else ()
    return [
        f"data.pictures.{name} ({mine.get(name)} against {theirs.get(name)})"
        for name in names
        if not _reads_alike(name, mine.get(name), theirs.get(name))
    ]


def _reads_alike(name: str, mine: Any, theirs: Any) -> bool:
    """Whether two rules that both accepted a file have read the same in it."""
    strict = {"frame": None, "low_bits": "refuse"}
    is_strict = name in strict and strict[name] in (mine, theirs)
    return mine == theirs or is_strict or {mine, theirs} == {"refuse", "level"}
