from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.text import Text

from autorf.comparison import Curve, FieldLine, FieldMap, compare
from autorf.reporting import (
    cost_figure,
    heat_map_figure,
    loss_profile_figure,
    metric_figure,
    pareto_figure,
    trajectory_figure,
)
from autorf.reporting.dumbbells import Dumbbell, dumbbell_figure
from autorf.reporting.pareto import pareto_table
from autorf.reporting.samples import Shown, sample_rows
from autorf.reporting.svg import inline_svg
from autorf.reporting.theme import LAYOUTS, PALETTE, Layout, colour, mark
from autorf.reporting.trajectories import trajectories
from autorf.store.store import Record
from autorf.tracking import images
from tests.reporting.conftest import make_evidence, make_record, make_report_data
from tests.reports import changed, with_steps, with_trace


def test_manual_points_lie_on_a_line_at_their_fields_and_learned_ones_stand_alone(records: list[Record]) -> None:
    axes = metric_figure(compare("s", records)).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_color() == PALETTE["manual"]]
    assert [list(line.get_xdata()) for line in lines] == [[19, 27, 35, 43]]


def test_against_rnorm_the_same_points_lie_at_their_share_of_the_image(records: list[Record]) -> None:
    comparison = compare("s", records)
    places = [
        next(
            list(line.get_xdata())
            for line in metric_figure(comparison, against).axes[0].lines
            if len(line.get_xdata()) > 1
        )
        for against in ("rf", "rnorm")
    ]
    assert places[1] == pytest.approx([side / 48 for side in places[0]])


def test_a_default_that_is_the_best_manual_has_both_names_in_one_label(tmp_path: Path) -> None:
    def labels(best_field: int) -> list[str]:
        records = [make_record(rate, {"method": "dilation", "rate": rate}, best=best_field) for rate in (1, 2)]
        (axes,) = metric_figure(make_report_data(tmp_path / str(best_field), records).comparison).axes
        return [text.get_text() for text in axes.texts if "default" in text.get_text() or "best" in text.get_text()]

    assert labels(best_field=19) == ["best manual, default"]
    assert labels(best_field=27) == ["default", "best manual"]


def test_a_trajectory_has_a_panel_for_each_configuration_and_a_line_for_each_seed(records: list[Record]) -> None:
    found = trajectories(records)
    assert [one.quantity for one in found] == ["f", "dilation", "scale", "dilation"]
    assert {len(one.records) for one in found} == {2}
    figure = trajectory_figure(records)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert [title.split("\n")[0] for title in titles] == [
        "inflation",
        "learned_dilation",
        "scale_adaptive",
        "pixel_adaptive",
    ]


def test_a_single_record_can_be_drawn() -> None:
    assert trajectory_figure([make_record(0, {"method": "inflation", "dilation": 2})]).axes


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_settings_of_many_words_leave_room_for_the_panels(layout: Layout) -> None:
    options = {
        "gradient": "paper",
        "learning_rate_multiplier": 3e5,
        "clip": 2e-4,
        "background_weight": 0.5,
        "fold": True,
    }
    records = [make_record(0, {"method": "inflation", "dilation": rate, **options}) for rate in (4, 6, 16, 18, 20)]
    figure = trajectory_figure(records, layout=layout)
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_title("left")]
    assert len(panels) == 5
    boxes = [axes.get_position() for axes in panels]
    inches = [(box.width * figure.get_figwidth(), box.height * figure.get_figheight()) for box in boxes]
    assert all(width > 2 and height > 1.5 for width, height in inches)
    settings = [text for text in figure.findobj(Text) if text.get_text().startswith("inflation")]
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in settings)
    joined = panels[0].get_title("left").replace("\n", " ")
    assert joined.startswith("inflation dilation 4, gradient paper, learning_rate_multiplier 300000")


def test_the_pareto_front_is_marked(tmp_path: Path) -> None:
    results = [(0.5, 10), (0.6, 20), (0.4, 30)]
    records = [
        make_record(row, {"method": "dilation", "rate": row + 1}, result_miou=miou, result_parameters=size)
        for row, (miou, size) in enumerate(results)
    ]
    comparison = make_report_data(tmp_path, records, search={"objectives": ["miou", "parameters"]}).comparison
    assert [line.mark for line in pareto_table(comparison).lines] == ["front", "front", ""]
    step = max(pareto_figure(comparison).axes[0].lines, key=lambda line: len(line.get_xdata()))
    assert list(step.get_xdata()) == [10, 20]


def test_methods_differ_in_colour_and_in_mark() -> None:
    methods = ("dilation", "inflation", "learned_dilation", "scale_adaptive", "pixel_adaptive")
    assert len({colour(method) for method in methods}) == len({mark(method) for method in methods}) == 5
    assert len(set(PALETTE.values())) == len(PALETTE)


def test_a_tooltip_survives_as_a_title_and_is_escaped(records: list[Record]) -> None:
    drawing = inline_svg(metric_figure(compare("s", records), layout=LAYOUTS[1]), 'a "label" <b>', "narrow")
    assert "<title>dilation (rate 1), 2 seeds" in drawing
    assert "<b>" not in drawing


def test_only_images_that_every_trial_kept_are_set_side_by_side() -> None:
    one, other = make_evidence(), make_evidence(sample_indices=torch.tensor([0, 1, 3]))
    rows = sample_rows([Shown("best manual", one), Shown("best learned", other)], [])
    assert [row.index for row in rows] == [0, 3]
    assert [panel.title for panel in rows[0].panels] == ["image", "truth", "best manual", "best learned"]


def test_a_prediction_is_said_in_words() -> None:
    right = make_evidence(sample_prediction=make_evidence().sample_truth)
    (first, *_) = sample_rows([Shown("best manual", right)], [])
    assert "100.0% of pixels right" in first.panels[2].text


def test_the_fitted_line_lies_under_the_best_cells_where_one_ratio_fits_exactly() -> None:
    line = FieldLine("images", "best", (), 0.2)
    settings, scores = ("rate 1", "rate 2", "rate 3"), ((1, 0, 0), (0, 1, 0))
    found = FieldMap("images", (50, 100), settings, (10, 20, 30), scores, (0, 1), line)
    (axes,) = heat_map_figure(found).axes
    (line,) = axes.lines
    assert list(line.get_xdata()) == [0, 1]
    assert [text.get_fontweight() for text in axes.texts].count("bold") == 2


@pytest.mark.parametrize(("shows", "first", "last"), [("regret", 0.2, 0.0), ("score", 0.3, 0.5)])
def test_the_cost_curve_is_drawn_as_regret_or_as_score(shows: str, first: float, last: float) -> None:
    points = ({"seconds": 60.0, "score": 0.3, "regret": 0.2}, {"seconds": 600.0, "score": 0.5, "regret": 0.0})
    comparison = replace(compare("s", []), curves=(Curve("manual", "as run", points),))
    (line,) = cost_figure(comparison, shows).axes[0].lines
    assert list(line.get_xdata()) == [1, 10]
    assert list(line.get_ydata()) == [first, last]


def test_a_search_is_shaded_by_its_window_and_its_profile_stands_above_the_grid() -> None:
    trace = {
        "steps_per_epoch": 4, "step": [0, 1, 2, 3], "dilation": [4.0, 2.0, 2.0, 2.0], "rates": [1, 2, 4],
        "window": [[0.3, 0.4, 0.3]] * 3, "profiles": [[0.0, -0.1, 0.2]],
    }  # fmt: skip
    learned = make_record(9, {"method": "learned_dilation", "start": 4.0})
    learned = with_trace(learned, trace)
    grid = [make_record(rate, {"method": "dilation", "rate": rate}) for rate in (1, 2, 4)]
    (panel, _) = trajectory_figure([learned, *grid]).axes
    assert [mesh.get_array().shape for mesh in panel.collections] == [(3, 3)]
    assert list(panel.lines[0].get_xdata()) == [0.0, 0.25, 0.5, 0.75, 2.0]
    profile, manual = loss_profile_figure([learned, *grid]).axes
    assert list(profile.lines[0].get_ydata()) == pytest.approx([0.1, 0.0, 0.3])
    assert list(manual.lines[0].get_xdata()) == [1, 2, 4]
    assert not profile.texts


def test_a_trajectory_is_drawn_in_optimizer_steps_wherever_they_were_counted() -> None:
    trace = {
        "steps_per_epoch": 4, "step": [0, 2], "dilation": [4.0, 2.0], "rates": [1, 2, 4],
        "window": [[0.3, 0.4, 0.3]] * 2, "profiles": [[0.0, -0.1, 0.2]],
    }  # fmt: skip
    searched = with_trace(make_record(0, {"method": "learned_dilation", "start": 4.0}), trace)
    # Of a loop of one's own, which reports when it likes.
    reported = make_record(1, {"method": "inflation", "dilation": 2})
    counted = [with_steps(searched, 4, 8), with_steps(reported, 30, 37)]
    figure = trajectory_figure(counted)
    panels = [axes for axes in figure.axes if axes.get_title("left")]
    assert {axes.get_xlabel() for axes in panels} == {"optimizer steps"}
    assert [list(axes.lines[0].get_xdata()) for axes in panels] == [[0, 2, 8], [0, 30, 37]]
    assert images.trajectory(counted[1]).axes[0].get_xlabel() == "optimizer steps"
    # One row of an earlier version, and all are drawn by the number of the report.
    mixed = trajectory_figure([counted[0], reported])
    assert {axes.get_xlabel() for axes in mixed.axes if axes.get_title("left")} == {"epoch"}
    assert [list(axes.lines[0].get_xdata()) for axes in mixed.axes if axes.get_title("left")] == [
        [0, 0.5, 2],
        [0, 1, 2],
    ]


def test_every_layer_that_searches_has_a_profile_of_its_own_with_its_number() -> None:
    trace = {
        "steps_per_epoch": 4, "step": [0, 1], "dilation": [4.0, 2.0], "rates": [1, 2, 4],
        "window": [[0.3, 0.4, 0.3]] * 2, "profiles": [[0.0, -0.1, 0.2], [0.0, 0.5, None]],
    }  # fmt: skip
    record = make_record(0, {"method": "learned_dilation", "start": 4.0})
    record = with_trace(record, trace)
    (axes,) = loss_profile_figure([record]).axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2, 4], [1, 2]]
    assert list(axes.lines[1].get_ydata()) == pytest.approx([0.0, 0.5])
    assert [text.get_text() for text in axes.texts] == ["1", "2"]


def test_every_branch_has_a_line_of_its_own_with_its_number() -> None:
    record = make_record(0, {"method": "inflation", "dilation": 2})
    values = [(report, report.learned["f"]) for report in record.history]
    history = [changed(report, **{"f.1": f - 0.5, "f.2": f + 0.5}) for report, f in values]
    record = replace(record, history=tuple(history))
    (panel, _) = trajectory_figure([record]).axes
    assert [list(line.get_ydata())[-1] for line in panel.lines] == pytest.approx([0.6, 1.6])
    assert [text.get_text() for text in panel.texts] == ["1", "2"]
    mirrored = images.trajectory(record)
    assert mirrored is not None
    assert [line.get_label() for line in mirrored.axes[0].lines] == ["f.1", "f.2"]


def test_networks_and_studies_are_never_joined_by_one_line(tmp_path: Path) -> None:
    rates = (1, 2, 3)
    small = [make_record(rate, {"method": "dilation", "rate": rate}) for rate in rates]
    large = [make_record(9 * rate, {"method": "dilation", "rate": rate, "model.dilation": 2}) for rate in rates]
    (axes,) = metric_figure(make_report_data(tmp_path, [*small, *large]).comparison).axes
    assert sorted(len(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) > 1) == [2, 3, 3]


def test_how_many_objects_a_size_has_stands_beside_its_bar() -> None:
    sizes = [Dumbbell("8 to 16 px", {"best manual": 0.5}, None, None, (("objects", "1,387"),))]
    (axes,) = dumbbell_figure(sizes, {"best manual": "dilation"}, "share").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["8 to 16 px\n1,387 objects"]
