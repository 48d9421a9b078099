"""Every method under default DistributedDataParallel, in one pair of processes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from . import two_processes
from .two_processes import BATCH, METHODS, STEPS

SEARCHING = ("learned", "shared", "together", "searched")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    root = tmp_path_factory.mktemp("pair")
    script = Path(two_processes.__file__)
    pair = [subprocess.Popen([sys.executable, script, root, str(rank)], cwd=script.parents[2]) for rank in range(2)]
    for process in pair:
        process.wait(timeout=300)
    return [torch.load(root / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("method", METHODS)
def test_both_processes_end_with_one_model(method: str, results: list[dict[str, Any]]) -> None:
    first, second = (result[method]["state"] for result in results)
    assert first.keys() == second.keys()
    assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []
    assert results[0][method]["heard"] == results[1][method]["heard"]


@pytest.mark.parametrize("method", SEARCHING)
def test_a_search_hears_both_processes_and_is_over(method: str, results: list[dict[str, Any]]) -> None:
    for phase, steps, images in results[0][method]["heard"]:
        assert phase == "fixed"
        assert steps == STEPS // 2
        if method == "learned":
            assert images == pytest.approx(2 * BATCH * STEPS // 2, rel=1e-3)


@pytest.mark.parametrize("method", ["held", "searched"])
def test_a_factor_that_is_held_or_drawn_is_not_moved_by_the_optimizer(
    method: str, results: list[dict[str, Any]]
) -> None:
    assert results[0][method]["steps"]["2.inflation.factor"] == STEPS // 2
    if method == "held":
        factors = [values["f"] for values in results[0][method]["values"]]
        assert factors[: STEPS // 2 + 1] == [1.0] * (STEPS // 2 + 1)
        assert factors[-1] != 1.0


@pytest.mark.parametrize("case", ["tried out", "later alone"])
def test_a_process_that_is_advanced_alone_ends_in_an_error_soon(case: str, results: list[dict[str, Any]]) -> None:
    assert results[0][case].startswith("refused: advance: another process ")
    assert "was not advanced for 3 s: call autorf.advance(model, step, total_steps) with" in results[0][case]
    assert results[1][case].startswith(("failed: ", "refused: a search goes on that this process"))


def test_the_process_that_stays_out_may_be_the_first(results: list[dict[str, Any]]) -> None:
    assert "was not advanced for 3 s" in results[1]["later the second alone"]
    assert results[0]["later the second alone"].startswith("failed: ")


def test_a_process_is_told_by_the_first_one_s_state_that_it_was_not_advanced(results: list[dict[str, Any]]) -> None:
    assert results[1]["alone"].startswith("refused: a search goes on that this process was not advanced in")
    assert results[0]["alone"].startswith(("failed: ", "refused: advance: another process "))


def test_processes_that_are_advanced_to_different_steps_are_told(results: list[dict[str, Any]]) -> None:
    assert all(result["apart"].startswith(("refused: ", "failed: ")) for result in results)
    assert any("was advanced to another step" in result["apart"] for result in results)


def test_a_sharded_model_that_was_just_evaluated_is_taken_for_one(results: list[dict[str, Any]]) -> None:
    assert [result["sharded"]["parts"] for result in results] == [True, True]
    assert [result["sharded"]["verify"] for result in results] == [(), ()]
    assert [result["sharded"]["written"] for result in results] == [["autorf.json", "model.safetensors"], []]
    assert "shard the one that load returns" in results[0]["sharded"]["load"]


def test_freeze_gathers_a_sharded_model(results: list[dict[str, Any]]) -> None:
    first, second = (result["sharded"]["state"] for result in results)
    assert first.keys() == second.keys()
    assert all(type(value) is torch.Tensor and torch.equal(value, second[name]) for name, value in first.items())
    kinds = results[0]["sharded"]["values"]
    assert "ConstantRegion" in kinds
    assert not any(kind.startswith("FSDP") for kind in kinds)
