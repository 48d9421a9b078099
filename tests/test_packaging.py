import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from autorf.study import builtin

ROOT = Path(__file__).parents[1]
TEXTS = ("*", *(f"{part}/**/*" for part in (
    ".ci", ".github", "autorf", "benchmarks", "docs", "examples", "search_spaces", "studies", "tests"
)))  # fmt: skip
TEXT_SUFFIXES = (".cff", ".css", ".ipynb", ".j2", ".json", ".md", ".py", ".toml", ".yaml", ".yml")
TEXT_NAMES = ("Makefile", "run")
INSTALLS = re.compile(
    r"(?:pip3? install|pip3? download|uv add|uv pip install|uv tool install|uvx|pipx install|pipx run|poetry add|"
    r"pdm add|conda install)\b(?:[^\n;|)]*?[\s'\"]|\s+)autorf(?!\.?\w|[-/])"
)
"""A line that has a package index hand out ``autorf``, which is another project's name there."""

EXTRAS = re.compile(r"autorf-torch\[([\w, -]+)\]")
"""What a hint asks of this project's own package."""

JOINED = re.compile(r"""["']\s*\n\s*f?["']""")
"""Where Python goes on with a text on the next line."""


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
        ("Install it: pip install autorf.", True),
        ("!pip3 install -q autorf==0.1", True),
        ('"source": ["%pip install \\"autorf[hf]\\""]', True),
        ("first pip install\n    autorf, then", True),
        ('raise InputError("needs the extra: pip install "\n    "\'autorf[hf]\'")', True),
        ("uvx autorf search quickstart", True),
        ("pip install 'autorf-torch[export]'", False),
        ("pip install dist/autorf_torch-0.1.whl", False),
        ("pip install ./autorf", False),
        ("pip install --editable . --group test; autorf search quickstart", False),
    ],
)
def test_an_installation_of_another_projects_package_is_seen(text: str, wrong: bool) -> None:
    assert installs_another_package(text) == wrong


def installs_another_package(text: str) -> bool:
    return INSTALLS.search(JOINED.sub("", text)) is not None


def texts() -> dict[Path, str]:
    """All that is to be read in the project, by its file; this one holds what is wrong on purpose."""
    paths = {
        path
        for pattern in TEXTS
        for path in ROOT.glob(pattern)
        if path.is_file() and (path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES)
    }
    return {path: path.read_text(encoding="utf-8") for path in paths - {Path(__file__)}}


def test_nothing_installs_autorf_which_is_another_projects_name() -> None:
    read = texts()
    assert {
        ROOT / name for name in ("README.md", "examples/first_steps.ipynb", "mkdocs.yml", "autorf/errors.py")
    } <= set(read)
    assert [path for path, text in read.items() if installs_another_package(text)] == []
    assert project()["name"] == "autorf-torch"


def test_every_extra_that_a_hint_names_is_one() -> None:
    named = {
        extra.strip() for text in texts().values() for extras in EXTRAS.findall(text) for extra in extras.split(",")
    }
    assert {"hf", "export"} <= named
    assert named <= set(project()["optional-dependencies"])


def project() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


def test_the_module_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "autorf", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "search" in done.stdout
    wrong = subprocess.run([*command[:-1], "serch"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
