"""The command line as a user meets it: answers, refusals and exit codes."""

import subprocess
import sys

import pytest

from tests.cli.conftest import Shell

HEAVY = ("torch", "ray", "mlflow", "lightning", "timm", "segmentation_models_pytorch", "optuna", "sklearn")


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
        "--accept-code-change", "--dry-run", "--executor", "--json-lines", "--quiet", "--retry-failed", "--root",
        "--set", "--workers", "study",
    ]  # fmt: skip
    assert found["compare"] == ["--format", "--margin", "--per-class", "--per-size", "--root", "--trials", "studies"]
    assert found["report"] == ["--force", "--output", "--root", "studies"]
    assert found["inspect"] == [
        "--effective", "--figure", "--force", "--format", "--image-size", "--images", "--layers", "--per-class",
        "--set", "model",
    ]  # fmt: skip
    assert found["retrain"] == [
        "--accept-code-change", "--best", "--epochs", "--fixed", "--force", "--quiet", "--root", "--search-again",
        "--seeds", "--trial", "--with-val", "study",
    ]  # fmt: skip
    assert found["export"] == [
        "--accept-code-change", "--force", "--format", "--opset", "--output", "--root", "--trial", "study",
    ]  # fmt: skip
    assert found["check"] == [
        "--force", "--format", "--image-size", "--images", "--masks", "--memory", "--output", "--set", "--study",
        "model",
    ]  # fmt: skip
    assert found["suggest"] == ["--format", "--image-size", "--object-size", "--rnorm", "--set", "model"]
    assert found["studies"] == ["--root", "name"]
    assert found["clean"] == ["--root", "study"]


def test_the_version_is_the_packages(shell: Shell) -> None:
    import autorf as package

    assert shell.run("--version").out.strip() == f"autorf {package.__version__}"


def test_built_in_studies_and_search_spaces_are_listed(shell: Shell) -> None:
    shown = shell.run("studies").out
    for name in ("quickstart", "camvid", "learned_dilation"):
        assert name in shown


def test_a_dry_run_shows_every_trial_with_its_field_and_writes_nothing(shell: Shell) -> None:
    before = sorted(shell.folder.rglob("*"))
    done = shell.run("search", "tiny.yaml", "--dry-run")
    assert done.code == 0, done.err
    assert done.out.count("dilation") >= 4
    rows = [line.split() for line in done.out.splitlines() if " rate " in line]
    assert [row[5] for row in rows] == ["19", "35"]
    assert all(row[-1] == "MB" and int(row[-2]) > 50 for row in rows)
    # Both have one network, whose parameters no dilation changes.
    assert len({row[7] for row in rows}) == 1
    assert int(rows[0][7]) > 1000
    assert "Layers of dilation: head.conv6" in done.out
    assert "4 trials, 2 at once: about " in done.out
    assert "Weights: random weights; model.pretrained: true loads published ones" in done.out
    assert "targets:" not in done.out
    assert sorted(shell.folder.rglob("*")) == before


def test_a_dry_run_prints_the_targets_that_suggest_names_to_paste(shell: Shell) -> None:
    space = "search_space=[{method: dilation, rate: [1, 2], model.args.encoder_depth: 3}]"
    unet = ('model={name: "smp:Unet:resnet18"}', space)
    done = shell.run("search", "tiny.yaml", "--dry-run", *(part for each in unet for part in ("--set", each)))
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    at = next(number for number, line in enumerate(lines) if "with model.args.encoder_depth 3 where no targets" in line)
    assert lines[at + 1] == 'targets: ["encoder.layer2.0.conv2", "encoder.layer2.1.conv1", "encoder.layer2.1.conv2"]'
    beyond = next(line for line in lines if line.startswith("Every trial sees"))
    assert "each output sees all of it, and a larger dilation shows it nothing more" in beyond
    assert "autorf suggest smp:Unet:resnet18 --image-size 48x48" in beyond
    assert "(model.args.encoder_depth)" in beyond


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epocs=3", "tiny.yaml: training.epocs: unknown key; did you mean epochs"),
        ("training.epochs=many", "training.epochs: must be a valid integer"),
        ("search_space=[{method: dilation, rate: [1, -3]}]", "positive integer, at most 65536 (got -3)"),
        ("search_space=[{method: dilation, rate: 0}]", "positive integer, at most 65536 (got 0)"),
        ("search_space=[{method: dilation, rate: 1.5}]", "positive integer, at most 65536 (got 1.5)"),
        ("search_space=[{method: dilation, rate: []}]", "the grid is empty"),
        ("model.name=largefov:resnet81", "timm has no model 'resnet81'; did you mean resnet"),
        ("model.name=smp:Unett:resnet18", "smp has no architecture 'Unett'; did you mean Unet"),
        ("model.stage=9", "model.stage"),
        ("model.pretrained=true", "weights of largefov:test_byobnet could not be loaded"),
        ("name=../outside", "a study's name becomes a folder"),
        ("data={name: camvid, root: nowhere, image_size: 64}", "nowhere"),
        ("data.object_size=200", "object_size must be at most the image's smaller side"),
        ("executor.workers=0", "executor.workers"),
        (
            "search_space=[{method: dilation, rate: [2, 12]}]",
            "head.conv6' exceeds what its 12x12 map can use",
        ),
        ("search_space=[{method: inflation, dilation: 50}]", "inflation (dilation 50): dilation 50 of layer"),
        ("search.prior={from_study: none}", "search.prior.from_study: no study 'none'"),
        ("search_space=[{method: dilation, targets: head.conv9, rate: 2}]", "did you mean head.conv"),
    ],
)
def test_a_bad_study_is_one_line_exit_code_2_and_nothing_written(shell: Shell, override: str, said: str) -> None:
    assert said in shell.refused("search", "tiny.yaml", "--set", override)


def test_a_root_that_is_not_writable_or_no_folder_is_refused(shell: Shell) -> None:
    (shell.folder / "file").write_text("")
    assert "--root" in shell.refused("search", "tiny.yaml", "--root", "file")
    assert "--root" in shell.refused("search", "tiny.yaml", "--root", "/proc/runs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "quickstrat"], "did you mean quickstart"),
        (["search", "none.yaml"], "no such file"),
        (["compare", "quickstart"], "run it first"),
        (["compare", "quickstart", "--format", "xml"], "one of table, json, csv"),
        (["report", "quickstart"], "no study 'quickstart'"),
        (["report", "none.yaml"], "no study 'none.yaml'"),
        (["serch", "quickstart"], "serch"),
        (["search"], "Missing argument 'study'"),
        (["search", "quickstart", "--workers", "0"], "--workers"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(shell: Shell, arguments: list[str], said: str) -> None:
    assert said in shell.refused(*arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("compare", "tiny", "--root", ""), "--root"),
        (("report", "tiny", "--output", " "), "--output"),
        (("search", "tiny.yaml", "--executor", ""), "executor.kind"),
        (("search", "tiny.yaml", "--executor", "a\nb: [" + "x" * 3000), "executor.kind"),
        (("search", "tiny.yaml", "--workers", "9" * 3000), "--workers"),
        (("retrain", "tiny", "--epochs", "99999999999999999999"), "--epochs"),
        (("retrain", "tiny", "--seeds", "9" * 5000), "--seeds"),
        (("inspect", "timm:x", "--image-size", "9" * 5000), "--image-size"),
        (("inspect", "timm:x", "--image-size", "1000000x1000000"), "--image-size"),
        (("bench", "timm:resnet18", "--image-size", "8", "--set", "stage=[1"), "--set stage"),
    ],
)
def test_an_option_that_is_empty_huge_or_long_is_named_in_a_short_line(
    shell: Shell, arguments: tuple[str, ...], named: str
) -> None:
    line = shell.refused(*arguments)
    assert named in line
    assert len(line) <= 300
    assert line.isprintable()
