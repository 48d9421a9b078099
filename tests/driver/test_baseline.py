"""Training ``only`` a method's own parameters on a trained baseline, which is a row of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from autorf.cli.comparison_table import print_comparison
from autorf.comparison import compare_studies
from autorf.comparison.results import results_of
from autorf.data import load
from autorf.deployment.retrain import Options, retrain
from autorf.driver.plan import plan
from autorf.driver.search import search
from autorf.errors import InputError
from autorf.networks import build
from autorf.reporting import report_page
from autorf.store.store import open_store
from autorf.study.spec import StudySpec, parse_study
from autorf.training.module import SegmentationModule
from tests.tiny import TINY

ONLY = {"method": "scale_adaptive", "only": True, "learning_rate_multiplier": 10.0}
SPACES = [{"method": "dilation", "rate": [1]}, ONLY, {"method": "scale_adaptive"}]


def study(weights: Path | None, spaces: list[dict[str, Any]] | None = None, **parts: Any) -> StudySpec:
    model = {**TINY["model"], **({} if weights is None else {"weights": str(weights)})}
    training = {**TINY["training"], "seeds": [0, 1]}
    return parse_study({**TINY, "model": model, "search_space": spaces or SPACES, "training": training, **parts}, "f")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline that was trained for a few steps."""
    spec = parse_study(TINY, "f")
    torch.manual_seed(0)
    splits = load(spec.data)
    model = build(spec.model, splits.class_names)
    trained = SegmentationModule(model, spec.training, splits)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    for step in range(12):
        optimizer.zero_grad()
        trained.training_step(splits.train.tensors(list(range(4 * (step % 6), 4 * (step % 6) + 16))), 0).backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("baseline") / "baseline.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def searched(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a finished study of it, run by worker processes and mirrored."""
    root = tmp_path_factory.mktemp("only")
    search(study(weights), "f", root, quiet=True)
    return root


def rows(root: Path) -> list[dict[str, Any]]:
    comparison = json.loads(compare_studies([results_of(open_store(root, "tiny"))]).to_json())
    listed: list[dict[str, Any]] = comparison["rows"]
    return listed


def tensors_of(root: Path, row: dict[str, Any]) -> dict[str, Tensor]:
    return load_file(root / "tiny" / "trials" / row["key"] / "model.safetensors")


def test_no_tensor_of_the_baseline_changes_by_a_bit_in_any_trial(weights: Path, searched: Path) -> None:
    """Zhang et al. 2017, section 4.1: the residual network's parameters are fixed, the regressors alone learn."""
    baseline = load_file(weights)
    assert any(name.endswith("running_mean") for name in baseline)
    only = [row for row in rows(searched) if row["params"].get("only")]
    assert [(row["state"], row["seed"], row["steps"]) for row in only] == [("complete", 0, 6), ("complete", 1, 6)]
    for row in only:
        tensors = tensors_of(searched, row)
        assert [name for name, value in baseline.items() if not torch.equal(tensors[name], value)] == []
        assert row["scale"] != 1
        assert not torch.equal(tensors["head.conv6.scale_bias"], torch.ones(1))
    trained = [row for row in rows(searched) if row["method"] == "scale_adaptive" and not row["params"]]
    assert not torch.equal(tensors_of(searched, trained[0])["head.conv7.weight"], baseline["head.conv7.weight"])


def test_the_untouched_checkpoint_is_a_row_that_is_measured_once_and_chosen_by_nobody(
    weights: Path, searched: Path
) -> None:
    listed = rows(searched)
    (row,) = [row for row in listed if row["method"] == "baseline"]
    assert listed.index(row) == 1
    assert (row["state"], row["steps"], row["epochs"], row["seed"]) == ("complete", 0, 0, 0)
    baseline, tensors = load_file(weights), tensors_of(searched, row)
    assert all(torch.equal(tensors[name], value) for name, value in baseline.items())
    spec = parse_study(TINY, "f")
    splits = load(spec.data)
    measured = build(study(weights).model, splits.class_names).eval()
    image, mask = splits.val.tensors(list(range(len(splits.val))))
    with torch.no_grad():
        right = (measured(image).argmax(1) == mask).float().mean().item()
    assert row["pixel_accuracy"] == pytest.approx(right, abs=1e-6)
    comparison = compare_studies([results_of(open_store(searched, "tiny"))])
    assert comparison.named[0].name == "baseline"
    assert comparison.named[0].group is not None
    assert not comparison.named[0].group.searched
    chosen = (comparison.verdict.best_manual, comparison.verdict.best_learned)
    assert [best["method"] for best in chosen if best] == ["dilation", "scale_adaptive"]
    assert {curve.way for curve in comparison.curves} == {"manual", "learned", "all"}
    assert {cost.way: cost.trials for cost in comparison.costs}["learned"] == 4


def test_the_table_the_report_and_the_rows_show_the_baseline_and_the_learned_scale(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study_results = results_of(open_store(searched, "tiny"))
    print_comparison(compare_studies([study_results]))
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert any(line.strip().startswith("baseline") and "untouched checkpoint" in line for line in lines)
    assert any("no search" in line and "baseline" in line and "learned" in line for line in lines)
    header = next(line for line in lines if "method" in line)
    assert "scale" in header
    page = report_page([study_results])
    assert "baseline (untouched checkpoint)" in page
    assert "<th>scale" in page or "scale</th>" in page or ">scale<" in page


def test_a_study_that_trains_only_a_methods_own_needs_a_trained_baseline(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f: scale_adaptive \(.*only True\): needs model\.weights") as caught:
        plan(study(None), "f", tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"baseline \(untouched checkpoint\): needs model\.weights"):
        plan(study(None, [{"method": "dilation", "rate": [1]}, {"method": "baseline"}]), "f", tmp_path)


@pytest.mark.parametrize("method", ["pixel_adaptive", "inflation", "learned_dilation", "dilation"])
def test_only_with_a_method_that_has_no_such_mode_is_refused(weights: Path, method: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"search_space\.0: .*only: unknown key") as caught:
        plan(study(weights, [{"method": method, "only": True}]), "f", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_baseline_can_be_asked_for_and_is_neither_drawn_nor_retrained(weights: Path, tmp_path: Path) -> None:
    spaces = [{"method": "dilation", "rate": [1, 2]}, {"method": "baseline"}]
    planned = plan(study(weights, spaces), "f", tmp_path)
    assert [trial.method.method for trial in planned.trials] == ["dilation", "baseline", "dilation", "dilation"] + [
        "dilation"
    ] * (len(planned.trials) - 4)
    drawn = plan(study(weights, spaces, search={"sampler": "random", "budget": {"trials": 8}}), "f", tmp_path)
    assert [space.method for space in drawn.spaces] == ["dilation"]
    assert drawn.baseline is not None


def test_retraining_the_baseline_is_refused(searched: Path) -> None:
    (row,) = [row for row in rows(searched) if row["method"] == "baseline"]
    with pytest.raises(InputError, match=r"is model\.weights as it is; there is nothing to retrain"):
        retrain(searched, "tiny", Options(trial=row["key"]), quiet=True)
