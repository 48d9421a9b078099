"""A method on a model, and what checks of it share: a short training, and expectations in words."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from autorf.methods.base import Method
from autorf.surgery import adapt, advance, parameter_groups
from autorf.surgery.adaptation import adaptive_modules

MIDWAY = 0.2
"""The share of a training at which the built-in methods are under way: past their hold, their windows open."""


@dataclass(frozen=True)
class Case:
    """A method on a model.

    Attributes:
        make_model: a new model, unadapted; its outputs are tensors or nests of them. For ``check_new_process`` it
            must be picklable, such as a ``functools.partial`` of a class.
        method: what to adapt it by.
        example_input: ``(N, C, H, W)``, N > 1 so that batch normalisation can train.
    """

    make_model: Callable[[], nn.Module]
    method: Method
    example_input: Tensor

    @cached_property
    def _model(self) -> nn.Module:
        with seeded():
            return self.make_model().eval()

    def original(self) -> nn.Module:
        """The model before ``adapt``, in evaluation mode; always the same weights."""
        return copy.deepcopy(self._model)

    def adapted(self) -> nn.Module:
        """The adapted model in evaluation mode."""
        return adapt(self.original(), self.method)

    def trained(self, progress: float = MIDWAY) -> nn.Module:
        """The adapted model at ``progress`` of a training, in evaluation mode, its learned values moved."""
        model = self.adapted().train()
        optimizer = torch.optim.SGD(parameter_groups(model, lr=1e-3), lr=1e-3)
        advance(model, 0, 100)
        with seeded():
            loss(model(self.example_input)).backward()
        optimizer.step()
        with torch.no_grad():
            for parameter in own_parameters(model):
                parameter.add_(0.1)
        advance(model, round(100 * progress), 100)
        return model.eval()

    @cached_property
    def learns(self) -> bool:
        """Whether the method puts anything that learns into the model; manual methods do not."""
        return bool(own_parameters(self.adapted()))

    def output(self, model: nn.Module) -> Any:
        """What ``model`` gives for the example input."""
        with seeded(), torch.no_grad():
            return model(self.example_input)


def own_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What the methods in ``model`` learn, each parameter once."""
    rules = (rule for module in adaptive_modules(model).values() for rule in module.learning_rules())
    return list({id(parameter): parameter for rule in rules for parameter in rule.parameters}.values())


def loss(output: Any) -> Tensor:
    """The mean square of all outputs."""
    total = sum(value.float().square().mean() for value in tree_leaves(output) if isinstance(value, Tensor))
    assert isinstance(total, Tensor)
    return total


@contextmanager
def seeded() -> Iterator[None]:
    """The same random numbers each time, none of them taken from the caller's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def expect(condition: bool, broken: str) -> None:
    """Raise ``AssertionError`` with the promise that is ``broken``."""
    if not condition:
        raise AssertionError(broken)


def expect_equal(actual: Any, expected: Any, what: str) -> None:
    """Expect the same numbers, bit for bit."""
    expect_close(actual, expected, what, rtol=0.0)


def expect_close(actual: Any, expected: Any, what: str, *, rtol: float = 1e-4) -> None:
    """Expect the same numbers up to ``rtol`` of the largest one."""
    for value, other in zip(tree_leaves(actual), tree_leaves(expected), strict=True):
        if isinstance(value, Tensor) and value.numel():
            expect(value.shape == other.shape, f"{what} has shape {tuple(value.shape)}, not {tuple(other.shape)}")
            difference = (value.double() - other.double()).abs().max().item()
            allowed = rtol * max(1.0, other.double().abs().max().item())
            expect(difference <= allowed, f"{what} differs by {difference:.3g}")
