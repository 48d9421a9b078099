"""Two studies' table says whether they saw the same validation images."""

from typing import Any

import pytest

from autorf.cli.comparison_table import print_comparison
from autorf.comparison import StudyResults, compare_studies
from autorf.comparison.same_images import same_images
from autorf.errors import InputError
from tests.comparison.builder import record, spec

SPLIT = {"n": 4, "images": "i", "masks": "m", "times": "t"}
STRICT = {"extra": "refuse", "frame": None, "grey_palette": "refuse", "low_bits": "refuse"}
BEFORE = {"extra": "drop", "frame": 0, "grey_palette": "level", "low_bits": "pillow"}


def study(name: str, rule: str | None = "content", data: dict[str, Any] | None = None, **val: Any) -> StudyResults:
    """A study of pictures; ``rule`` None for one that remembers no digests."""
    folder = {"name": "folder", "root": "data", "classes": 3, **(data or {})}
    notes = {} if rule is None else {"data": {"rule": rule, "splits": {"val": {**SPLIT, **val}, "train": SPLIT}}}
    records = (record("dilation", 0.5, rate=1),)
    return StudyResults(name, records, records, {**spec(), "data": folder}, notes=notes)


def drawn(name: str) -> StudyResults:
    records = (record("dilation", 0.5, rate=1),)
    return StudyResults(name, records, records, spec())


@pytest.mark.parametrize(
    ("first", "other", "same", "said"),
    [
        (study("a"), study("b"), True, "a and b saw the same validation images: 4, by content."),
        (study("a", "ends"), study("b", "ends", times="u"), True, "4, masks by content, images by size and ends."),
        (study("a"), study("b", masks="n"), False, "a and b did not see the same validation images: their masks"),
        (study("a"), study("b", images="n"), False, "their images differ"),
        (study("a"), study("b", n=5), False, "there are 4 and 5"),
        (study("a"), study("b", "ends", images="n"), None, "known by content in one of them only"),
        (study("a"), study("b", "ends", masks="n"), False, "their masks differ"),
        (study("a"), study("b", None), None, "is not known: of b no digest of the files is stored."),
        (study("a", None), study("b", None), None, "of a and b no digest"),
        (drawn("a"), drawn("b"), True, "they are drawn by the same settings"),
    ],
)
def test_what_is_known_of_two_studies(first: StudyResults, other: StudyResults, same: bool | None, said: str) -> None:
    images = same_images(first, other)
    assert images.same is same
    assert said in images.sentence


def test_the_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(compare_studies([study("a"), study("b")]))
    assert "a and b saw the same validation images: 4, by content." in capsys.readouterr().out


def test_studies_that_saw_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="'a' and 'b' cannot be compared: a and b did not see the same validation"):
        compare_studies([study("a"), study("b", masks="n")])


def test_where_the_images_are_does_not_matter_once_they_are_known() -> None:
    elsewhere = {"root": "moved", "val": "valid"}
    found = compare_studies([study("a"), study("b", data=elsewhere)])
    assert found.validation_images[0].same is True
    assert "a and b differ in data.root (data against moved)" in found.notes
    with pytest.raises(InputError, match=r"their validation images differ: data.root"):
        compare_studies([study("a"), study("b", None, data=elsewhere)])


def test_rules_by_which_files_are_read_alike_leave_the_images_the_same() -> None:
    first, other = study("a", data={"pictures": STRICT}), study("b", data={"pictures": BEFORE})
    assert same_images(first, other).same is True
    assert compare_studies([first, other]).notes == ()


@pytest.mark.parametrize(
    ("rule", "mine", "theirs"),
    [
        ("grey_palette", "level", "index"),
        ("grey_palette", "refuse", "index"),
        ("low_bits", "sample", "level"),
        ("frame", 0, 1),
    ],
)
def test_files_read_by_other_rules_may_be_other_images(rule: str, mine: Any, theirs: Any) -> None:
    first, other = (
        study(name, data={"pictures": {**STRICT, rule: value}}) for name, value in (("a", mine), ("b", theirs))
    )
    images = same_images(first, other)
    assert images.same is None
    assert f"read by other rules: data.pictures.{rule} ({mine} against {theirs})" in images.sentence


def test_the_bounds_of_reading_are_no_difference() -> None:
    large = {"digest_gb": 9, "pictures": {**STRICT, "max_megapixels": 900}}
    assert compare_studies([study("a", data={"pictures": STRICT}), study("b", data=large)]).notes == ()
