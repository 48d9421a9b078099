"""Batches, images and crops without a labelled pixel add nothing to loss, ``f`` or estimators."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.data import SegmentationSet, Splits
from autorf.data.sources import InMemory
from autorf.methods import Inflation, loss_profile
from autorf.surgery import adapt
from autorf.training.module import SegmentationModule
from autorf.training.spec import TrainingSpec

IGNORED = 255


def splits(ignored: int = IGNORED) -> Splits:
    images, masks = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.ones(2, 8, 8, dtype=torch.uint8)
    one = SegmentationSet(InMemory(images, masks), (8, 8), ignored)
    return Splits(one, one, None, 3, ignored, ("a", "b", "c"), (8, 8))


def module(model: nn.Module | None = None, ignored: int = IGNORED, **training: Any) -> SegmentationModule:
    torch.manual_seed(0)
    model = model or nn.Conv2d(3, 3, 3, padding=1)
    return SegmentationModule(model, TrainingSpec(**training), splits(ignored))


def mask(*values: int) -> Tensor:
    return torch.tensor(values)[:, None, None].expand(len(values), 8, 8).clone()


@pytest.mark.parametrize("training", [{}, {"class_weights": "balanced"}])
@pytest.mark.parametrize("ignored", [IGNORED, 0])
def test_a_batch_that_is_all_ignored_has_no_loss_and_no_gradient(training: dict[str, Any], ignored: int) -> None:
    trained = module(None, ignored, **training)
    loss = trained.training_step((torch.rand(2, 3, 8, 8), mask(ignored, ignored)), 0)
    loss.backward()
    assert loss == 0
    assert all((parameter.grad == 0).all() for parameter in trained.parameters())


@pytest.mark.parametrize("labels", [(1, 2), (1, IGNORED)])
def test_every_other_batch_has_the_loss_it_had_to_the_last_bit(labels: Sequence[int]) -> None:
    trained, image = module(), torch.rand(2, 3, 8, 8)
    loss = trained.training_step((image, mask(*labels)), 0)
    assert loss == functional.cross_entropy(trained(image), mask(*labels), ignore_index=IGNORED)


def test_the_mean_of_an_epoch_leaves_batches_without_labels_out() -> None:
    trained = module()
    losses = [trained.training_step((torch.rand(1, 3, 8, 8), mask(label)), 0) for label in (1, IGNORED, 2)]
    trained.on_train_epoch_end()
    assert trained.train_loss == pytest.approx((losses[0].item() + losses[2].item()) / 2)


def test_an_ignored_batch_leaves_the_gradient_of_f_at_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1))
    adapt(model, Inflation(start="1", end="1", factor=1.5))
    trained = module(model)
    trained.training_step((torch.rand(1, 3, 8, 8), mask(IGNORED)), 0).backward()
    factors = [parameter.grad for name, parameter in model.named_parameters() if name.endswith("factor")]
    assert factors
    assert all(gradient is None or (gradient == 0).all() for gradient in factors)


def test_a_difference_of_exactly_nothing_is_not_counted_as_one_that_was_heard() -> None:
    profile = loss_profile.empty(3)
    loss_profile.add(profile, [0, 0, 1], torch.tensor([0.5, 0.0, 0.0]))
    counts_and_sums = profile.tolist()[:2]
    assert counts_and_sums == [[1, 0], [0.5, 0]]
    assert loss_profile.losses(profile)[1] == 0.5
