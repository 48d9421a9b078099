"""``autorf retrain`` and ``autorf export`` as a user meets them."""

import json
import shutil
from pathlib import Path

import pytest

from autorf.store.store import open_store
from tests.cli.conftest import Shell
from tests.study.trained import LEARNED


def test_retrain_trains_in_a_worker_and_export_takes_the_retrained_model(
    shell: Shell, trained: tuple[Path, list[str]]
) -> None:
    shutil.copytree(trained[0], shell.folder / "runs")
    done = shell.run("retrain", "tiny.yaml", "--epochs", "1")
    assert done.code == 0, done.err
    folder = f"runs/tiny/retrained/{trained[1][LEARNED]}"
    learned = open_store(trained[0], "tiny").record(trained[1][LEARNED]).result
    assert learned is not None
    assert done.out.splitlines()[0].startswith(f"retrain dilation (rate {learned.learned['dilation']:g}): 1 trial")
    assert "on the test split" in done.out
    assert f"'{shell.folder / folder}').eval()" in done.out
    assert json.loads((shell.folder / folder / "metrics.json").read_text())["epochs"] == 1
    done = shell.run("export", "tiny", "--format", "torch")
    assert done.code == 0, done.err
    assert done.out.splitlines()[:2] == [f"{folder}/model.pt2", f"  weights    {folder}"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["retrain", "tiny"], "no study 'tiny' under"),
        (["export", "tiny"], "no study 'tiny' under"),
        (["retrain", "tiny", "--seeds", "0,x"], "--seeds 0,x: different whole numbers from 0, such as 0,1,2"),
        (["retrain", "tiny", "--seeds", "1,1"], "--seeds 1,1: different"),
        (["retrain", "tiny", "--epochs", "0"], "--epochs"),
        (["export", "tiny", "--format", "pdf"], "--format pdf: one of onnx, torch"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(shell: Shell, arguments: list[str], said: str) -> None:
    assert said in shell.refused(*arguments)


def test_ctrl_c_is_one_line_that_says_how_to_go_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from autorf.cli import deployment

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deployment, "run", interrupted)
    answer = shell.run("retrain", "tiny")
    assert (answer.code, answer.err.strip()) == (130, "autorf: interrupted; the same command continues")
