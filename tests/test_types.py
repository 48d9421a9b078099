"""What type checkers tell a user: examples and README are right, wrong calls are refused where they are wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import autorf

ROOT = Path(__file__).parents[1]

RIGHT = """\
import torch

import autorf

model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 2, 3, padding=1))
listed: autorf.Dilation = autorf.Dilation(rate=2, targets=["0", ".1"])
autorf.Dilation(rate=None, targets=("0",))
autorf.LearnedDilation(rates=[1, 2, 4], start=2, targets="0")
autorf.PixelAdaptive(rates=(1, 2))
adapted: torch.nn.Module = autorf.adapt(model, listed)
height, width = autorf.receptive_field(adapted, 64).size
both: float = height + width
"""

WRONG = {
    'autorf.Dilation(rate="x")': "rate",
    "autorf.Dilation(rates=2)": "rates",
    "autorf.LearnedDilation(startt=4)": "startt",
    "autorf.LearnedDilation(rates=4)": "rates",
    "autorf.Inflation(factor=None)": "factor",
    'autorf.receptive_field(model, "big")': "receptive_field",
    "autorf.receptive_field(model, (64, 64)).sizes": "sizes",
    "autorf.adapt(model)": "method",
    'autorf.adapt(model, "dilation")': "Method",
    "autorf.ModelSpec(stage=2)": "name",
    "autorf.freeeze(model)": "freeeze",
}
"""Calls, and the word of the complaint that names what is wrong."""

Complaints = dict[tuple[str, int], str]
"""What a checker says, by file and line."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder."""
    folder = tmp_path_factory.mktemp("user")
    for example in (ROOT / "examples").glob("*.py"):
        (folder / example.name).write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert snippets
    for number, snippet in enumerate(snippets):
        (folder / f"readme_{number}.py").write_text(snippet, encoding="utf-8")
    (folder / "right.py").write_text(RIGHT, encoding="utf-8")
    names = "\n".join(f"reveal_type(autorf.{name})" for name in autorf.__all__)
    (folder / "names.py").write_text(f"import autorf\n{names}\n", encoding="utf-8")
    wrong = ["import torch", "import autorf", "model = torch.nn.Conv2d(3, 2, 3)", *WRONG]
    (folder / "wrong.py").write_text("\n".join([*wrong, ""]), encoding="utf-8")
    return folder


def run(folder: Path, *command: str) -> str:
    """What a checker prints; it sees autorf as an installed package, which is not complained about itself."""
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def basedpyright(folder: Path) -> tuple[Complaints, Complaints]:
    """Errors, and the types that were asked for."""
    settings = {"include": ["."], "extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    out = run(folder, "basedpyright", "--outputjson", "--pythonpath", sys.executable)
    errors: Complaints = {}
    types: Complaints = {}
    for each in json.loads(out)["generalDiagnostics"]:
        place = (Path(each["file"]).name, each["range"]["start"]["line"])
        kept = errors if each["severity"] == "error" else types
        kept[place] = f"{kept.get(place, '')} {each['message']}"
    return errors, types


def mypy(folder: Path) -> tuple[Complaints, Complaints]:
    """Errors, and the types that were asked for; without pydantic's plugin, which users need not have."""
    (folder / "mypy.ini").write_text("[mypy]\nfollow_imports = silent\nignore_missing_imports = True\n")
    out = run(folder, "mypy", "--python-executable", sys.executable, "--cache-dir", str(ROOT / ".mypy_cache/user"), ".")
    errors: Complaints = {}
    types: Complaints = {}
    for name, line, kind, message in re.findall(r"^(\S+\.py):(\d+): (error|note): (.*)$", out, re.MULTILINE):
        kept = errors if kind == "error" else types
        place = (Path(name).name, int(line) - 1)
        kept[place] = f"{kept.get(place, '')} {message}"
    return errors, types


@pytest.mark.parametrize("checker", [basedpyright, pytest.param(mypy, marks=pytest.mark.slow)])
def test_right_calls_pass_and_wrong_ones_are_refused_line_by_line(checker: type, files: Path) -> None:
    errors, types = checker(files)
    wrong = {line: text for (name, line), text in errors.items() if name == "wrong.py"}
    assert {place: text for place, text in errors.items() if place[0] != "wrong.py"} == {}
    assert sorted(wrong) == list(range(3, 3 + len(WRONG)))
    assert [call for line, (call, word) in enumerate(WRONG.items(), 3) if word not in wrong[line]] == []
    names = {line: text for (name, line), text in types.items() if name == "names.py"}
    assert len(names) == len(autorf.__all__)
    assert [text for text in names.values() if re.search(r"Any\"$|Unknown\"$", text.strip())] == []
