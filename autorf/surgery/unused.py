"""Whether the forward pass runs what was put into a model: a target it does not call is changed without any effect."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from autorf.errors import InputError
from autorf.surgery.dry_run import runnable_input
from autorf.surgery.wrappers import named_modules


class _WeightReads(TorchFunctionMode):
    """Notes which of some parameters are given to any function of torch."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.names, self.read = names, set[str]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor) and id(leaf) in self.names:
                self.read.add(self.names[id(leaf)])
        return func(*args, **(kwargs or {}))


@dataclass
class Uses:
    """What a forward pass did with some layers.

    Attributes:
        names: of the layers.
        called: those that it called.
        read: those whose weight it used, called or not.
    """

    names: tuple[str, ...]
    called: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)

    def problem(self) -> str | None:
        """The first layer that was not called and why that is, in a sentence; None where all were."""
        name = next((name for name in self.names if name not in self.called), None)
        if name is None:
            return None
        if name in self.read:
            return (
                f"{name!r} is never called: the forward pass reads its weight itself, or calls the layer that was "
                f"there through another reference, so changing it has no effect; let forward call {name}(...)"
            )
        return (
            f"{name!r} is never called by the forward pass in evaluation mode, so changing it has no effect; name a "
            "layer that runs"
        )


@contextmanager
def uses_of(layers: Mapping[str, nn.Module]) -> Iterator[Uses]:
    """Note what forward passes do with ``layers`` for a while.

    Not by hooks, which a call of ``layer.forward`` goes around.
    """
    uses = Uses(tuple(layers))
    reads = _WeightReads({id(layer.weight): name for name, layer in layers.items() if hasattr(layer, "weight")})
    try:
        for name, layer in layers.items():
            vars(layer)["forward"] = _noting(layer, name, uses)
        with reads:
            yield uses
    finally:
        uses.read = reads.read
        for layer in layers.values():
            vars(layer).pop("forward", None)


def _noting(layer: nn.Module, name: str, uses: Uses) -> Any:
    forward = layer.forward

    def noting(*args: Any, **kwargs: Any) -> Any:
        uses.called.add(name)
        return forward(*args, **kwargs)

    return noting


def unused_on_any_image(model: nn.Module, layers: Mapping[str, nn.Module]) -> str | None:
    """What is wrong with ``layers`` of ``model`` on a random image; None where all run, or where that cannot be told.

    Nothing is run that would be compiled, shaped by its first input, or meets other processes.
    """
    if not layers or any(_is_particular(module) for module in model.modules()) or _is_wrapped(model):
        return None
    with uses_of(layers) as uses, _without_hooks(model):
        try:
            runnable_input(model, None)
        except InputError:
            return None
    return uses.problem()


@contextmanager
def _without_hooks(model: nn.Module) -> Iterator[None]:
    """Hooks belong to the model's own runs; those that the run itself adds stay, as the model believes them there.

    Transformers' models register what collects their maps on their first run, and never again.
    """
    kinds = ("_forward_hooks", "_forward_pre_hooks")
    held = [getattr(module, kind) for module in model.modules() for kind in kinds]
    before = [dict(hooks) for hooks in held]
    try:
        for hooks in held:
            # In place: handles remove hooks from this very mapping.
            hooks.clear()
        yield
    finally:
        for hooks, earlier in zip(held, before, strict=True):
            added = dict(hooks)
            hooks.clear()
            hooks.update({**earlier, **added})


def _is_particular(module: nn.Module) -> bool:
    lazy = any(is_lazy(parameter) for parameter in module.parameters(recurse=False))
    return lazy or module._compiled_call_impl is not None or isinstance(module, torch.jit.ScriptModule)


def _is_wrapped(model: nn.Module) -> bool:
    return len(named_modules(model)) < len(list(model.named_modules()))
