"""Two classes told apart by one output channel."""

import math
from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from autorf.training.outputs import raw_scores


class TwoScores:
    """A forward hook that gives a network of one channel the scores ``(N, 2, H, W)`` of both classes.

    They are 0 and ``z - log(t / (1 - t))`` for the network's ``z`` and the threshold ``t``: class 1 has the higher one
    where the sigmoid of ``z`` exceeds ``t``, and resizing leaves that as it is. Whatever takes scores of classes takes
    these.
    """

    def __init__(self, threshold: float) -> None:
        self.shift = logit(threshold)

    def __call__(self, module: nn.Module, arguments: Any, output: Any) -> Any:
        """The network's output with its scores replaced."""
        one = raw_scores(output)
        both = torch.cat([torch.zeros_like(one), one - self.shift], 1)
        if isinstance(output, Tensor):
            return both
        if isinstance(output, MutableMapping) and "out" in output:
            output["out"] = both
        elif isinstance(output, dict):
            output["logits"] = both
        else:
            output.logits = both
        return output


def with_two_scores(network: nn.Module, threshold: float) -> nn.Module:
    """The network of one output channel, which from now on answers with the scores of two classes.

    >>> network = with_two_scores(nn.Conv2d(3, 1, 1), 0.5)
    >>> network(torch.rand(1, 3, 4, 4)).shape
    torch.Size([1, 2, 4, 4])
    """
    network.register_forward_hook(TwoScores(threshold))
    return network


def single_score(scores: Tensor, threshold: float) -> Tensor:
    """The network's own channel ``(N, 1, H, W)``, from the scores of two classes that were made of it."""
    return scores[:, 1:] - scores[:, :1] + logit(threshold)


def logit(threshold: float) -> float:
    """The score whose sigmoid is the threshold."""
    return math.log(threshold / (1 - threshold))
