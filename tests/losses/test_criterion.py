"""A study's loss: names, sums, weights, other packages' losses, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.losses import LOSSES, LossSpec, functions
from autorf.losses.criterion import Criterion
from autorf.specification import parse
from autorf.training.spec import TrainingSpec
from tests.losses.test_functions import IGNORED, batch


def spec(loss: Any) -> LossSpec:
    return parse(TrainingSpec, {"loss": loss}, "a.yaml").loss


def value(loss: Any, weights: Tensor | None = None, channels: int = 4) -> Tensor:
    scores, target = batch(channels=channels)
    return Criterion(spec(loss), 4, IGNORED, weights)(scores, target)


def test_a_sum_adds_up_its_losses_by_their_weights() -> None:
    scores, target = batch()
    listed = [{"name": "cross_entropy", "weight": 2, "label_smoothing": 0.1}, {"name": "dice", "weight": 0.5}, "lovasz"]
    expected = (
        2 * functions.cross_entropy(scores, target, IGNORED, label_smoothing=0.1)
        + 0.5 * functions.dice(scores, target, IGNORED)
        + functions.lovasz(scores, target, IGNORED)
    )
    assert torch.allclose(value(listed), expected)


def test_a_name_alone_and_keys_mean_the_same() -> None:
    assert spec("focal") == spec({"name": "focal"})
    assert torch.allclose(value({"name": "focal"}), value({"name": "focal", "gamma": 2}))
    assert not torch.allclose(value("focal"), value({"name": "focal", "gamma": 1}))


def test_what_is_dumped_can_be_read_again() -> None:
    for loss in ("dice", {"name": "tversky", "beta": 0.8}, ["dice", {"name": "focal", "weight": 2}]):
        assert spec(spec(loss).model_dump(mode="json")) == spec(loss)


def test_weights_reach_every_loss_and_channels_beyond_the_classes_weigh_nothing() -> None:
    weights = torch.tensor([1.0, 0.5, 3.0, 0.0], dtype=torch.float64)
    for name in ("cross_entropy", "dice", "focal", "tversky", "lovasz"):
        assert not torch.allclose(value(name, weights), value(name))
        assert value(name, weights, channels=6).isfinite()


@pytest.mark.parametrize("name", ["dice", "focal", "tversky", "lovasz"])
def test_half_precision_is_added_up_in_whole(name: str) -> None:
    scores, target = batch(dtype=torch.float32)
    criterion = Criterion(spec(name), 4, IGNORED)
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(scores.bfloat16(), target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(criterion(scores, target).item(), abs=0.01)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("dise", "unknown loss 'dise'; did you mean dice?"),
        ({"name": "dice", "gamma": 2}, "gamma belongs to focal and tversky, not to dice"),
        ({"name": "focal", "label_smoothing": 0.1}, "label_smoothing belongs to cross_entropy, not to focal"),
        ({"name": "tversky", "gamma": 0.5}, "gamma of tversky must be at least 1, got 0.5"),
        ({"name": "tversky", "alpha": 0, "beta": 0}, "no error would cost anything"),
        ({"name": "dice", "weight": 0}, "loss.weight: must be greater than 0"),
        ({"name": "dice", "args": {"a": 1}}, "args are for losses of your own or of other packages, not for dice"),
        ([], "a sum is a list of losses"),
        ("sum", "a sum is a list of losses"),
        (["dice", "sum"], "a sum within a sum"),
        ([{"name": "dice", "wieght": 1}], "loss.terms.0.wieght: unknown key"),
    ],
)
def test_what_is_no_loss_is_refused_in_one_line(loss: Any, words: str) -> None:
    with pytest.raises(InputError, match=r"^a\.yaml: loss") as refused:
        spec(loss)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


class Margin(nn.Module):
    """A package's loss: how far the true class is behind the best."""

    def __init__(self, n_classes: int, ignore_index: int, class_weights: Tensor | None, power: float = 1.0) -> None:
        super().__init__()
        self.ignored, self.power = ignore_index, power

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        kept = mask != self.ignored
        true = scores.gather(1, mask.where(kept, 0)[:, None])[:, 0]
        return (((scores.max(1).values - true) * kept) ** self.power).sum() / kept.sum()


@pytest.fixture
def margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_loaded", {"margin": Margin})
    monkeypatch.setattr("autorf.plugins._declared", lambda group: {"margin": (None,)} if group == LOSSES.group else {})
    monkeypatch.setattr(LOSSES, "check_owner", lambda name: None)


@pytest.mark.usefixtures("margin")
def test_a_package_adds_a_loss_by_name_with_arguments_of_its_own() -> None:
    assert value(["dice", {"name": "margin", "args": {"power": 2.0}}]) > value("dice")
    with pytest.raises(InputError, match=r"training\.loss: margin cannot be built: .*pwoer"):
        value({"name": "margin", "args": {"pwoer": 2.0}})


@pytest.mark.usefixtures("margin")
@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda scores, mask: scores.mean((0, 2, 3)), r"returned shape \(4,\); a loss returns one number"),
        (lambda scores, mask: 1.0, "returned a float; a loss returns one number"),
        (lambda scores, mask: scores.detach().mean(), "returned a number without a gradient"),
    ],
)
def test_a_loss_of_a_package_that_is_no_number_with_a_gradient_is_refused(
    monkeypatch: pytest.MonkeyPatch, returned: Any, words: str
) -> None:
    monkeypatch.setattr(LOSSES, "_loaded", {"margin": lambda *_: returned})
    with pytest.raises(InputError, match=words):
        value("margin")
