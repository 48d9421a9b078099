import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from autorf.cli import models
from tests.cli.conftest import Shell

ROOT = Path(__file__).parents[2]

SMALL = ("largefov:test_byobnet", "--set", "stage=1", "--image-size", "96")


def test_inspect_prints_the_field_and_the_layers_that_widen_it(shell: Shell) -> None:
    answer = shell.run("inspect", *SMALL, "--set", "dilation=3")
    assert answer.code == 0
    assert "receptive field  35 px" in answer.out
    assert "rnorm            0.365" in answer.out
    assert "head.conv6" in answer.out
    assert len(shell.run("inspect", *SMALL, "--layers").out) > len(answer.out)


def test_inspect_json_has_the_fields_of_the_contract(shell: Shell) -> None:
    found = json.loads(shell.run("inspect", *SMALL, "--format", "json").out)
    assert {"model", "image_size", "rf", "stride", "rnorm", "global_context", "parameters", "layers"} <= set(found)
    assert (found["model"], found["image_size"], found["rf"]) == ("largefov:test_byobnet", [96, 96], [19, 19])


def test_the_effective_field_is_measured_on_pictures_of_the_users_own(shell: Shell) -> None:
    (shell.folder / "pictures").mkdir()
    Image.effect_noise((120, 80), 60).convert("RGB").save(shell.folder / "pictures" / "one.png")
    answer = shell.run("inspect", *SMALL, "--images", "pictures", "--figure", "field.html", "--per-class", "0,2")
    assert "averaged over 1 images of pictures" in answer.out
    shares = [int(share) for share in re.findall(r"(\d+)% of the gradient", answer.out)]
    assert shares == [20, 30, 50, 99]
    assert re.findall(r"class (\d): 20% within", answer.out) == ["0", "2"]
    assert "plotly" in (shell.folder / "field.html").read_text()
    assert "exists" in shell.refused("inspect", *SMALL, "--effective", "--figure", "field.html")


def test_suggest_surrounds_the_dilation_that_sees_one_object(shell: Shell) -> None:
    found = json.loads(shell.run("suggest", *SMALL, "--object-size", "32", "--format", "json").out)
    assert found["dilation"] == pytest.approx(2.625)
    assert [option["dilation"] for option in found["options"]] == [1, 2, 3, 4, 6]
    answer = shell.run("suggest", *SMALL, "--rnorm", "0.445")
    assert "wanted           42.72 px, rnorm 0.45" in answer.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "smp:Unet:resnet181"], "did you mean resnet18"),
        (["inspect", "unet"], "a model is largefov:BACKBONE"),
        (["inspect", *SMALL, "--image-size", "9x"], "--image-size 9x"),
        (["inspect", *SMALL, "--format", "csv"], "one of table, json"),
        (["inspect", *SMALL, "--set", "stage"], "expected KEY=VALUE"),
        (["inspect", *SMALL, "--set", "stages=1"], "did you mean stage"),
        (["inspect", *SMALL, "--per-class", "sky"], "--per-class sky: class indices separated by commas"),
        (["inspect", *SMALL, "--per-class", "99"], "99 is none of the output's 21 channels"),
        (["inspect", *SMALL, "--images", "nowhere"], "--images nowhere: no such folder"),
        (
            ["inspect", "timm:swin_tiny_patch4_window7_224", "--image-size", "100"],
            "use image_size 224x224, which works",
        ),
        (["suggest", *SMALL], "--object-size"),
        (["suggest", *SMALL, "--object-size", "-3"], "must be positive"),
        (["suggest", *SMALL, "--object-size", "3", "--rnorm", "1"], "one of the two"),
    ],
)
def test_a_wrong_call_is_one_line(shell: Shell, arguments: list[str], said: str) -> None:
    assert said in shell.refused(*arguments)


def test_a_network_of_the_users_own_is_looked_at_with_the_channels_it_sees(shell: Shell) -> None:
    shutil.copy(Path(__file__).parents[2] / "examples" / "own_code" / "net.py", shell.folder / "net.py")
    name = ("python:./net.py:build", "--image-size", "48")
    answer = shell.run("inspect", *name, "--set", "args.width=4", "--effective")
    assert (answer.code, answer.err) == (0, "")
    assert "receptive field  7 px" in answer.out
    assert shell.run("suggest", *name, "--object-size", "20").code == 0
    assert shell.run("bench", *name, "--repeats", "1").code == 0
    (shell.folder / "pictures").mkdir()
    Image.new("RGB", (48, 48)).save(shell.folder / "pictures" / "one.png")
    assert "pictures have 3 channels, the model 4" in shell.run("inspect", *name, "--images", "pictures").err


def test_what_an_effective_field_is_said_to_predict_is_what_was_measured() -> None:
    page = (ROOT / "benchmarks" / "results" / "two_symbols.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    judged = [[float(cell) for cell in row[1:5]] for row in rows if len(row) == 7 and row[1].isdecimal()]
    learned = [(reach / half, reach / inner) for half, inner, _, reach in judged if reach]
    of_field, of_energy = ([pair[at] for pair in learned] for at in (0, 1))
    said = " ".join(models._PREDICTS.split())
    assert f"{len(learned)} of {len(judged)} small networks" in said
    assert f"{min(of_field):.2g} to {max(of_field):.2g} of the theoretical field" in said
    assert f"{min(of_energy):.2g} to {max(of_energy):.3g} times what held 50% of the energy" in said
