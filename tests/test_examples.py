import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autorf.data import load
from autorf.driver.places import placed
from autorf.driver.plan import plan
from autorf.own_code.importing import importable
from autorf.running.first_step import check_first_step
from autorf.study.own_code import with_own_code
from autorf.study.plain_yaml import read_yaml
from autorf.study.spec import parse_study

EXAMPLES = Path(__file__).parents[1] / "examples"
SAYS = {
    "operators.py": "pixel-adaptive is the weighted sum: True",
    "own_folder.py": "masks: ['6.png', '7.png']",
    "smp_camvid.py": "encoder.layer4.1.conv2  learned_dilation",
    "timm_classification.py": "layer4.1.conv2  pixel_adaptive",
    "torchvision_reference.py": "backbone.layer4.2.conv2  learned_dilation",
    "transformers_segformer.py": "dwconv.dwconv  learned_dilation",
    "your_own_loop.py": "receptive field (",
    "lightning_pipeline.py": "head.conv6 to head.output  inflation  f ",
    "which_field.py": "smp:Unet:resnet18: (",
    "own_loop_searched.py": "report: runs/own_loop/report.html",
    "optuna_objective.py": "best: {'method': ",
    "ray_tune.py": "best: ",
    "lightning_project.py": "gone on from the second epoch: f ",
}
SLOW = {"own_folder.py", "smp_camvid.py", "timm_classification.py", "torchvision_reference.py",
        "transformers_segformer.py", "own_loop_searched.py", "optuna_objective.py", "ray_tune.py",
        "lightning_project.py"}  # fmt: skip
LONGEST = 80


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)
    assert set(SAYS) > SLOW


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in sorted(SAYS)]
)
def test_an_example_runs_and_says_what_it_found(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert SAYS[name] in done.stdout


def test_indian_pines_is_split_so_that_no_pixel_is_trained_on_and_scored_and_its_study_takes_a_step(
    tmp_path: Path,
) -> None:
    folder = EXAMPLES / "indian_pines"
    spec = with_own_code(parse_study(read_yaml(folder / "study.yaml"), "study.yaml"), "study.yaml", folder)
    with importable(spec.code):
        splits = load(spec.data)
        assert splits.test is not None
        parts = (splits.train, splits.val, splits.test)
        assert [len(part) for part in parts] == [15, 5, 5]
        assert splits.train[0][0].shape == (200, 29, 29)
        corners = [part.tensors([index])[0][0, :, 0, 0] for part in parts for index in range(len(part))]
        assert len({tuple(corner.tolist()) for corner in corners}) == 25
        planned = plan(spec, "study.yaml", tmp_path)
        check_first_step(placed(spec, planned.places), planned.configurations[0], splits)


@pytest.mark.slow
def test_the_cells_of_the_notebook_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads((EXAMPLES / "first_steps.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # Without outputs it is the same file whoever ran it last.
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    scope: dict[str, object] = {"__name__": "__main__"}
    for cell in cells:
        exec(compile("".join(cell["source"]), "first_steps.ipynb", "exec"), scope)
    assert "found: (" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ray_cluster", "ultralytics"])
def test_a_study_file_of_an_example_is_one(name: str) -> None:
    folder = EXAMPLES / name
    spec = parse_study(read_yaml(folder / "study.yaml"), "study.yaml")
    assert with_own_code(spec, "study.yaml", folder).name == spec.name


@pytest.mark.slow
def test_the_ray_example_runs_on_a_ray_of_this_machine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autorf", "search", str(EXAMPLES / "ray_cluster" / "study.yaml"), "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "best manual" in done.stdout
