"""The memory of a training step, scaled from small ones, against that of the step itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from autorf.data import DigitsData, Splits, load
from autorf.driver import estimate
from autorf.driver.estimate import CUTS, estimates
from autorf.methods.dilation import Dilation
from autorf.running.step_memory import Measured, Scaling, measured_evaluation, measured_step, optimizer_bytes
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import trial_from
from autorf.surgery import adapt
from autorf.training.module import SegmentationModule
from autorf.training.spec import TrainingSpec
from tests.data.faces import write_helen
from tests.tiny import TINY


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load(DigitsData(image_size=(384, 384), n_train=2, n_val=1, n_test=0))


def maps_alone() -> nn.Module:
    """Hardly any parameters, and many maps."""
    layers = [nn.Conv2d(3, 24, 3, 1, 1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 24, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(24, 24, 3, 1, 1), nn.Conv2d(24, 11, 1))


def gradients_alone() -> nn.Module:
    """Most of a small step is gradients, which a large step has no more of: scaled as a whole they would be."""
    wide = nn.Conv2d(16, 2048, 5, 1, 2)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 16, 1), wide, nn.ReLU(), nn.Conv2d(2048, 64, 3, 1, 1), nn.Conv2d(64, 11, 1)
    )


# What learns a dilation for every pixel has tables beside its maps, of some tens of MB at any size: too much for so
# small a network, and little beside the maps of a large one.
@pytest.mark.parametrize(("network", "layer"), [(maps_alone, "5"), (gradients_alone, "3")])
@pytest.mark.parametrize("rate", [None, 2])
@pytest.mark.parametrize("side", [224, 288, 384])
def test_the_scaled_memory_of_a_step_is_within_a_fifth_of_the_steps_own(
    splits: Splits, network: Callable[[], nn.Module], layer: str, rate: int | None, side: int
) -> None:
    model = adapt(network(), Dilation(rate=rate, targets=[layer]))
    module = SegmentationModule(model, TrainingSpec().uncounted(), splits)
    image, mask = splits.train.tensors([0, 1])

    def step(side: int) -> Measured:
        return measured_step(module, image[..., :side, :side], mask[..., :side, :side], 0)

    step(CUTS[0])
    scaled = Scaling(*map(step, CUTS)).bytes_at(2 * side**2)
    assert scaled == pytest.approx(max(step(side).parts), rel=0.2)
    with_validation = Scaling(*(measured_evaluation(module, image[..., :cut, :cut]) for cut in CUTS))
    own = measured_evaluation(module, image[..., :side, :side])
    assert with_validation.bytes_at(2 * side**2) == pytest.approx(max(own.parts), rel=0.2)


def test_a_part_of_a_step_is_scaled_by_itself() -> None:
    # The gradients of 1000 bytes are most of both small steps; the maps of a large one are more.
    small, large = Measured(100, (110, 1050)), Measured(200, (220, 1060))
    assert Scaling(small, large).bytes_at(10_000) == 11_000
    assert Scaling(small, large).bytes_at(200) == 1060
    assert Scaling(small, Measured(200, (220,))).bytes_at(400) == 440


@pytest.mark.parametrize(("optimizer", "states"), [("adamw", 2), ("adam", 2), ("sgd", 1)])
def test_the_optimizers_state_is_of_what_is_trained(splits: Splits, optimizer: str, states: int) -> None:
    model = maps_alone()
    model[0].requires_grad_(False)
    module = SegmentationModule(model, TrainingSpec(optimizer=optimizer).uncounted(), splits)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert optimizer_bytes(module) == states * 4 * sum(parameter.numel() for parameter in trained)
    real = module._optimizer([{"params": trained}])
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    real.step()
    kept = [
        value for state in real.state.values() for value in state.values() if torch.is_tensor(value) and value.dim()
    ]
    assert sum(4 * value.numel() for value in kept) == optimizer_bytes(module)
    plain = SegmentationModule(model, TrainingSpec(optimizer="sgd", momentum=0).uncounted(), splits)
    assert optimizer_bytes(plain) == 0


def large(side: int, **data: object) -> StudySpec:
    digits = {"name": "digits", "image_size": [side, side], "n_train": 4, "n_val": 2, "n_test": 0, **data}
    return parse_study({**TINY, "data": digits, "training": {"epochs": 1, "batch_size": 4}}, "f")


def test_a_large_batch_is_scaled_and_a_small_one_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, ...]] = []
    own_step = estimate.step
    monkeypatch.setattr(
        estimate,
        "step",
        lambda module, image, *rest: taken.append(tuple(image.shape)) or own_step(module, image, *rest),
    )
    for spec, sides in ((large(256), (CUTS, 2)), (large(96), None)):
        trial = trial_from({"method": "dilation", "rate": 1}, 0, spec)
        (estimated,) = estimates(spec, [trial], load(spec.data)).values()
        assert estimated.scaled_from == sides
        assert estimated.train_seconds > 0
        assert estimated.eval_seconds > 0
    assert taken == [(2, 3, 192, 192), (4, 3, 96, 96), (4, 3, 96, 96)]


def test_validation_is_measured_at_the_images_size_where_training_sees_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    own = estimate.evaluate
    monkeypatch.setattr(
        estimate, "evaluate", lambda module, image: seen.append(tuple(image.shape)) or own(module, image)
    )
    spec = large(128, augmentation={"crop": [64, 64]})
    trial = trial_from({"method": "dilation", "rate": 1}, 0, spec)
    estimates(spec, [trial], load(spec.data))
    assert seen == [(2, 3, 128, 128)]


def test_the_step_of_a_trial_is_measured_on_its_own_data(tmp_path: Path) -> None:
    """An axis that gives images a map of landmarks had the network measured on images without one."""
    root = write_helen(tmp_path / "helen")
    points = {path.stem: [[16, 14], [28, 15], [22, 21], [17, 28], [27, 28]] for path in (root / "images").iterdir()}
    (root / "points.json").write_text(json.dumps(points))
    data = {"name": "helen", "root": str(root), "image_size": 32, "landmarks": {"root": str(root / "points.json")}}
    with_map = {"method": "dilation", "rate": 1, "data.landmarks.heat_map": True, "model.added_channels": 1}
    spec = parse_study({**TINY, "data": data, "search_space": [with_map]}, "f")
    (estimated,) = estimates(spec, [trial_from(with_map, 0, spec)], load(spec.data)).values()
    assert estimated.train_seconds > 0
