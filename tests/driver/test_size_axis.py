from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from autorf.comparison import compare_studies, results_of
from autorf.driver import search as module
from autorf.driver.plan import plan
from autorf.driver.prior import nearest_first, prior_rnorm
from autorf.errors import InputError
from autorf.methods import Dilation
from autorf.running.evidence import read_evidence
from autorf.store.store import Store, open_store
from autorf.study.scale import scored
from autorf.study.search_spec import PriorSpec
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import Trial, grid
from tests.comparison.test_rnorm import BEST, RATES, SIZES
from tests.driver.driving import Silent
from tests.reports import trial_result
from tests.study.trained import Here
from tests.tiny import TINY

DATA = {**TINY["data"], "image_size": 48, "canvas": 64, "object_size": 24}


def study(sizes: Any = (32, 48, 64), rates: Any = (1, 2), **parts: Any) -> StudySpec:
    space = {"method": "dilation", "data.image_size": list(sizes), "rate": list(rates)}
    return parse_study({**TINY, "data": DATA, "search_space": [space], **parts}, "f")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three image sizes, trained."""
    root = tmp_path_factory.mktemp("sizes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make", lambda *_: Here())
        patch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
        module.search(study(training={"epochs": 1, "batch_size": 16}), "f", root, quiet=True)
    return root


def test_trials_of_several_sizes_are_trained_and_scored_on_the_same_masks(trained: Path) -> None:
    store = open_store(trained, "tiny")
    comparison = compare_studies([results_of(store)])
    assert [row.state for row in comparison.rows] == ["complete"] * 6
    rnorms = {tuple(row.image_size or ()): row.rnorm for row in comparison.rows if row.params["rate"] == 1}
    assert rnorms == pytest.approx({(size, size): 19 / size for size in (32, 48, 64)})
    read = {row.key: read_evidence(store.folder / "trials" / row.key) for row in comparison.rows}
    labelled = [evidence.tallies[:, :, 1] for evidence in read.values() if evidence is not None]
    assert len(labelled) == 6
    assert all((other == labelled[0]).all() for other in labelled)
    assert int(labelled[0].sum()) == 12 * 64 * 64
    scales = [set(e.image_scales.tolist()) for e in read.values() if e is not None and e.image_scales is not None]
    assert sorted(scales, key=min) == [{0.5}, {0.5}, {0.75}, {0.75}]
    assert comparison.verdict.best_manual is not None


def test_the_scale_is_stored_with_the_study_and_resumed(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = open_store(trained, "tiny").spec
    assert stored is not None
    assert stored["data"]["score_at"] == "mask"
    monkeypatch.setattr(module, "make", lambda *_: Here())
    monkeypatch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
    assert module.search(study(training={"epochs": 1, "batch_size": 16}), "f", trained, quiet=True).run == 0


def test_a_study_that_scored_at_its_training_size_takes_no_axis_over_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = parse_study({**TINY, "data": DATA, "search_space": [{"method": "dilation", "rate": 1}]}, "f")
    store = Store(tmp_path / "tiny", "tiny")
    store.register(plain, grid(plain, "f"))
    monkeypatch.setattr(module, "make", lambda *_: Here())
    with pytest.raises(InputError, match="score_at"):
        module.search(study(rates=[1]), "f", tmp_path, quiet=True)


class Strict(nn.Module):
    """Takes sides of whole multiples of 32 only."""

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[2] % 32:
            raise RuntimeError(f"sides must be multiples of 32, got {image.shape[2]}")
        return image


def test_a_model_that_refuses_a_size_is_named_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autorf.networks.build", lambda *_: nn.Sequential(Strict(), nn.Conv2d(3, 11, 3, padding=1)))
    space = {"method": "dilation", "rate": 1, "targets": ["1"], "data.image_size": [64, 50, 96]}
    spec = scored(study(search_space=[space]), "f")
    said = r"f: data\.image_size: largefov:\S+ does not take images of 50 x 50 pixels: .* multiples of 32, got 50"
    with pytest.raises(InputError, match=said):
        plan(spec, "f", tmp_path)


def test_a_dilation_is_held_against_the_map_of_its_own_size(tmp_path: Path) -> None:
    plan(scored(study([64, 96, 128], rates=[9]), "f"), "f", tmp_path)
    with pytest.raises(InputError, match=r"rate 9, data.image_size \[32, 32\].*exceeds what its 8x8 map can use"):
        plan(scored(study([32, 96, 128], rates=[9]), "f"), "f", tmp_path)


def test_the_default_is_trained_at_a_size_of_the_grid(tmp_path: Path) -> None:
    planned = plan(scored(study([[32, 32], [64, 64]], rates=[2]), "f"), "f", tmp_path)
    assert planned.configurations[0] == Trial(Dilation(rate=1), 0, (("data.image_size", (32, 32)),))
    assert len(planned.configurations) == 3


def results(root: Path, name: str, sizes: Any = SIZES) -> None:
    """A complete study whose best field at each size is that of ``BEST``."""
    spec = parse_study(
        {
            **TINY,
            "name": name,
            "data": {**DATA, "image_size": 96, "canvas": 128, "score_at": "mask"},
            "search_space": [{"method": "dilation", "data.image_size": [[s, s] for s in sizes], "rate": list(RATES)}],
        },
        "f",
    )
    store = Store(root / name, name)
    store.register(spec, grid(spec, "f"))
    while record := store.claim():
        size = record.configuration.get("data.image_size", [96])[0]
        rate = int(record.configuration.get("rate", 1))
        rf = 11.0 + 8 * rate
        miou = 0.8 + size / 10_000 - 0.05 * abs(RATES.index(rate) - RATES.index(BEST[size]))
        measured = trial_result(miou=miou, f1=miou, pixel_accuracy=0.9, rf=[rf, rf], rnorm=rf / size, epochs=2)
        store.complete(record, measured, miou)


def test_a_prior_from_a_study_of_several_sizes_is_its_line(tmp_path: Path) -> None:
    results(tmp_path, "sizes")
    rnorm = prior_rnorm(PriorSpec(from_study="sizes"), tmp_path, "f")
    assert rnorm == pytest.approx((64 * 27 + 96 * 43 + 128 * 59) / (64**2 + 96**2 + 128**2))


def test_without_a_line_a_prior_is_the_best_configurations_rnorm(tmp_path: Path) -> None:
    results(tmp_path, "one", sizes=(128,))
    assert prior_rnorm(PriorSpec(from_study="one"), tmp_path, "f") == pytest.approx(59 / 128)


def test_what_is_near_a_prior_depends_on_the_image_size() -> None:
    spec = scored(study([32, 48, 64], rates=[1, 2]), "f")
    nearest = nearest_first(grid(spec, "f"), 19 / 64, spec, 11)[0]
    assert nearest.settings == (("data.image_size", (64, 64)),)
