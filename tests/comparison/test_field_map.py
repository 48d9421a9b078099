from pathlib import Path

import pytest
import torch

from autorf.comparison import FieldMap, compare_studies, object_map, study_map
from autorf.comparison.breakdown import EvidenceOf
from autorf.running.evidence import write_evidence
from tests.reporting.conftest import make_evidence, make_record, make_results

SMALL, LARGE = 10, 30


def objects(small_hits: int, large_hits: int, count: int = 5) -> torch.Tensor:
    """``count`` objects of 10 and of 30 pixels of class 1, and a background."""
    lines = [[0, 1, SMALL**2, small_hits], [1, 1, LARGE**2, large_hits]] * count + [[0, 0, 2000, 2000]]
    return torch.tensor(lines, dtype=torch.int32)


def mapped(folder: Path, hits: dict[int, tuple[int, int]], count: int = 5) -> FieldMap | None:
    """The map of a grid whose dilations hit so many pixels of a small and of a large object."""
    records = [make_record(rate, {"method": "dilation", "rate": rate}) for rate in hits]
    for record in records:
        found = objects(*hits[record.configuration["rate"]], count)
        scales = torch.full((len(found),), float("nan"))
        write_evidence(folder / "trials" / record.key, make_evidence(objects=found, object_scales=scales))
    study = make_results(folder, records)
    comparison = compare_studies([study])
    return object_map(comparison.groups, EvidenceOf([study], comparison.rows))


def test_small_objects_are_best_seen_by_small_fields_and_one_ratio_fits(tmp_path: Path) -> None:
    found = mapped(tmp_path, {1: (80, 300), 2: (90, 450), 4: (60, 810), 6: (20, 600)})
    assert found is not None
    assert found.sizes == (SMALL, LARGE)
    assert found.fields == (19, 27, 43, 59)
    assert [found.fields[at] for at in found.best] == [27, 43]
    assert found.scores[0] == pytest.approx((0.8, 0.9, 0.6, 0.2))
    assert found.ratio == pytest.approx((SMALL * 27 + LARGE * 43) / (SMALL**2 + LARGE**2))


def test_best_fields_at_the_ends_of_the_grid_give_no_ratio_but_a_caution(tmp_path: Path) -> None:
    found = mapped(tmp_path, {1: (90, 450), 2: (60, 600), 4: (20, 810)})
    assert found is not None
    assert [found.fields[at] for at in found.best] == [19, 43]
    assert found.ratio is None
    assert "(43 px) is the largest of the grid" in found.line.text
    assert "(19 px) is the smallest of the grid" in found.line.text


def test_too_few_objects_or_dilations_give_no_map(tmp_path: Path) -> None:
    hits = {1: (90, 450), 2: (60, 600), 4: (20, 810)}
    assert mapped(tmp_path / "few objects", hits, count=4) is None
    assert mapped(tmp_path / "few dilations", {1: hits[1], 2: hits[2]}) is None


def test_a_dilation_that_one_study_lacks_is_an_empty_cell(tmp_path: Path) -> None:
    rates = {"a": (1, 2, 3), "b": (1, 2, 3, 4)}
    groups = [
        group
        for name, grid in rates.items()
        for group in compare_studies(
            [make_results(tmp_path, [make_record(r, {"method": "dilation", "rate": r}) for r in grid], name=name)]
        ).groups
    ]
    found = study_map({"a": 48, "b": 96}, groups, "images")
    assert found is not None
    assert found.scores[0][3] is None
    assert found.scores[1][3] is not None
    assert study_map({"a": 48, "b": 48}, groups, "images") is None


def test_a_column_is_named_by_the_field_and_not_by_the_image_size_that_all_share(tmp_path: Path) -> None:
    records = [
        make_record(rate, {"method": "dilation", "rate": rate, "data.image_size": [64, 64]}) for rate in (1, 2, 4)
    ]
    for record in records:
        found = objects(90, 600)
        scales = torch.full((len(found),), float("nan"))
        write_evidence(tmp_path / "trials" / record.key, make_evidence(objects=found, object_scales=scales))
    study = make_results(tmp_path, records)
    comparison = compare_studies([study])
    map = object_map(comparison.groups, EvidenceOf([study], comparison.rows))
    assert map is not None
    assert map.settings == ("rate 1", "rate 2", "rate 4")


def test_objects_are_told_apart_by_the_mask_and_measured_in_pixels_of_the_image(tmp_path: Path) -> None:
    records = [make_record(rate, {"method": "dilation", "rate": rate}) for rate in (1, 2, 4)]
    for record in records:
        found = objects(90, 600)
        evidence = make_evidence(
            objects=found, object_scales=torch.full((len(found),), float("nan")), image_scales=torch.full((4,), 0.5)
        )
        write_evidence(tmp_path / "trials" / record.key, evidence)
    study = make_results(tmp_path, records)
    comparison = compare_studies([study])
    map = object_map(comparison.groups, EvidenceOf([study], comparison.rows))
    assert map is not None
    assert map.sizes == (SMALL / 2, LARGE / 2)
