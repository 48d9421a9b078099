"""Every loss against a loop over pixels, and against segmentation-models-pytorch where that is right."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from segmentation_models_pytorch import losses as smp
from torch import Tensor

from autorf.losses import functions
from tests.losses import naive

IGNORED = 255
OPTIONS: list[tuple[str, dict[str, float]]] = [
    ("cross_entropy", {}),
    ("cross_entropy", {"label_smoothing": 0.2}),
    ("focal", {}),
    ("focal", {"gamma": 0.5}),
    ("dice", {}),
    ("tversky", {"alpha": 0.3, "beta": 0.7}),
    ("tversky", {"gamma": 1.5}),
    ("lovasz", {}),
]


def batch(n_classes: int = 4, channels: int | None = None, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Scores and masks of an odd size in which some pixels have no label, and the last of several classes has none."""
    generator = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(2, channels or n_classes, 5, 7, generator=generator, dtype=dtype)
    target = torch.randint(0, max(2, n_classes - 1), (2, 5, 7), generator=generator)
    target[0, :2] = IGNORED
    target[1, 2, 3] = IGNORED
    return scores.requires_grad_(), target


def by_pixel(name: str, scores: Tensor, target: Tensor, weights: Any = None, **options: float) -> float:
    loop = naive.tversky if name == "dice" else getattr(naive, name)
    every = [1.0] * scores.shape[1] if weights is None else weights.tolist()
    return float(loop(naive.pixels(scores.detach(), target, IGNORED), every, **options))


@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 3.0, 0.0)])
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_it_is_what_a_loop_over_pixels_makes_it(name: str, options: dict[str, float], weights: Any) -> None:
    scores, target = batch()
    each = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    loss = getattr(functions, name)(scores, target, IGNORED, each, **options)
    assert loss.item() == pytest.approx(by_pixel(name, scores, target, each, **options), abs=1e-12)
    assert torch.autograd.gradcheck(
        lambda changed: getattr(functions, name)(changed, target, IGNORED, each, **options), scores
    )


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_pixels_without_a_label_add_nothing(name: str, options: dict[str, float]) -> None:
    scores, target = batch()
    loss = getattr(functions, name)(scores, target, IGNORED, **options)
    loss.backward()
    ignored = (target == IGNORED)[:, None].expand_as(scores)
    assert scores.grad is not None
    assert (scores.grad[ignored] == 0).all()
    assert (scores.grad[~ignored] != 0).any()
    other = torch.where(ignored, 50.0, scores.detach())
    assert torch.allclose(getattr(functions, name)(other, target, IGNORED, **options), loss)
    bordered = torch.where(torch.arange(5)[:, None] < 2, IGNORED, target)
    cut = getattr(functions, name)(scores.detach()[:, :, 2:], target[:, 2:], IGNORED, **options)
    assert torch.allclose(getattr(functions, name)(scores.detach(), bordered, IGNORED, **options), cut)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_the_ignored_value_may_be_that_of_a_class_or_negative(name: str, options: dict[str, float]) -> None:
    scores, target = batch()
    loss = getattr(functions, name)(scores, target, IGNORED, **options)
    for ignored in (3, -100):
        renamed = torch.where(target == IGNORED, ignored, target)
        assert torch.allclose(getattr(functions, name)(scores, renamed, ignored, **options), loss)


def _smp_multiclass() -> list[tuple[str, dict[str, float], Callable[..., Tensor]]]:
    common: dict[str, Any] = {"mode": "multiclass", "ignore_index": IGNORED}
    return [
        ("dice", {}, smp.DiceLoss(**common)),
        ("focal", {"gamma": 3.0}, smp.FocalLoss(gamma=3.0, **common)),
        ("lovasz", {}, smp.LovaszLoss(**common)),
        ("tversky", {"alpha": 0.2, "gamma": 2.0}, smp.TverskyLoss(alpha=0.2, gamma=2.0, **common)),
    ]


@pytest.mark.parametrize(("name", "options", "theirs"), _smp_multiclass())
def test_it_is_the_loss_of_that_name_in_segmentation_models_pytorch(
    name: str, options: dict[str, float], theirs: Callable[..., Tensor]
) -> None:
    scores, target = batch(dtype=torch.float32)
    ours = getattr(functions, name)(scores, target, IGNORED, **options)
    assert ours.item() == pytest.approx(theirs(scores, target).item(), abs=1e-6)


def test_one_channel_is_the_binary_loss() -> None:
    scores, target = batch(2, channels=1, dtype=torch.float32)
    for name, theirs in (("dice", smp.DiceLoss), ("focal", smp.FocalLoss), ("lovasz", smp.LovaszLoss)):
        expected = theirs("binary", ignore_index=IGNORED)(scores, target)
        assert getattr(functions, name)(scores, target, IGNORED).item() == pytest.approx(expected.item(), abs=1e-6)
    two = torch.cat([torch.zeros_like(scores), scores], 1)
    weights = torch.tensor([1.0, 3.0])
    listed = naive.binary(naive.pixels(scores.detach(), target, IGNORED))
    loss = functions.cross_entropy(scores, target, IGNORED, weights)
    assert loss.item() == pytest.approx(naive.cross_entropy(listed, [1.0, 3.0]), abs=1e-6)
    assert torch.allclose(loss, functions.cross_entropy(two, target, IGNORED, weights))


def test_cross_entropy_divides_by_the_labelled_pixels_where_theirs_divides_by_all() -> None:
    scores, target = batch(dtype=torch.float32)
    ours = functions.cross_entropy(scores, target, IGNORED, label_smoothing=0.1)
    theirs = smp.SoftCrossEntropyLoss(smooth_factor=0.1, ignore_index=IGNORED)(scores, target)
    labelled = (target != IGNORED).double().mean()
    assert theirs.item() / ours.item() == pytest.approx(labelled.item(), rel=1e-5)


def test_a_class_of_few_pixels_among_many_is_not_lost_to_rounding() -> None:
    # 20 pixels of a million: as a difference of sums over all pixels their hits have an error of per cents.
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 3, 1024, 1024, generator=generator)
    target = torch.zeros(1, 1024, 1024, dtype=torch.long)
    target[0, 0, :20] = 1
    for name in ("dice", "lovasz"):
        exact = getattr(functions, name)(scores.double(), target, IGNORED)
        assert getattr(functions, name)(scores, target, IGNORED).item() == pytest.approx(exact.item(), abs=2e-6)


@pytest.mark.parametrize("name", ["focal", "dice", "tversky", "lovasz", "cross_entropy"])
def test_scores_that_leave_no_doubt_have_a_finite_gradient(name: str) -> None:
    target = torch.tensor([[[0, 1], [2, IGNORED]]])
    scores = torch.nn.functional.one_hot(target.clamp(max=2), 3).movedim(3, 1).mul(2).sub(1) * 200.0
    scores.requires_grad_()
    options = {"gamma": 0.5} if name == "focal" else {}
    loss = getattr(functions, name)(scores, target, IGNORED, **options)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
