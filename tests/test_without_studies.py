"""What needs no study works where nothing that only studies need can be imported."""

import subprocess
import sys
from pathlib import Path

import pytest

import autorf
from autorf.errors import missing_library
from autorf.study.spec import parse_study
from tests.deployment.predictable import RESIZED, retrained, write_pictures
from tests.tiny import TINY

ONLY_STUDIES = ("ray", "mlflow", "optuna", "fcntl")
STUDIES = ("Objective", "compare", "record", "report", "search", "tune_space", "tuned_method")
"""The public names that are about studies, which lie in a database."""

BLOCK = f"import sys\nfor name in {ONLY_STUDIES}: sys.modules[name] = None\n"


def run_blocked(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK + code, *arguments]
    return subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=300)


def test_adapting_attaching_loading_and_predicting_need_none_of_them(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data")
    folder = retrained(tmp_path, RESIZED)
    picture = next((tmp_path / "data" / "val" / "images").iterdir())
    code = f"""
import autorf, torch
from torch import nn
for name in set(autorf.__all__) - set({STUDIES}): getattr(autorf, name)
make = lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1))
model = autorf.adapt(make(), autorf.LearnedDilation(targets="1"))
autorf.advance(model, 10, 10)
autorf.freeze(model)
autorf.save(model, sys.argv[1])
again = autorf.load(make, sys.argv[1])
image = torch.rand(1, 3, 16, 16)
assert torch.equal(model(image), again(image))
(prediction,) = autorf.predict(sys.argv[2], [sys.argv[3]])
print(prediction.classes.shape, [name for name in {ONLY_STUDIES} if sys.modules[name] is not None])
"""
    done = run_blocked(code, str(tmp_path / "saved"), str(folder), str(picture))
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.strip().endswith(") []")


def test_what_a_study_needs_is_one_line_with_what_pip_is_to_install() -> None:
    done = run_blocked("""
import autorf
try:
    autorf.compare
except autorf.InputError as error:
    print(isinstance(error, ImportError), error)
sys.argv = ["autorf", "search", "quickstart", "--dry-run"]
from autorf.cli import main
main()
""")
    said = "needs optuna, which is not installed here: pip install optuna, or everything: pip install autorf-torch"
    assert done.stdout.strip() == f"True autorf.compare {said}"
    assert done.returncode == 2, done.stderr[-1500:]
    assert done.stderr.strip().splitlines()[-1] == f"autorf: this command {said}"


@pytest.mark.parametrize("installed", [True, False])
def test_what_shows_the_mirror_is_named_where_mlflow_is_installed(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autorf.cli.studies import next_commands

    if not installed:
        monkeypatch.setitem(sys.modules, "mlflow", None)
    said = next_commands(parse_study(TINY, "tiny.yaml"), tmp_path)
    assert "autorf export" in said.splitlines()[4]
    assert ("mlflow ui" in said) is installed


def test_a_mirror_without_mlflow_says_what_to_install_not_where_it_failed_to_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from autorf.tracking import open_mirror

    monkeypatch.setitem(sys.modules, "mlflow", None)
    with open_mirror(parse_study(TINY, "tiny.yaml"), tmp_path, "id") as mirror:
        mirror.begin([])
    assert "it needs mlflow, which is not installed here: pip install mlflow, or everything" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("ray.tune", "this needs ray, which is not installed here: pip install 'ray[tune]', or"),
        ("mlflow", "this needs mlflow, which is not installed here: pip install mlflow, or"),
    ],
)
def test_each_library_is_named_as_pip_knows_it(module: str, line: str) -> None:
    assert str(missing_library(ModuleNotFoundError(name=module), "this")).startswith(line)


def test_a_module_that_is_missing_for_another_reason_is_no_library() -> None:
    assert missing_library(ModuleNotFoundError(name="autorf.nothing"), "this") is None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        autorf.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_studies_say_that_a_system_has_no_file_locks() -> None:
    done = run_blocked("""
from autorf.files import lock
try:
    lock(0, wait=True)
except ValueError as error:
    print(error)
""")
    assert done.stdout.startswith("studies are kept whole by file locks that this system has not: run them on Linux")
