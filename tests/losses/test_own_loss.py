from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import InMemory
from autorf.data.splits import Splits
from autorf.errors import InputError
from autorf.losses.criterion import Criterion
from autorf.losses.spec import LossSpec
from autorf.own_code.code import read_code
from autorf.own_code.importing import importable
from autorf.own_code.reference import parse_reference
from autorf.training.module import SegmentationModule
from autorf.training.spec import TrainingSpec

LOSSES = """
import torch
from torch.nn import functional

class Entropy(torch.nn.Module):
    def __init__(self, ignore_index, factor=1.0):
        super().__init__()
        self.ignored, self.factor = ignore_index, factor

    def forward(self, scores, mask):
        return self.factor * functional.cross_entropy(scores, mask, ignore_index=self.ignored)

def told(n_classes, class_weights, ignore_index):
    return lambda scores, mask: scores.sum() * 0 + n_classes + class_weights.sum() + ignore_index

def plain(scores, mask):
    return scores.mean()

def number(): return 3
def pixels(): return lambda scores, mask: scores.mean(1)
def blind(): return lambda scores, mask: scores.detach().mean()
def plain_number(): return lambda scores, mask: scores.mean().item()
def fails(): return lambda scores, mask: scores[:, 99]
"""
SCORES = torch.randn(2, 3, 4, 4, requires_grad=True)
MASK = torch.randint(0, 3, (2, 4, 4)).index_fill(1, torch.tensor(0), 255)


@pytest.fixture(autouse=True)
def _code(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "own_loss.py").write_text(LOSSES)
    with importable(read_code([parse_reference("python:./own_loss.py:Entropy")], tmp_path)):
        yield


def loss(function: str, class_weights: Tensor | None = None, **fields: Any) -> Tensor:
    spec = LossSpec.model_validate({"name": f"python:./own_loss.py:{function}", **fields})
    return Criterion(spec, 3, 255, class_weights)(SCORES, MASK)


def test_a_loss_of_the_users_own_is_built_with_its_arguments_and_what_it_names() -> None:
    expected = functional.cross_entropy(SCORES, MASK, ignore_index=255)
    torch.testing.assert_close(loss("Entropy"), expected)
    torch.testing.assert_close(loss("Entropy", args={"factor": 2.0}, weight=3.0), 6 * expected)
    assert float(loss("told", torch.tensor([1.0, 2.0, 3.0])).detach()) == 3 + 6 + 255


def test_it_may_be_one_of_a_sum() -> None:
    spec = LossSpec.model_validate(["cross_entropy", {"name": "python:./own_loss.py:Entropy", "weight": 0.5}])
    torch.testing.assert_close(
        Criterion(spec, 3, 255)(SCORES, MASK), 1.5 * functional.cross_entropy(SCORES, MASK, ignore_index=255)
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("number", "returned an int; called with args, it returns what is called with scores and mask"),
        ("pixels", r"returned shape \(2, 4, 4\); a loss returns one number, a tensor of no dimension"),
        ("blind", "returned a number without a gradient; compute it from the scores by torch's operations"),
        ("plain_number", "returned a float; a loss returns one number"),
        ("fails", r"failed: IndexError: .* \(.*own_loss\.py, line 23\)"),
        ("plain", r"plain needs mask, scores: give them in args; where it is the loss itself, name a function without"),
        ("gone", "the module has no 'gone'"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(function: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        loss(function)


def test_class_weights_that_it_would_not_hear_of_are_refused() -> None:
    with pytest.raises(InputError, match=r"training\.class_weights: .* takes no class_weights; add that argument"):
        loss("Entropy", torch.ones(3))


def test_a_loss_that_is_a_module_is_part_of_the_trainings_state_and_learns(tmp_path: Path) -> None:
    (tmp_path / "own_loss.py").write_text(
        "import torch\n"
        "class Learned(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.factor = torch.nn.Parameter(torch.ones(()))\n"
        "    def forward(self, scores, mask):\n"
        "        return self.factor * scores.square().mean()\n"
    )
    with importable(read_code([parse_reference("python:./own_loss.py:Learned")], tmp_path)):
        training = TrainingSpec.model_validate({"loss": "python:./own_loss.py:Learned"})
        module = SegmentationModule(nn.Conv2d(3, 3, 1), training, splits())
    assert "criterion.own.0.factor" in module.state_dict()
    module.training_step((torch.randn(2, 3, 4, 4), MASK), 0).backward()
    groups = module._loss_groups()
    assert [tensor.shape for tensor in groups[0]["params"]] == [()]
    assert float(groups[0]["params"][0].grad) > 0


def splits() -> Splits:
    images = InMemory(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, 4, 4, dtype=torch.uint8))
    split = SegmentationSet(images, (4, 4), 255)
    return Splits(split, split, None, 3, 255, ("a", "b", "c"), (4, 4))
