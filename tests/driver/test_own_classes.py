"""A classification of a data set of the user's own code, from its trials to a picture that is predicted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.comparison import compare_studies, results_of
from autorf.data import PythonClassData, load
from autorf.deployment import retrain as retraining
from autorf.deployment.classifying import Classifier
from autorf.deployment.retrain import Options, retrain, study_spec
from autorf.errors import InputError
from autorf.own_code.code import read_code
from autorf.own_code.importing import importable
from autorf.own_code.reference import parse_reference
from autorf.store.store import open_store
from autorf.study.own_code import with_own_code
from autorf.study.spec import parse_study
from autorf.training.outputs import raw_scores
from tests.folded_study import run
from tests.study.classified import CLASSIFIED
from tests.study.trained import Here

CODE = """
import numpy as np

class Shades:
    def __init__(self, n, channels): self.n, self.channels = n, channels
    def __len__(self): return self.n
    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        return rng.integers(80 * (i % 3), 80 * (i % 3) + 60, (40, 30, self.channels)).astype(np.uint8), i % 3

def build(channels): return Shades(6, channels), Shades(6, channels)
"""


def searched(folder: Path, patch: pytest.MonkeyPatch, channels: int) -> Any:
    (folder / "shades.py").write_text(CODE)
    data = {
        "name": "python", "factory": "python:./shades.py:build", "args": {"channels": channels}, "channels": channels,
        "classes": ["dark", "grey", "light"], "image_size": 32,
    }  # fmt: skip
    study = {**CLASSIFIED, "name": "own", "data": data, "search_space": CLASSIFIED["search_space"][:1]}
    spec = with_own_code(parse_study(study, "own.yaml"), "own.yaml", folder)
    run(spec, folder / "runs", patch)
    patch.setattr(retraining, "make_local", lambda *_: Here())
    return retrain(folder / "runs", "own", Options(), quiet=True)


def test_a_picture_file_is_seen_as_the_item_of_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = searched(tmp_path, monkeypatch, 3)
    store = open_store(tmp_path / "runs", "own")
    groups = compare_studies([results_of(store)]).groups
    assert all(0 <= group.accuracies["accuracy"] <= 1 for group in groups if group.n)
    spec = study_spec(store)
    assert isinstance(spec.data, PythonClassData)
    with importable(read_code([parse_reference(spec.data.factory)], tmp_path)):
        val = load(spec.data).val
    rng = np.random.default_rng(4)
    Image.fromarray(rng.integers(80, 140, (40, 30, 3)).astype(np.uint8)).save(tmp_path / "grey.png")
    classifier = Classifier(outcome.folder)
    model = classifier.recipe.load(outcome.folder)
    with torch.no_grad():
        expected = raw_scores(model(val.tensors([4])[0]))[0].softmax(0)
    seen = classifier(tmp_path / "grey.png")
    np.testing.assert_allclose(seen.probabilities, expected.numpy(), atol=1e-5)
    assert seen.class_names == ("dark", "grey", "light")


def test_a_model_of_other_channels_reads_no_picture_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = searched(tmp_path, monkeypatch, 5)
    with pytest.raises(InputError, match="its model sees 5 channels, and picture files have red, green and blue"):
        Classifier(outcome.folder)
