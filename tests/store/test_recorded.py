"""Trainings of others are taken in as they are, checked, and compared as if autorf had run them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import autorf
from autorf.errors import InputError
from tests.cli.conftest import Shell, shell  # noqa: F401

CLASSES = ("background", "road")
LABELLED = np.array([[400, 100], [350, 150], [300, 200], [450, 50]])


FACTS: dict[str, Any] = {"steps": 5, "seconds": 2.0, "rf": 19, "image_size": 96}


def confusions(share: float, seed: int = 0) -> np.ndarray:
    """Four images, of whose road about ``share`` is predicted right, all of the background."""
    shares = np.clip(share + np.random.default_rng(seed).normal(0, 0.02, len(LABELLED)), 0, 1)
    right = np.round(LABELLED[:, 1] * shares).astype(int)
    counts = np.zeros((len(LABELLED), 2, 2), dtype=np.int64)
    counts[:, 0, 0], counts[:, 1, 1], counts[:, 1, 0] = LABELLED[:, 0], right, LABELLED[:, 1] - right
    return counts


def whole_study(root: Path, name: str = "mine") -> None:
    for seed in (0, 1, 2):
        for rate, share in ((1, 0.5), (2, 0.7), (4, 0.6)):
            method = autorf.Dilation(rate=rate)
            autorf.record(
                name, method, seed, confusions(share, seed), steps=500, seconds=30.0, device="cpu", rf=11.0 + 8 * rate,
                classes=CLASSES, image_size=(96, 128), root=root,
            )  # fmt: skip
        autorf.record(
            name, autorf.LearnedDilation(), seed, confusions(0.9, seed), steps=500, seconds=45.0, device="cpu", rf=35,
            learned={"dilation": 3.0}, classes=CLASSES, image_size=(96, 128), root=root,
        )  # fmt: skip


def test_a_recorded_study_is_compared_as_one_that_autorf_ran(tmp_path: Path) -> None:
    whole_study(tmp_path)
    comparison = autorf.compare("mine", root=tmp_path)
    (best,) = (group for group in comparison.groups if group.method == "learned_dilation")
    assert best.n == 3
    by_hand = [autorf.compare("mine", root=tmp_path).rows[at].miou for at in range(12)]
    assert best.miou_mean == pytest.approx(np.mean(sorted(by_hand)[-3:]))
    assert best.ci95_images is not None
    assert comparison.verdict.difference > 0
    assert comparison.verdict.equal_steps is not None
    assert comparison.recommendation is not None
    row = comparison.rows[0]
    assert (row.rf, row.rnorm, row.steps, row.device, row.image_size) == ([19, 19], 19 / 96, 500, "cpu", [96, 128])


def test_its_scores_are_those_of_the_pooled_confusions(tmp_path: Path) -> None:
    counts = confusions(0.7)
    autorf.record("mine", autorf.Dilation(rate=1), 0, torch.tensor(counts), **FACTS, root=tmp_path)
    pooled = counts.sum(0)
    iou = [pooled[c, c] / (pooled[c].sum() + pooled[:, c].sum() - pooled[c, c]) for c in (0, 1)]
    (row,) = autorf.compare("mine", root=tmp_path).rows
    assert row.miou == pytest.approx(np.mean(iou))
    assert row.pixel_accuracy == pytest.approx(np.trace(pooled) / pooled.sum())


def test_the_figures_are_a_data_frame_and_the_report_a_file(tmp_path: Path) -> None:
    whole_study(tmp_path)
    comparison = autorf.compare("mine", root=tmp_path)
    groups, rows = comparison.frame(), comparison.frame("rows")
    assert len(groups) == 4
    assert len(rows) == 12
    assert groups.loc[0, "miou_mean"] == comparison.groups[0].miou_mean
    assert set(rows["seed"]) == {0, 1, 2}
    with pytest.raises(InputError, match="groups or rows"):
        comparison.frame("trials")  # type: ignore[arg-type]
    page = autorf.report("mine", root=tmp_path)
    assert page == tmp_path / "mine" / "report.html"
    assert "learned_dilation" in page.read_text()
    autorf.report("mine", root=tmp_path, output=tmp_path / "page.html")
    with pytest.raises(InputError, match="exists"):
        autorf.report("mine", root=tmp_path, output=tmp_path / "page.html")


def test_the_commands_show_a_recorded_study_too(shell: Shell) -> None:  # noqa: F811
    whole_study(shell.folder / "runs")
    assert "learned_dilation" in shell.run("compare", "mine").out
    assert shell.run("report", "mine").code == 0
    assert "mine" in shell.run("studies").out
    assert "recorded" in shell.refused("retrain", "mine")
    assert "recorded" in shell.refused("export", "mine")


def test_the_same_result_once_more_changes_nothing_and_another_one_is_refused(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {**FACTS, "root": tmp_path}
    method = autorf.Dilation(rate=1)
    key = autorf.record("mine", method, 0, confusions(0.7), **arguments)
    assert autorf.record("mine", method, 0, confusions(0.7), **arguments) == key
    assert len(autorf.compare("mine", root=tmp_path).rows) == 1
    with pytest.raises(InputError, match=r"dilation \(rate 1\) seed 0 is recorded already, with other confusions"):
        autorf.record("mine", method, 0, confusions(0.6), **arguments)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.zeros((2, 3, 4)), r"\(n_images, C, C\), \[image, truth, predicted\], got shape \(2, 3, 4\)"),
        (np.zeros((3, 3, 8)), r"got shape \(3, 3, 8\)"),
        (np.eye(3), r"give confusions\[None\]"),
        (np.zeros((0, 3, 3)), "got shape"),
        (np.full((2, 2, 2), 0.25), "whole, and not below 0; not shares"),
        (np.full((2, 2, 2), -1), "not below 0"),
        (np.full((2, 2, 2), np.nan), "no numbers"),
        (np.zeros((2, 2, 2)), "no labelled pixel"),
        ("many", "must be numbers"),
        (None, "must be numbers"),
    ],
)
def test_confusions_of_another_shape_or_kind_are_refused_and_leave_nothing(
    counts: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        autorf.record("mine", autorf.Dilation(rate=1), 0, counts, **FACTS, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_swapped_axes_and_other_images_are_seen_by_the_truth_of_the_earlier_trials(tmp_path: Path) -> None:
    autorf.record("mine", autorf.Dilation(rate=1), 0, confusions(0.7), **FACTS, root=tmp_path)
    other = autorf.Dilation(rate=2)
    with pytest.raises(InputError, match="truth and predicted swapped"):
        autorf.record("mine", other, 0, confusions(0.6).transpose(0, 2, 1), **FACTS, root=tmp_path)
    with pytest.raises(InputError, match="image 0 has other labels"):
        autorf.record("mine", other, 0, confusions(0.6)[::-1].copy(), **FACTS, root=tmp_path)
    with pytest.raises(InputError, match="was recorded with data"):
        autorf.record("mine", other, 0, confusions(0.6)[:2], **FACTS, root=tmp_path)
    with pytest.raises(InputError, match="was recorded with search"):
        autorf.record("mine", other, 0, confusions(0.6), **FACTS, metric="f1", root=tmp_path)
    assert len(autorf.compare("mine", root=tmp_path).rows) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"steps": 0}, "steps must be a whole number from 1"),
        ({"seed": -1}, "seed must be"),
        ({"method": "dilation"}, r"one such as autorf.Dilation\(rate=3\)"),
        ({"metric": "iou"}, "one of miou, f1, pixel_accuracy"),
        ({"rf": (1, 2, 3)}, "rf must be"),
        ({"rf": 0}, "rf must be positive"),
        ({"image_size": "large"}, "image_size must be"),
        ({"classes": ["a"]}, "have 2 classes"),
        ({"classes": "ab"}, "a list of names"),
        ({"seconds": -1.0}, "seconds must be positive"),
        ({"study": "a/b"}, "a study's name becomes a folder"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    given = {"study": "mine", "method": autorf.Dilation(rate=1), "seed": 0, **FACTS, **arguments}
    with pytest.raises(InputError, match=said):
        autorf.record(confusions=confusions(0.7), root=tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_autorf_trains_takes_no_recorded_trials(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained[0], tmp_path / "runs")
    with pytest.raises(InputError, match="one that autorf trains"):
        autorf.record("tiny", autorf.Dilation(rate=1), 0, confusions(0.7), **FACTS, root=tmp_path / "runs")


def test_a_record_that_was_cut_off_is_finished_by_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autorf.running import confusions as confusions_module

    def cut_off(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(confusions_module, "write_evidence", cut_off)
        with pytest.raises(KeyboardInterrupt):
            autorf.record("mine", autorf.Dilation(rate=1), 0, confusions(0.7), **FACTS, root=tmp_path)
    autorf.record("mine", autorf.Dilation(rate=1), 0, confusions(0.7), **FACTS, root=tmp_path)
    (row,) = autorf.compare("mine", root=tmp_path).rows
    assert (row.state, row.seed) == ("complete", 0)


@pytest.mark.parametrize("names", [("mine", "mine"), ("",), ("nowhere",)])
def test_what_cannot_be_compared_is_one_line(names: tuple[str, ...], tmp_path: Path) -> None:
    whole_study(tmp_path)
    for function in (autorf.compare, autorf.report):
        with pytest.raises(InputError):
            function(*names, root=tmp_path)
