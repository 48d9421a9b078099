"""Centres of the contextual loss as a matrix, in the report and on the page of a distillation."""

import math
from pathlib import Path

import torch

from autorf.reporting.centres import centre_figure, centre_table, centres_of
from autorf.reporting.theme import LAYOUTS
from autorf.running.evidence import Evidence, read_evidence, write_evidence
from tests.reporting.conftest import make_evidence

NAN = math.nan
DISTANCES = torch.tensor([[0.0, 3.25, NAN], [3.25, 0.0, NAN], [NAN, NAN, NAN]])


def trained() -> Evidence:
    return make_evidence(class_names=("sky", "road", "tree"), centres=torch.rand(3, 3), centre_distances=DISTANCES)


def test_a_cell_for_each_pair_that_has_centres_and_none_for_a_class_without() -> None:
    for layout in LAYOUTS:
        (axes,) = centre_figure(trained(), layout=layout).axes
        assert len(axes.patches) == 1
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["road", "tree"]
        assert [text.get_text() for text in axes.texts] == ([] if layout.narrow else ["3.25"])


def test_the_table_says_the_same_in_words() -> None:
    table = centre_table({"it": trained()})
    assert [column.title for column in table.columns] == ["class", "sky", "road", "tree", "training"]
    assert table.lines[0].cells[:3] == ("sky", "0", "3.25")
    assert "nan" not in str(table)


def test_centres_that_all_lie_at_one_place_are_drawn_too() -> None:
    (axes,) = centre_figure(make_evidence(class_names=("a", "b"), centre_distances=torch.zeros(2, 2))).axes
    assert len(axes.patches) == 1


def test_a_training_without_the_loss_has_no_section() -> None:
    assert list(centres_of({"it": make_evidence()})) == []
    (section,) = centres_of({"plain": make_evidence(), "with centres": trained()})
    (chart,) = section.blocks
    assert [view.title for view in chart.views] == ["with centres"]  # type: ignore[union-attr]


def test_centres_are_kept_with_the_evidence(tmp_path: Path) -> None:
    evidence = trained()
    write_evidence(tmp_path, evidence)
    read = read_evidence(tmp_path)
    assert read is not None
    assert read.centres is not None
    assert evidence.centres is not None
    assert torch.equal(read.centres, evidence.centres)
    assert torch.equal(read.centre_distances.nan_to_num(-1), DISTANCES.nan_to_num(-1))  # type: ignore[union-attr]
