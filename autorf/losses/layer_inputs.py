"""What goes into named layers of a network while it computes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from autorf.errors import InputError, a_type, near_names

FIELD = "training.loss.layer"


def width_into(model: nn.Module, name: str) -> int:
    """The channels that a convolution takes.

    Raises:
        InputError: where ``model`` has no layer of that name, or one that is no convolution.
    """
    layers = dict(model.named_modules())
    if name not in layers:
        raise InputError(f"{FIELD}: the network has no layer {name!r}{near_names(name, layers)}")
    width = getattr(layers[name], "in_channels", None)
    if not isinstance(width, int):
        raise InputError(
            f"{FIELD}: {name} is {a_type(layers[name])}, not a convolution; name the one that gives the scores"
        )
    return width


@contextmanager
def inputs_of(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the inputs of the layers that ``names`` lists; of a layer that is passed several times, the last.

    Examples:
        >>> import torch
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))
        >>> with inputs_of(model, ["1"]) as inputs:
        ...     scores = model(torch.rand(1, 3, 5, 5))
        >>> inputs["1"].shape
        torch.Size([1, 4, 5, 5])
    """
    inputs: dict[str, Tensor] = {}

    def keeper(name: str) -> Any:
        def keep(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            # A layer that is given its input by name keeps it to itself.
            inputs.update({name: arguments[0]} if arguments else {})

        return keep

    with ExitStack() as hooks:
        for name in names:
            hooks.enter_context(model.get_submodule(name).register_forward_pre_hook(keeper(name)))
        yield inputs
