import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from autorf.study import builtin

ROOT = Path(__file__).parents[1]
TEXTS = ("*.md", "Makefile", "pyproject.toml", *(f"{part}/**/*.*" for part in (
    "autorf", "benchmarks", "docs", "examples", "search_spaces", "studies", "tests"
)))  # fmt: skip
TEXT_SUFFIXES = ("", ".md", ".py", ".toml", ".yaml", ".j2")
INSTALLS = re.compile(r"(?:pip install|uv add|uv pip install|pipx install)\b[^\n;|)]*?[\s'\"]autorf(?![-\w./])")
"""A line that has a package index hand out ``autorf``, which is another project's name there."""


FOLDERS = {"autorf", "benchmarks", "docs", "examples", "search_spaces", "studies", "tests", ".ci", ".github"}
"""All that the project has; what a run leaves (``runs``, ``mlruns``) is none of it."""


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a source distribution, without git")
def test_nothing_that_a_run_left_is_part_of_the_project() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {name.split("/")[0] for name in listed.split("\0") if "/" in name} <= FOLDERS


def test_the_wheel_ships_studies_search_spaces_and_types_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("studies", "search_spaces"):
        shipped = {Path(name).stem for name in names if name.startswith(f"autorf/_builtin/{kind}/")}
        assert shipped == set(builtin.names(kind))  # type: ignore[arg-type]
    assert "autorf/py.typed" in names
    assert {f"autorf/reporting/templates/report.{kind}" for kind in ("html.j2", "css")} <= set(names)
    assert wheel.name.startswith("autorf_torch-")
    assert {name.split("/")[0].split("-")[0] for name in names} == {"autorf", "autorf_torch"}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("pip install autorf", True),
        ("pip install --upgrade 'autorf[export]'", True),
        ("uv add autorf", True),
        ("pip install 'autorf-torch[export]'", False),
        ("pip install --editable . --group test; autorf search quickstart", False),
    ],
)
def test_an_installation_of_another_projects_package_is_seen(text: str, wrong: bool) -> None:
    assert bool(INSTALLS.search(text)) == wrong


def test_nothing_installs_autorf_which_is_another_projects_name() -> None:
    paths = {path for pattern in TEXTS for path in ROOT.glob(pattern) if path.suffix in TEXT_SUFFIXES}
    assert ROOT / "README.md" in paths
    wrong = [path for path in paths - {Path(__file__)} if INSTALLS.search(path.read_text(encoding="utf-8"))]
    assert wrong == []
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"] == "autorf-torch"


def test_the_module_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "autorf", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "search" in done.stdout
    wrong = subprocess.run([*command[:-1], "serch"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
