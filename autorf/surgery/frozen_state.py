"""The state of a frozen model: marked as such, or without the mark for code that has no autorf."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from autorf.errors import InputError, a_type
from autorf.ops._arguments import check_module
from autorf.surgery.adaptation import adaptive_modules
from autorf.surgery.record import RECORD, Adaptation
from autorf.surgery.scopes import SCOPES
from autorf.surgery.state_mark import is_mark, set_mark
from autorf.surgery.wrappers import clean_names


def plain_state_dict(model: nn.Module) -> dict[str, Any]:
    """The state of a frozen model for code without autorf: with the keys of the original model and no others.

    The model there must have the field that was found, which :func:`autorf.describe` tells: layers of those dilations,
    and the resizes of a frozen inflation. With other dilations it would take the weights and compute something else.

    Args:
        model: frozen, or changed by hand alone.

    Returns:
        ``model.state_dict()`` without the mark of ``freeze`` and without prefixes of wrappers.

    Raises:
        InputError: for a model that is not frozen, or has a layer without a plain form.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.LearnedDilation(targets="0"))
        >>> autorf.advance(model, 10, 10)  # the training is over
        >>> frozen = autorf.freeze(model)
        >>> sorted(autorf.plain_state_dict(model))
        ['0.bias', '0.weight']
    """
    check_module("plain_state_dict", model)
    for name, module in adaptive_modules(model).items():
        raise InputError(
            f"plain_state_dict: {name!r} is {a_type(module)}, no plain layer; call autorf.freeze(model) first "
            "(it says which layers have no plain form; keep a model with such by autorf.save)"
        )
    clean = clean_names(model)
    return {clean(key): value for key, value in model.state_dict().items() if not is_mark(key)}


def mark_frozen(model: nn.Module) -> None:
    """Mark every module of ``model`` that was given to ``adapt`` and has frozen parts."""
    for module in model.modules():
        record: tuple[Adaptation, ...] = vars(module).get(RECORD, ())
        if any(adaptation.frozen for adaptation in record):
            set_mark(module, torch.tensor(_digest(_frozen_values(module, record))))


def _frozen_values(model: nn.Module, record: Iterable[Adaptation]) -> dict[str, dict[str, float]]:
    """What is fixed in each frozen layer or region."""
    values: dict[str, dict[str, float]] = {}
    for adaptation in record:
        places = SCOPES[adaptation.method.scope].values(model, adaptation.names)
        values |= {name: there for name, there in places.values() if name in adaptation.frozen}
    return values


def _digest(values: Mapping[str, Mapping[str, float]]) -> int:
    text = json.dumps(values, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "little")
