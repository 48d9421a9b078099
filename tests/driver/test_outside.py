"""A package of somebody else adds methods, a network, a data set, a figure and an executor, and all commands know."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.outside.package import path_with_theirs

STUDY = {
    "name": "outside",
    "data": {"name": "stripes", "n_images": 12},
    "model": {"name": "plain:6"},
    "search_space": [{"method": "dilation", "rate": [1, 2]}, {"method": "two_rates", "far": 2}, {"method": "doubling"}],
    "training": {"epochs": 2, "batch_size": 4, "lr": 0.01},
    "executor": {"workers": 2},
}


def autorf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": (folder / "path").read_text()}
    command = [sys.executable, "-c", "from autorf.cli.app import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "path").write_text(path_with_theirs(tmp_path / "installed"))
    return tmp_path


def rows_of(folder: Path) -> dict[str, Any]:
    """The last row of each method, as ``compare`` says it."""
    said = autorf(folder, "compare", "outside", "--format", "json").stdout
    return {row["method"]: row for row in json.loads(said)["rows"]}


def test_search_compare_and_report_know_what_another_package_adds(folder: Path) -> None:
    (folder / "outside.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    searched = autorf(folder, "search", "outside.yaml", "--quiet")
    assert searched.returncode == 0, searched.stderr
    rows = rows_of(folder)
    assert {row["state"] for row in rows.values()} == {"complete"}
    assert set(rows) == {"dilation", "two_rates", "doubling"}
    assert rows["doubling"]["f"] != 1.0
    assert rows["two_rates"]["rf"] == [11, 11]
    reported = autorf(folder, "report", "outside")
    assert reported.returncode == 0, reported.stderr
    page = (folder / "runs" / "outside" / "report.html").read_text()
    assert "How often each was tried" in page
    assert "share of the far taps" in page


@pytest.mark.slow
def test_ray_s_workers_know_what_another_package_adds(folder: Path) -> None:
    study = {**STUDY, "search_space": [{"method": "doubling"}], "executor": {"kind": "ray", "workers": 2}}
    (folder / "outside.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    searched = autorf(folder, "search", "outside.yaml", "--quiet", "--set", "training.epochs=1")
    assert searched.returncode == 0, searched.stderr
    assert {(name, row["state"]) for name, row in rows_of(folder).items()} == {
        ("dilation", "complete"),
        ("doubling", "complete"),
    }


def test_another_package_s_executor_runs_a_study(folder: Path) -> None:
    study = {**STUDY, "search_space": [{"method": "dilation", "rate": 1}], "executor": {"kind": "one_by_one"}}
    (folder / "outside.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    searched = autorf(folder, "search", "outside.yaml", "--quiet")
    assert searched.returncode == 0, searched.stderr
    assert (folder / "runs" / "outside" / "one_by_one").exists()
