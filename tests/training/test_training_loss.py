"""The loss of a training: what a study file chooses, batches without labels, weights, one channel, processes."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, multiprocessing, nn

from autorf.data import SegmentationSet, Splits
from autorf.data.sources import InMemory
from autorf.errors import InputError
from autorf.losses import functions
from autorf.running.runner import trial_model
from autorf.study.spec import parse_study
from autorf.study.trial import grid
from autorf.training.module import SegmentationModule
from autorf.training.one_channel import with_two_scores
from autorf.training.outputs import predicted_classes
from autorf.training.spec import TrainingSpec
from tests.tiny import TINY

IGNORED = 255
LOSSES: list[Any] = [
    "dice",
    "focal",
    "tversky",
    "lovasz",
    {"name": "cross_entropy", "label_smoothing": 0.1},
    [{"name": "cross_entropy", "weight": 1}, {"name": "dice", "weight": 0.5}],
]

CENTER_LOSS = {"name": "contextual", "layer": "0", "inter": False, "hard_aware": False}
CONTEXTUAL: list[Any] = [
    "contextual",
    ["cross_entropy", {"name": "contextual", "weight": 0.01}],
    [{"name": "cross_entropy", "weight": 2}, {"name": "contextual", "layer": "0"}, CENTER_LOSS],
    ["cross_entropy", "dice", "contextual"],
]
"""Losses with centres, of the class scores and of what goes into the layer that gives them."""


def splits(n_classes: int = 3, ignored: int = IGNORED) -> Splits:
    images, masks = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.ones(2, 8, 8, dtype=torch.uint8)
    alike = SegmentationSet(InMemory(images, masks), (8, 8), ignored)
    names = tuple("abcdef"[:n_classes])
    return Splits(alike, alike, None, n_classes, ignored, names, (8, 8))


def module(n_classes: int = 3, model: nn.Module | None = None, **training: Any) -> SegmentationModule:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, n_classes, 3, padding=1)) if model is None else model
    return SegmentationModule(model, TrainingSpec.model_validate(training), splits(n_classes))


def with_centres(trained: SegmentationModule) -> SegmentationModule:
    """As in the midst of a training."""
    generator = torch.Generator().manual_seed(2)
    for loss in trained.criterion.contextual:
        loss.centres.copy_(torch.randn(loss.centres.shape, generator=generator))
    return trained


def centres_of(trained: SegmentationModule) -> Tensor:
    return torch.cat([torch.zeros(1), *(loss.centres.flatten() for loss in trained.criterion.contextual)])


def batch(n_images: int = 4, n_classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.randint(0, n_classes, (n_images, 8, 8), generator=generator)
    mask[:, 0] = IGNORED
    return torch.rand(n_images, 3, 8, 8, generator=generator), mask


@pytest.mark.parametrize("loss", [*LOSSES, *CONTEXTUAL])
def test_a_batch_without_a_label_has_the_loss_0_and_moves_nothing(loss: Any) -> None:
    trained = with_centres(module(loss=loss))
    before = centres_of(trained)
    value = trained.training_step((torch.rand(2, 3, 8, 8), torch.full((2, 8, 8), IGNORED)), 0)
    value.backward()
    assert value == 0
    assert all((parameter.grad == 0).all() for parameter in trained.parameters())
    assert torch.equal(centres_of(trained), before)


@pytest.mark.parametrize("loss", ["cross_entropy", *LOSSES, *CONTEXTUAL])
def test_a_batch_of_classes_that_weigh_nothing_counts_as_one_without_labels(loss: Any) -> None:
    trained = with_centres(module(loss=loss, class_weights=[1.0, 0.0, 2.0]))
    before = centres_of(trained)
    value = trained.training_step((torch.rand(2, 3, 8, 8), torch.ones(2, 8, 8, dtype=torch.long)), 0)
    value.backward()
    assert value == 0
    assert all((parameter.grad == 0).all() for parameter in trained.parameters())
    assert torch.equal(centres_of(trained), before)


def test_the_loss_is_that_of_the_study_file() -> None:
    image, mask = batch()
    trained = module(loss={"name": "focal", "gamma": 3}, class_weights=[1.0, 2.0, 3.0])
    expected = functions.focal(trained(image), mask, IGNORED, torch.tensor([1.0, 2.0, 3.0]), gamma=3)
    assert torch.allclose(trained.training_step((image, mask), 0), expected)


def test_weights_by_hand_must_be_one_for_each_class() -> None:
    with pytest.raises(InputError, match=r"2 weights for 3 classes \(a, b, c\); give one each, in their order"):
        module(class_weights=[1.0, 2.0])
    with pytest.raises(InputError, match=r"^mine\.yaml: training\.class_weights: 2 weights for 11 classes"):
        parse_study({**TINY, "training": {"class_weights": [1, 2]}}, "mine.yaml")


def test_loss_and_weights_are_axes_and_other_trials_keep_their_keys() -> None:
    space = {"method": "dilation", "rate": 1, "training.class_weights": ["none", "balanced"]}
    losses = {"training.loss.name": ["cross_entropy", "focal"], "training.loss.weight": [1, 2]}
    trials = grid(parse_study({**TINY, "search_space": [{**space, **losses}]}, "mine.yaml"), "mine.yaml")
    plain = grid(parse_study({**TINY, "search_space": [{"method": "dilation", "rate": 1}]}, "mine.yaml"), "mine.yaml")
    assert len(trials) == 8
    assert trials[0].key == plain[0].key
    assert dict(trials[-1].settings) == {
        "training.class_weights": "balanced",
        "training.loss.name": "focal",
        "training.loss.weight": 2.0,
    }


def test_one_channel_answers_with_the_class_whose_sigmoid_exceeds_the_threshold() -> None:
    image, _ = batch()
    for threshold in (0.5, 0.2, 0.9):
        torch.manual_seed(0)
        bare = nn.Conv2d(3, 1, 3, padding=1)
        both = with_two_scores(copy.deepcopy(bare), threshold)
        expected = (bare(image).sigmoid()[:, 0] > threshold).long()
        assert torch.equal(predicted_classes(both(image), torch.zeros(4, 8, 8)), expected)


@pytest.mark.parametrize("threshold", [0.5, 0.2])
@pytest.mark.parametrize("loss", ["cross_entropy", *LOSSES])
def test_the_loss_of_one_channel_is_that_of_its_sigmoid_whatever_the_threshold(loss: Any, threshold: float) -> None:
    image, mask = batch(n_classes=2)
    torch.manual_seed(0)
    bare = nn.Conv2d(3, 1, 3, padding=1)
    trained = module(2, with_two_scores(copy.deepcopy(bare), threshold), loss=loss, threshold=threshold)
    expected = trained.criterion(bare(image), mask)
    assert torch.allclose(trained.training_step((image, mask), 0), expected, atol=1e-6)


def test_a_study_with_a_threshold_has_a_network_of_one_channel() -> None:
    folder = {"name": "folder", "root": "nowhere", "classes": ["rest", "road"], "image_size": 32}
    study = {**TINY, "data": folder, "training": {"threshold": 0.3}}
    spec = parse_study(study, "mine.yaml")
    trial = grid(spec, "mine.yaml")[0]
    model = trial_model(spec, trial, ("rest", "road")).eval()
    scores = model(torch.rand(1, 3, 32, 32))
    assert scores.shape[1] == 2
    assert (scores[:, 0] == 0).all()
    assert [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)][-1] == 1
    with pytest.raises(InputError, match="one output channel tells two classes apart, digits has 11"):
        parse_study({**TINY, "training": {"threshold": 0.5}}, "mine.yaml")
    with pytest.raises(InputError, match="dice has no classes to weight"):
        parse_study({**study, "training": {"threshold": 0.5, "loss": "dice", "class_weights": [1, 2]}}, "mine.yaml")


def _gradient(loss: Any, part: slice, weights: Any) -> tuple[float, Tensor, Tensor]:
    """The loss of a part of the batch, its gradient, and the centres behind the step."""
    trained = with_centres(module(loss=loss, class_weights=weights))
    image, mask = batch()
    value = trained.training_step((image[part], mask[part]), 0)
    value.backward()
    gradient = torch.cat([p.grad.flatten() for p in trained.parameters() if p.grad is not None])
    return value.item(), gradient, centres_of(trained)


def _process(rank: int, folder: str, losses: list[Any], weights: Any) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    answers = [_gradient(loss, slice(2 * rank, 2 * rank + 2), weights) for loss in losses]
    torch.save(answers, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("weights", ["none", [1.0, 0.5, 3.0]])
def test_what_two_processes_average_is_the_loss_and_the_gradient_of_the_whole_batch(
    tmp_path: Path, weights: Any
) -> None:
    losses = ["cross_entropy", *LOSSES, *CONTEXTUAL]
    multiprocessing.spawn(_process, (str(tmp_path), losses, weights), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for loss, first, second in zip(losses, *parts, strict=True):
        value, gradient, centres = _gradient(loss, slice(None), weights)
        assert math.isclose((first[0] + second[0]) / 2, value, rel_tol=1e-5)
        assert torch.allclose((first[1] + second[1]) / 2, gradient, atol=1e-6)
        assert torch.equal(first[2], second[2])
        assert torch.allclose(first[2], centres, atol=1e-6)
