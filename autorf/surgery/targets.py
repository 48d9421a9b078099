"""Which modules of a model a method means."""

import re
from collections.abc import Sequence

from torch import nn

from autorf.errors import InputError, a_type, near_names
from autorf.methods.base import LayerMethod
from autorf.surgery.wrappers import named_modules, submodule


def target_names(model: nn.Module, method: LayerMethod) -> list[str]:
    """The names of the modules that ``method`` targets, in the model's order.

    Raises:
        InputError: when nothing matches, or a listed name does not exist.
    """
    return matched_names([name for name, _ in named_modules(model) if name], _targets(model, method))


def checked_layers(model: nn.Module, method: LayerMethod, names: Sequence[str]) -> dict[str, nn.Conv2d]:
    """The convolutions of these names.

    Raises:
        InputError: when ``method`` cannot change one of them.
    """
    return {name: method.check_layer(name, submodule(model, name)) for name in names}


def matched_names(names: Sequence[str], targets: str | Sequence[str]) -> list[str]:
    """The module names that ``targets`` matches: one full-match expression, or exact names and ``.suffix``es.

    Raises:
        InputError: for an expression that does not compile, or a target that matches nothing, with near names.
    """
    if isinstance(targets, str):
        try:
            pattern = re.compile(targets)
        except re.error as error:
            raise InputError(f"targets {targets!r} is no regular expression: {error}") from None
        matched = [name for name in names if pattern.fullmatch(name)]
        if not matched:
            raise _nothing(targets, names)
        return matched
    if not targets:
        raise InputError("targets is an empty list; name at least one layer")
    chosen: set[str] = set()
    for target in targets:
        matched = [name for name in names if name == target or (target.startswith(".") and name.endswith(target))]
        if not matched:
            raise _nothing(target, names)
        chosen.update(matched)
    return [name for name in names if name in chosen]


def _targets(model: nn.Module, method: LayerMethod) -> str | Sequence[str]:
    if method.targets is not None:
        return method.targets
    offered = getattr(model, "receptive_field_layers", None)
    if offered is None:
        raise InputError(
            f"{method.method}: targets is required for {a_type(model)}: a regular expression over module "
            "names, or a list of names (list them with model.named_modules())"
        )
    return tuple(offered)


def _nothing(target: str, names: Sequence[str]) -> InputError:
    if not names:
        return InputError(f"targets {target!r}: the model has no modules inside it; wrap it: nn.Sequential(model)")
    near = near_names(target.replace("\\", ""), names) or f"; the model has {len(names)} modules, such as {names[-1]!r}"
    return InputError(f"targets {target!r} matches no module of the model (the whole name must match){near}")
