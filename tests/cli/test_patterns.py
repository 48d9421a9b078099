"""autorf apply, and the completion of the shell."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell

MODEL = ("largefov:test_byobnet", "--set", "stage=1", "--image-size", "96")
PATTERN = {"autorf_pattern": 1, "rates": {"net.head.conv6": [4, 4]}, "rf": [43, 43], "source": "a training of ours"}


def test_apply_shows_the_field_before_and_after_and_saves_the_model(shell: Shell) -> None:
    (shell.folder / "found.json").write_text(json.dumps(PATTERN))
    answer = shell.run("apply", "found.json", *MODEL, "--output", "model", "--classes", "5")
    assert answer.code == 0, answer.err
    assert "receptive field  19 px before, 43 px after" in answer.out
    assert "pattern's field  43 px" in answer.out
    assert "a training of ours" in answer.out
    assert sorted(path.name for path in (shell.folder / "model").iterdir()) == ["autorf.json", "model.safetensors"]
    assert "exists already; --force" in shell.refused("apply", "found.json", *MODEL, "--output", "model")
    as_json = json.loads(shell.run("apply", "found.json", *MODEL, "--format", "json").out)
    assert (as_json["before"]["rf"], as_json["after"]["rf"]) == ([19, 19], [43, 43])


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("hcd", "did you mean hdc"),
        ("hdc", "does not fit the LargeFOV: it has no convolution or module 'layer3.0.conv2'"),
        ("broken.json", "is no JSON"),
    ],
)
def test_a_pattern_that_does_not_fit_is_one_line_that_names_the_layers(pattern: str, said: str, shell: Shell) -> None:
    (shell.folder / "broken.json").write_text("{")
    assert said in shell.refused("apply", pattern, *MODEL)


@pytest.mark.parametrize(
    ("words", "offered"), [("autorf apply hd", ["hdc", "hdc_bigger"]), ("autorf search quick", ["quickstart"])]
)
def test_the_shell_completes_commands_studies_and_patterns(words: str, offered: list[str]) -> None:
    environment = {
        **os.environ, "_AUTORF_COMPLETE": "complete_bash", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1), "_TYPER_COMPLETE_ARGS": words,
    }  # fmt: skip
    code = "import sys; sys.argv = ['autorf']; from autorf.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == offered, done.stderr
