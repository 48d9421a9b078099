"""Running a model once without leaving a trace in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from autorf.errors import InputError
from autorf.fields.recording import output_of_shapes
from autorf.methods.modules import AdaptiveConv2d

CHANNELS = "autorf_channels"
"""The attribute of a model that says for images of how many channels it was built."""

SIZES = ((96, 128), (224, 224))
"""Images tried where none is given: unequal sides first, then what networks with a fixed size usually want."""


def run(model: nn.Module, input: Tensor, *, shapes_only: bool = False) -> Any:
    """The output of ``model`` in evaluation mode, without gradients; modes and random numbers stay as they were.

    Args:
        model: any.
        input: ``(N, C, H, W)``.
        shapes_only: see :func:`of_shapes`.

    Raises:
        InputError: when the model fails, with its own words.
    """
    with evaluation(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            return of_shapes(model, input) if shapes_only else model(input)
        except InputError:
            raise
        except Exception as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(
                f"the dry run of the {type(model).__name__} on an input of shape {tuple(input.shape)} failed: "
                f"{reason[:300]}; pass an example_input (N, C, H, W) that it takes"
            ) from error


def of_shapes(model: nn.Module, input: Tensor) -> Any:
    """``model(input)`` of shapes without values where the model can run on these alone, else of values.

    A large network on a large image takes a moment so, instead of minutes and gigabytes.
    """
    try:
        return output_of_shapes(model, input)
    except Exception:
        # It reads values, or does not take the input, for which it has its own words.
        return model(input)


def runnable_input(model: nn.Module, example_input: Tensor | None) -> Tensor:
    """``example_input``, or a random image that ``model`` takes.

    Raises:
        InputError: when the model fails on it.
    """
    if example_input is not None:
        run(model, example_input)
        return example_input
    problem: InputError | None = None
    for size in SIZES:
        image = random_like_parameters(model, (1, input_channels(model), *size))
        try:
            run(model, image)
        except InputError as error:
            problem = problem or error
        else:
            return image
    assert problem is not None
    raise problem


def input_channels(model: nn.Module) -> int:
    """Channels that the model was built for, else those of its first convolution; 3 where there is none."""
    built_for = next((vars(module)[CHANNELS] for module in model.modules() if CHANNELS in vars(module)), None)
    if built_for is not None:
        return int(built_for)
    kinds = (nn.Conv2d, AdaptiveConv2d)
    return next((module.in_channels for module in model.modules() if isinstance(module, kinds)), 3)


def random_like_parameters(model: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Normal random numbers of the type and on the device of ``model``'s parameters, always the same ones."""
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.to(device=like.device, dtype=like.dtype)


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; each module's own mode comes back afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def hooked(start: nn.Module, enter: Callable[..., Any], end: nn.Module, leave: Callable[..., Any]) -> Iterator[None]:
    """A pre-hook on ``start`` and a hook on ``end`` for a while."""
    handles = [start.register_forward_pre_hook(enter), end.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def shapes(output: Any) -> Any:
    """``output`` with every tensor replaced by its shape."""
    return tree_map(lambda value: tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__, output)
