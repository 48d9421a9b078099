"""Validation of whole pictures in tiles: exact where the field allows, and what `autorf predict` says of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from autorf.data import FolderData, load
from autorf.data.splits import Splits
from autorf.deployment.predicting import TRAINING_SCALE, Wishes, predict_files, scores_of, tasks
from autorf.deployment.predictor import Predictor
from autorf.distillation.checks import check
from autorf.errors import InputError
from autorf.metrics import confusion
from autorf.study.search_space import read_spaces
from autorf.study.spec import parse_study
from autorf.training.batches import loader
from autorf.training.module import SegmentationModule
from autorf.training.native_scale import tile_plan
from autorf.training.outputs import raw_scores
from autorf.training.spec import TrainingSpec
from tests.deployment.predictable import FOLDER, RESIZED, retrained, write_pictures

PATCHED: dict[str, Any] = {
    **RESIZED,
    "name": "patched",
    "data": {
        **{key: FOLDER[key] for key in ("name", "root", "classes")},
        "patches": {"size": [32, 32], "per_image": 2},
    },
}


class Local(nn.Module):
    """Convolutions alone: exact tiles are possible."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        first, second = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 3, 5, padding=4, dilation=2)
        self.layers = nn.Sequential(first, nn.ReLU(), second)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.layers(image)
        return scores


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    write_pictures(tmp_path / "data")
    return load(FolderData(root=tmp_path / "data", classes=3, patches={"size": [32, 32], "per_image": 2}))


def test_pictures_of_several_sizes_are_batches_of_their_own(splits: Splits) -> None:
    shapes = [tuple(image.shape) for image, _ in loader(splits.val, 16, 0, shuffle=False)]
    assert shapes == [(1, 3, 52, 44), (1, 3, 40, 56), (1, 3, 52, 44)]


def test_exact_tiles_validate_as_the_whole_picture_does(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Local().eval()
    module = SegmentationModule(model, TrainingSpec(), splits)
    monkeypatch.setattr("autorf.training.native_scale.USUAL_TILE", 24)
    module.on_validation_epoch_start()
    plan = module._tiles
    assert plan is not None
    assert plan.reason is None
    assert max(plan.tile) < 40, "the pictures are cut"
    total = torch.zeros(3, 3, dtype=torch.int64)
    for batch in loader(splits.val, 4, 0, shuffle=False):
        image, mask = splits.val.numbers(*batch)
        whole = nn.functional.interpolate(raw_scores(model(image)), mask.shape[1:], mode="bilinear")
        prediction = module.validation_step((image, mask), 0)
        assert torch.equal(prediction, whole.argmax(1))
        total += confusion(prediction, mask, 3, None)
    module.on_validation_epoch_end()
    assert module.validation_scores is not None
    assert module.validation_scores.pixel_accuracy == pytest.approx(float(total.diagonal().sum() / total.sum()))


def test_tiles_follow_what_the_model_has_learned_meanwhile(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr("autorf.training.module.tile_plan", lambda *plan: made.append(plan) or tile_plan(*plan))
    learned = {"0": {"dilation": 1.0}}
    monkeypatch.setattr("autorf.training.module.learned_values", lambda model: learned)
    module = SegmentationModule(Local().eval(), TrainingSpec(), splits)
    for _ in range(2):
        module.on_validation_epoch_start()
    assert len(made) == 1
    learned["0"]["dilation"] = 2.0
    module.on_validation_epoch_start()
    assert len(made) == 2


@pytest.mark.parametrize("method", ["dilation", "scale_adaptive"])
def test_predict_says_of_validation_pictures_what_retrain_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "data")
    space = {"method": "dilation", "rate": [1]} if method == "dilation" else {"method": method}
    folder = retrained(tmp_path, {**PATCHED, "search_space": [space]})
    predictor = Predictor(folder, device="cpu")
    assert (predictor.recipe.fit, predictor.recipe.score_at, predictor.recipe.image_size) == ("whole", "mask", (32, 32))
    assert predictor.tiling is not None
    wishes = Wishes(maps=method == "scale_adaptive")
    planned = tasks([Path("data/val/images")], tmp_path / "out", wishes, Path("data/val/masks"))
    report = predict_files(predictor, planned, wishes)
    assert report.problems == []
    assert report.in_tiles == 3
    scored = scores_of(report, predictor)
    assert TRAINING_SCALE not in scored
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    (own,) = scored.values()
    assert own.miou == pytest.approx(metrics["miou"]["mean"], abs=1e-9)
    prediction = predictor("data/val/images/p6.png", map=True)
    assert prediction.classes.shape == (52, 44)
    if method == "dilation":
        assert prediction.map is None
    else:
        assert prediction.map is not None
        assert (prediction.map.shape, prediction.map_name) == ((52, 44), "scale")
        assert np.ptp(prediction.map) > 0
        assert np.array_equal(np.load(tmp_path / "out" / "maps" / "p6.npy"), prediction.map)
        with Image.open(tmp_path / "out" / "maps_color" / "p6.png") as picture:
            assert (picture.mode, picture.size) == ("RGB", (44, 52))
    assert "patches of 32 x 32 pixels" in (folder / "README.md").read_text()


def _checked(study: dict[str, Any]) -> None:
    spec = parse_study(study, "study.yaml")
    read_spaces(spec.search_space, "study.yaml", spec)


def line_of(study: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        _checked({**study, **changes})
    assert len(str(caught.value)) < 290
    return str(caught.value)


def test_what_needs_one_size_of_images_is_refused_with_patches(splits: Splits) -> None:
    assert line_of(PATCHED, evaluation={"flip": True}) == (
        "study.yaml: evaluation: whole pictures that are validated in tiles (data.patches) are seen at their own scale "
        "only; leave evaluation out"
    )
    space = {"method": "dilation", "rate": [1], "data.image_size": [[32, 32], [48, 48]]}
    assert line_of(PATCHED, search_space=[space]) == (
        "study.yaml: search_space.0: data: image_size: with patches it is their size, [32, 32]; leave image_size out, "
        "as an axis too"
    )
    spec = parse_study(
        {**PATCHED, "distill": {"teacher": {"model": RESIZED["model"], "epochs": 1}, "supervised": {"epochs": 1}}},
        "study.yaml",
    )
    assert spec.distill is not None
    with pytest.raises(InputError, match=r"^data\.patches: a distillation's teacher and student see the same images"):
        check(spec, spec.distill, None)  # type: ignore[arg-type]
