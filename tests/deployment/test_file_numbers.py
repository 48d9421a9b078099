"""Picture files hold numbers from 0 to 1; a network that learned from others would see noise in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from autorf.data import load
from autorf.deployment.predictor import Predictor
from autorf.deployment.recipe import Recipe
from autorf.errors import InputError
from autorf.own_code.importing import importable
from autorf.study.own_code import with_own_code
from autorf.study.spec import parse_study
from autorf.surgery.storage import SIDECAR
from tests.deployment.predictable import RESIZED, retrained, write_pictures

CODE = """
import numpy as np

class Images:
    def __init__(self, kind): self.kind = kind
    def __len__(self): return 4
    def __getitem__(self, i):
        image = np.random.default_rng(i).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        image[0, 0] = 0, 0, 255
        kinds = {"bytes": image, "unit": (image / 255).astype(np.float32), "large": image.astype(np.float32)}
        return {**kinds, "centred": (image / 127.5 - 1).astype(np.float32)}[self.kind], image[..., 0] // 128

def build(kind): return Images(kind), Images(kind)
"""


def recipe_of(folder: Path, kind: str) -> Recipe:
    (folder / "images.py").write_text(CODE)
    data: dict[str, Any] = {
        "name": "python", "factory": "python:./images.py:build", "args": {"kind": kind}, "classes": ["a", "b"],
        "image_size": 32,
    }  # fmt: skip
    spec = with_own_code(parse_study({**RESIZED, "name": kind, "data": data}, "own.yaml"), "own.yaml", folder)
    with importable(spec.code):
        return Recipe.of(spec, load(spec.data))


@pytest.mark.parametrize(("kind", "values"), [("bytes", None), ("unit", (0.0, 1.0))])
def test_a_network_that_learned_from_bytes_or_from_0_to_1_sees_files(tmp_path: Path, kind: str, values: Any) -> None:
    recipe = recipe_of(tmp_path, kind)
    assert recipe.value_range == values
    recipe.check_file_numbers(tmp_path)


@pytest.mark.parametrize(("kind", "said"), [("large", "numbers from 0 to 255"), ("centred", "numbers from -1 to 1")])
def test_a_network_that_learned_from_other_numbers_sees_no_files(tmp_path: Path, kind: str, said: str) -> None:
    with pytest.raises(InputError, match=f"images of your own data set, {said}, and picture files are read as"):
        recipe_of(tmp_path, kind).check_file_numbers(tmp_path)


def test_a_prediction_asks_before_it_reads_a_file(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data")
    folder = retrained(tmp_path, RESIZED)
    sidecar = json.loads((folder / SIDECAR).read_text())
    sidecar["prediction"]["value_range"] = [0, 255]
    (folder / SIDECAR).write_text(json.dumps(sidecar))
    with pytest.raises(InputError, match="numbers from 0 to 255, and picture"):
        Predictor(folder)
