"""The statistical contextual loss against the paper's formulas, pixel by pixel."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from autorf.errors import InputError
from autorf.losses.contextual import ContextualLoss
from autorf.losses.contextual_spec import ContextualSpec
from autorf.specification import parse
from autorf.training.spec import TrainingSpec
from tests.losses import naive_contextual as naive

IGNORED = 255
SWITCHES = ("inter", "hard_aware", "class_aware", "centre_decay")
SETTINGS: list[dict[str, Any]] = [
    *(dict(zip(SWITCHES, values, strict=True)) for values in product((True, False), repeat=4)),
    *({"layer": "head", "class_aware": False, "centre_decay": False, "hard_aware": hard} for hard in (True, False)),
    {"layer": "head", **dict.fromkeys(SWITCHES, False)},
]


def batch(n_classes: int = 4, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, a mask in which class 2 is absent and some pixels have no label, and features of another size."""
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2, n_classes, 5, 7, generator=generator, dtype=dtype)
    mask = torch.randint(0, n_classes, (2, 5, 7), generator=generator)
    mask[mask == 2] = IGNORED
    features = torch.randn(2, 6, 3, 4, generator=generator, dtype=dtype)
    return scores, mask, features


def loss_of(settings: dict[str, Any], weights: Tensor | None = None, n_classes: int = 4) -> ContextualLoss:
    spec = ContextualSpec(margin=5.0, decay_rate=0.2, **settings)
    loss = ContextualLoss(n_classes, IGNORED, spec, weights, 6 if spec.layer else None).double()
    generator = torch.Generator().manual_seed(4)
    loss.centres.copy_(torch.randn(loss.centres.shape, generator=generator, dtype=torch.float64))
    return loss


def setting_words(settings: dict[str, Any]) -> str:
    return " ".join(name for name, value in settings.items() if value) or "nothing"


@pytest.mark.parametrize("settings", SETTINGS, ids=setting_words)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradients_are_those_of_a_loop_over_pixels(settings: dict[str, Any], weighted: bool) -> None:
    weights = torch.tensor([1.0, 0.5, 2.0, 3.0] if weighted else [1.0] * 4, dtype=torch.float64)
    loss = loss_of(settings, weights if weighted else None)
    scores, mask, features = batch()
    given = features if loss.spec.layer else scores
    given.requires_grad_()
    value = loss(scores, mask, features)
    (gradient,) = torch.autograd.grad(value, given)
    pixels = naive.pixels(given, scores, mask, IGNORED)
    expected = naive.loss(pixels, loss.centres, loss.spec, weights)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    assert torch.allclose(gradient, naive.gradient(pixels, given, loss.centres, weights), atol=1e-14)


@pytest.mark.parametrize("settings", SETTINGS, ids=setting_words)
def test_the_centres_take_the_step_of_the_papers_formula(settings: dict[str, Any]) -> None:
    loss = loss_of(settings)
    scores, mask, features = batch()
    before = loss.centres.clone()
    loss.update(scores, mask, features)
    pixels = naive.pixels(features if loss.spec.layer else scores, scores, mask, IGNORED)
    assert torch.allclose(loss.centres, naive.moved(pixels, before, loss.spec), rtol=1e-12)
    assert not torch.allclose(loss.centres[0], before[0])


def test_with_all_improvements_off_it_is_the_center_loss() -> None:
    loss = loss_of(dict.fromkeys(SWITCHES, False))
    scores, mask, _ = batch()
    labelled = mask != IGNORED
    x, y, before = scores.movedim(1, -1)[labelled], mask[labelled], loss.centres.clone()
    assert torch.allclose(loss(scores, mask), (x - before[y]).square().sum(1).mean() / 2)
    loss.update(scores, mask)
    for label in (0, 1, 3):
        own = x[y == label]
        delta = (before[label] - own).sum(0) / (1 + len(own))
        assert torch.allclose(loss.centres[label], before[label] - 0.1 * (delta + 0.4 * before[label]))


def test_a_class_that_is_absent_keeps_its_centre_but_for_decay_and_distance() -> None:
    loss = loss_of({**dict.fromkeys(SWITCHES, False)})
    scores, mask, _ = batch()
    before = loss.centres.clone()
    loss.update(scores, mask)
    assert torch.allclose(loss.centres[2], before[2] * (1 - 0.1 * 2 * 0.2))


@pytest.mark.parametrize("class_aware", [True, False])
def test_centres_that_no_pixel_has_formed_push_none(class_aware: bool) -> None:
    loss = loss_of({"class_aware": class_aware})
    scores, mask, _ = batch()
    loss.centres.zero_()
    assert loss._between(loss.centres) == 0
    loss.update(scores, mask)
    assert (loss.centres[2] == 0).all()
    assert (loss.centres[[0, 1, 3]] != 0).any(1).all()
    assert loss._between(loss.centres) > 0


def test_pixels_without_a_label_have_no_gradient_and_move_nothing() -> None:
    loss = loss_of({})
    scores, mask, _ = batch()
    scores.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(scores, mask), scores)
    assert (gradient.movedim(1, -1)[mask == IGNORED] == 0).all()
    other = loss_of({})
    loss.update(scores, mask)
    other.update(torch.where((mask == IGNORED)[:, None], 9.0, scores), mask)
    assert torch.equal(loss.centres, other.centres)


def test_a_batch_without_labels_or_weight_is_0_and_moves_no_centre() -> None:
    scores, mask, _ = batch()
    for weights, labels in ((None, torch.full_like(mask, IGNORED)), ([1.0, 0.0, 1.0, 1.0], torch.ones_like(mask))):
        loss = loss_of({}, None if weights is None else torch.tensor(weights, dtype=torch.float64))
        before = loss.centres.clone()
        loss.update(scores, labels)
        assert loss(scores, labels) == 0
        assert torch.equal(loss.centres, before)


def test_half_precision_is_added_up_in_whole() -> None:
    scores, mask, _ = batch(dtype=torch.float32)
    whole, half = loss_of({}).float(), loss_of({}).float()
    expected = whole(scores, mask)
    whole.update(scores, mask)
    with torch.autocast("cpu", torch.bfloat16):
        value = half(scores.bfloat16(), mask)
        half.update(scores.bfloat16(), mask)
    assert value.dtype == half.centres.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=0.01)
    assert torch.allclose(half.centres, whole.centres, atol=0.01)


def test_the_same_bits_come_of_the_same_batches() -> None:
    scores, mask, _ = batch()
    first, second = loss_of({}), loss_of({})
    for _ in range(3):
        first.update(scores, mask)
        second.update(scores, mask)
    assert torch.equal(first.centres, second.centres)


def test_pixels_gather_and_classes_part_in_a_training() -> None:
    """Free scores as parameters: beside cross-entropy the loss makes each class tight, and its centre stand apart."""
    mask = torch.randint(0, 3, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    spread: dict[bool, float] = {}
    for contextual in (False, True):
        scores = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss, optimizer = ContextualLoss(3, IGNORED), torch.optim.SGD([scores], lr=5)
        for _ in range(200):
            value = functional.cross_entropy(scores, mask) + contextual * 0.5 * loss(scores, mask)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            loss.update(scores, mask)
        spread[contextual] = sum(scores.detach()[0, :, mask[0] == label].var(1).sum().item() for label in range(3))
    assert spread[True] < 0.05 * spread[False]
    assert loss._between(loss.centres) < 0.1


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"name": "contextual", "margin": -1}, "margin: must be greater than or equal to 0, got -1"),
        ({"name": "contextual", "centre_lr": 0}, "centre_lr: must be greater than 0, got 0"),
        ({"name": "contextual", "centre_lr": 2}, "centre_lr: must be less than or equal to 1, got 2"),
        ({"name": "contextual", "decay_rate": -0.1}, "decay_rate: must be greater than or equal to 0"),
        ({"name": "dice", "margin": 1}, "margin belongs to contextual, not to dice"),
        ({"name": "contextual", "gamma": 1}, "gamma belongs to focal and tversky, not to contextual"),
        ({"name": "contextual", "layer": "head", "class_aware": True}, "no component belongs to a class"),
        ({"name": "contextual", "layer": "head", "centre_decay": True}, "no component belongs to a class"),
        ({"name": "contextual", "inter": False, "margin": 2}, "margin belong to the term that inter: false takes away"),
    ],
)
def test_bad_input_is_refused_in_one_line(loss: Any, words: str) -> None:
    with pytest.raises(InputError, match=r"^a\.yaml: loss") as refused:
        parse(TrainingSpec, {"loss": [loss]}, "a.yaml")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_output_channel_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"contextual has a centre a class .*leave threshold out"):
        parse(TrainingSpec, {"loss": "contextual", "threshold": 0.5}, "a.yaml")


def test_centres_that_are_not_one_a_class_are_refused() -> None:
    scores, mask, _ = batch()
    with pytest.raises(InputError, match="4 classes have 4 scores, not 5"):
        ContextualLoss(4, IGNORED, dimensions=5)
    with pytest.raises(InputError, match="3 class weights for 4 classes; give one each"):
        ContextualLoss(4, IGNORED, class_weights=torch.ones(3))
    with pytest.raises(InputError, match="has 5 centres, one a class, and the network gives 4 scores a pixel"):
        ContextualLoss(5, IGNORED)(scores, mask)
    with pytest.raises(InputError, match=r"a map \(N, 6, h, w\) that goes into the layer head, got nothing"):
        loss_of({"layer": "head", "class_aware": False, "centre_decay": False})(scores, mask)
    with pytest.raises(InputError, match=r"got shape \(2, 4, 5, 7\)"):
        loss_of({"layer": "head", "class_aware": False, "centre_decay": False})(scores, mask, scores)
    with pytest.raises(InputError, match="margin: must be greater than or equal to 0"):
        ContextualSpec(margin=-1)


@pytest.mark.parametrize("class_aware", [True, False])
def test_distances_of_centres_are_those_of_the_term_between_them(class_aware: bool) -> None:
    loss = loss_of({"class_aware": class_aware, "centre_decay": False})
    loss.centres[2] = 0
    centres, distances = loss.centres, loss.distances()
    for i, j in product(range(4), repeat=2):
        if 2 in (i, j):
            assert distances[i, j].isnan(), "no pixel has formed that centre"
        elif class_aware:
            expected = (centres[i, i] - centres[j, i]) ** 2 + (centres[i, j] - centres[j, j]) ** 2
            torch.testing.assert_close(distances[i, j], expected)
        else:
            torch.testing.assert_close(distances[i, j], (centres[i] - centres[j]).square().sum())
