"""Whole values of parameters that ``fully_shard`` spreads over processes."""

from torch import Tensor


def gathered(value: Tensor) -> Tensor:
    """The whole of ``value``, of which every process may hold a part; every process must ask for it then.

    >>> import torch
    >>> gathered(torch.ones(2))
    tensor([1., 1.])
    """
    whole: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return whole
