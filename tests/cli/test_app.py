"""The command line as a user meets it: answers, refusals and exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.study.conftest import TINY

HEAVY = ("torch", "ray", "mlflow", "lightning", "timm", "segmentation_models_pytorch", "optuna", "sklearn")


def autorf(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from autorf.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def refused(*arguments: str, cwd: Path) -> str:
    """The one line with which a command refuses, having written nothing."""
    before = sorted(cwd.rglob("*"))
    done = autorf(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert sorted(cwd.rglob("*")) == before
    return lines[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path


def test_help_and_import_load_no_heavy_library() -> None:
    code = (
        "import sys\nfrom autorf.cli import main\nsys.argv = ['autorf', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('loaded', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "search" in done.stdout
    assert done.stdout.strip().endswith("loaded []")


def test_the_commands_and_their_options_are_these() -> None:
    from typer.main import get_command

    from autorf.cli.app import app

    command = get_command(app)
    found = {
        name: sorted(option for parameter in one.params for option in parameter.opts)
        for name, one in command.commands.items()  # type: ignore[attr-defined]
    }
    assert found["search"] == [
        "--dry-run", "--executor", "--quiet", "--retry-failed", "--root", "--set", "--workers", "study",
    ]  # fmt: skip
    assert found["compare"] == ["--format", "--root", "study"]
    assert found["studies"] == []


def test_the_version_is_the_packages() -> None:
    import autorf as package

    assert autorf("--version", cwd=Path.cwd()).stdout.strip() == f"autorf {package.__version__}"


def test_built_in_studies_and_search_spaces_are_listed(tmp_path: Path) -> None:
    shown = autorf("studies", cwd=tmp_path).stdout
    for name in ("quickstart", "camvid", "learned_dilation"):
        assert name in shown


def test_a_dry_run_shows_every_trial_with_its_field_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = autorf("search", "tiny.yaml", "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("dilation") >= 4
    assert "35" in done.stdout
    assert "8 epochs in all" in done.stdout
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epocs=3", "tiny.yaml: training.epocs: unknown key; did you mean epochs"),
        ("training.epochs=many", "training.epochs: must be a valid integer"),
        ("search_space=[{method: dilation, rate: [1, -3]}]", "positive integer (got -3)"),
        ("search_space=[{method: dilation, rate: 0}]", "positive integer (got 0)"),
        ("search_space=[{method: dilation, rate: 1.5}]", "positive integer (got 1.5)"),
        ("search_space=[{method: dilation, rate: []}]", "the grid is empty"),
        ("model.name=largefov:resnet81", "timm has no model 'resnet81'; did you mean resnet"),
        ("model.name=smp:Unett:resnet18", "smp has no architecture 'Unett'; did you mean Unet"),
        ("model.stage=9", "model.stage"),
        ("model.pretrained=true", "weights of largefov:test_byobnet could not be loaded"),
        ("name=../outside", "a study's name becomes a folder"),
        ("data={name: camvid, root: nowhere, image_size: 64}", "nowhere"),
        ("data.object_size=200", "object_size must be at most the image's smaller side"),
        ("executor.workers=0", "executor.workers"),
        ("search_space=[{method: dilation, targets: head.conv9, rate: 2}]", "did you mean head.conv"),
    ],
)
def test_a_bad_study_is_one_line_exit_code_2_and_nothing_written(folder: Path, override: str, said: str) -> None:
    assert said in refused("search", "tiny.yaml", "--set", override, cwd=folder)


def test_a_root_that_is_not_writable_or_no_folder_is_refused(folder: Path) -> None:
    (folder / "file").write_text("")
    assert "--root" in refused("search", "tiny.yaml", "--root", "file", cwd=folder)
    assert "--root" in refused("search", "tiny.yaml", "--root", "/proc/runs", cwd=folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "quickstrat"], "did you mean quickstart"),
        (["search", "none.yaml"], "no such file"),
        (["compare", "quickstart"], "run it first"),
        (["compare", "quickstart", "--format", "xml"], "one of table, json, csv"),
        (["serch", "quickstart"], "serch"),
        (["search"], "STUDY"),
        (["search", "quickstart", "--workers", "0"], "--workers"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments, cwd=tmp_path)
