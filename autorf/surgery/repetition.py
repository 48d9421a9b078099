"""Frameworks that run the code which adapts a model again and again on the same model."""

from collections.abc import Sequence
from weakref import WeakSet

from torch import nn

from autorf.methods.base import Method

_REPEATING: WeakSet[nn.Module] = WeakSet()


def allow_repetition(model: nn.Module) -> None:
    """From now on a repeated ``adapt`` of ``model``, or of a module inside it, by the same method changes nothing.

    Lightning calls ``setup`` and ``configure_model`` for every fit, validation and test.
    """
    _REPEATING.add(model)


def may_repeat(model: nn.Module) -> bool:
    """Whether ``model`` is, or lies within, one that :func:`allow_repetition` was called for."""
    return any(inner is model for outer in _REPEATING for inner in outer.modules())


def all_done(methods: Sequence[Method], done: Sequence[Method]) -> bool:
    """Whether each of ``methods`` is one of those that were ``done``."""
    return all(any(_same(method, before) for before in done) for method in methods)


def _same(method: Method, before: Method) -> bool:
    if method == before:
        return True
    # What was placed by the network names its place afterwards.
    given = {name: getattr(method, name, None) for name in method.place}
    return type(method) is type(before) and not any(given.values()) and before.model_copy(update=given) == method
