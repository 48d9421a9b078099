from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autorf.training.outputs import class_scores, raw_scores

SCORES = torch.randn(2, 3, 4, 4)
OTHER = torch.zeros(2, 3, 4, 4)


@pytest.mark.parametrize(
    "output",
    [
        SCORES,
        (SCORES, OTHER),
        {"out": SCORES, "aux": OTHER},
        {"logits": SCORES},
        SimpleNamespace(logits=SCORES),
    ],
)
def test_the_scores_are_what_comes_first_or_is_called_so(output: Any) -> None:
    assert raw_scores(output) is SCORES
    assert class_scores(output, torch.zeros(2, 3, 8, 8)).shape == (2, 3, 8, 8)
