"""Turn what a method learned into plain layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from autorf.errors import InputError
from autorf.methods.modules import AdaptiveModule
from autorf.methods.region import Region
from autorf.ops._arguments import check_module, check_tensor, check_values
from autorf.surgery.adaptation import adaptive_modules
from autorf.surgery.dry_run import evaluation, random_like_parameters, run
from autorf.surgery.frozen_state import mark_frozen
from autorf.surgery.record import RECORD, Adaptation
from autorf.surgery.scopes import SCOPES
from autorf.surgery.sharding import gather, is_sharded
from autorf.surgery.swap import put_back, rebind, swap
from autorf.surgery.verification import check_finished
from autorf.surgery.wrappers import named_modules, submodule, unwrapped


@dataclass(frozen=True)
class Frozen:
    """What ``freeze`` folded into plain layers, and what it had to leave, by name with the reason."""

    folded: tuple[str, ...]
    left: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"{name}  folded" for name in self.folded]
        return "\n".join([*lines, *(f"{name}  left: {reason}" for name, reason in self.left.items())] or ["nothing"])


def freeze(model: nn.Module, example_input: Tensor | None = None, *, unfinished: bool = False) -> Frozen:
    """Replace every adaptive module of ``model`` by a plain one with the same output, in place, where there is one.

    Every pair is compared on random input first; the model is untouched after an error. The state of a frozen model has
    one more key, whose name says what to do where it does not belong; :func:`autorf.plain_state_dict` leaves it out.

    A model that ``fully_shard`` spread over processes is gathered first: call it in every process, and each holds the
    whole plain model afterwards, sharded no more.

    Args:
        model: adapted, its training finished (``advance`` has reached the last step).
        example_input: ``(N, C, H, W)``; if given, the whole model's output is compared as well.
        unfinished: whether to freeze a search that is not over as it is in evaluation now.

    Returns:
        The names of the modules that were folded, and of those whose method has no plain form, with the reason.

    Raises:
        InputError: when a search is not over, a plain layer would give another output, or the model fails on
            ``example_input``.

    Warns:
        TrainingWarning: once, where what is frozen was not trained as it should be; see :func:`verify`.

    Note:
        A frozen model goes through ``torch.export`` and ``torch.onnx.export``, and so do modules left by a per-pixel
        method, for images of any number and size; export under ``torch.no_grad``, by a contiguous image.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> model = autorf.adapt(model, autorf.LearnedDilation(targets="0"))
        >>> autorf.advance(model, 10, 10)  # the training is over
        >>> print(autorf.freeze(model))
        0  folded
        >>> type(model[0]).__name__
        'Conv2d'
    """
    check_module("freeze", model)
    if example_input is not None:
        check_tensor("freeze", "example_input", example_input)
        check_values("freeze", "example_input", [example_input])
    model = unwrapped(model)
    check_finished(model, unfinished=unfinished)
    before = None if example_input is None else run(model, example_input)
    if is_sharded(model):
        gather(model)
    plain: dict[str, nn.Module] = {}
    left: dict[str, str] = {}
    for name, module in adaptive_modules(model).items():
        folded = module.frozen()
        if folded is None:
            left[name] = module.unfolded_because
            continue
        plain[name] = folded.train(module.training)
        _prove(name, module, folded)
    undo = exchange(model, plain)
    if example_input is not None and (difference := _difference(before, run(model, example_input))):
        undo()
        raise InputError(f"freeze: the model's output differs by {difference:.3g}; nothing was changed")
    record_frozen(model, plain)
    return Frozen(tuple(plain), left)


def exchange(model: nn.Module, plain: Mapping[str, nn.Module]) -> Callable[[], None]:
    """Put plain modules into ``model`` for adaptive ones; return how to undo it."""
    pairs = [(submodule(model, name), module) for name, module in plain.items()]
    regions = [(old, new) for old, new in pairs if isinstance(old, Region) and isinstance(new, Region)]
    before = swap(model, plain)
    for old, new in regions:
        rebind(model, old, new)

    def undo() -> None:
        put_back(model, before)
        for old, new in regions:
            rebind(model, new, old)

    return undo


def _prove(name: str, module: AdaptiveModule, plain: nn.Module) -> None:
    """Raise unless ``plain`` gives what ``module`` gives on random input."""
    side = 3 + max(getattr(plain, "dilation", (10,)))
    with torch.no_grad(), evaluation(module), evaluation(plain):
        for shape, more in module.probes(side):
            input = random_like_parameters(module, shape)
            # Not called but forwarded: hooks belong to the model's own runs.
            if difference := _difference(module.forward(input, *more), plain.forward(input, *more)):
                raise InputError(f"freeze: the plain form of {name!r} differs by {difference:.3g}")


def _difference(first: object, second: object) -> float:
    """The largest difference beyond rounding, 0 where there is none."""
    worst = 0.0
    for value, other in zip(tree_leaves(first), tree_leaves(second), strict=True):
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            difference = (value.double() - other.double()).abs().max().item()
            allowed = 32 * torch.finfo(value.dtype).eps * max(1.0, value.abs().max().item())
            worst = max(worst, difference if not difference <= allowed else 0.0)
    return worst


def record_frozen(model: nn.Module, folded: Mapping[str, nn.Module]) -> None:
    """Note in ``model`` which of its adapted modules are plain now, and mark its state."""
    for prefix, module in named_modules(model):
        if RECORD in vars(module):
            adaptations: tuple[Adaptation, ...] = vars(module)[RECORD]
            frozen = [_frozen_names(module, prefix, adaptation, folded) for adaptation in adaptations]
            done = (replace(adaptation, frozen=names) for adaptation, names in zip(adaptations, frozen, strict=True))
            setattr(module, RECORD, tuple(done))
    mark_frozen(model)


def _frozen_names(
    model: nn.Module, prefix: str, adaptation: Adaptation, folded: Mapping[str, nn.Module]
) -> tuple[str, ...]:
    before = f"{prefix}." if prefix else ""
    plain = {name for name in adaptation.names if name in adaptation.frozen or before + name in folded}
    return SCOPES[adaptation.method.scope].frozen(model, adaptation.names, plain)
