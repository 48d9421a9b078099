"""``autorf bench``: the table, the same as JSON, and what it refuses."""

import json

import pytest

from tests.cli.conftest import Shell

MODEL = ("bench", "largefov:test_byobnet", "--image-size", "32x48", "--repeats", "3", "--threads", "1")


def test_a_model_is_measured_as_text_and_as_json_with_a_method_too(shell: Shell) -> None:
    done = shell.run(*MODEL)
    assert done.code == 0, done.err
    assert "on 1 x 32 x 48" in done.out
    assert "frames/s" in done.out
    told = json.loads(shell.run(*MODEL, "--format", "json", "--method", "dilation rate=2").out)
    assert (told["model"], told["method"], told["image_size"]) == (MODEL[1], "dilation rate=2", [32, 48])
    assert told["devices"][0]["frames_per_second"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "dilated rate=2"), "did you mean dilation"),
        (("--method", "dilation rate=0"), "rate"),
        (("--method", "[1"), "--method: no valid YAML (line 1)"),
        (("--device", "tpu"), "--device tpu: one of cpu, cuda"),
        (("--format", "csv"), "--format csv: one of table, json"),
    ],
)
def test_what_cannot_be_measured_is_refused(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    assert message in shell.refused(*MODEL, *arguments)
