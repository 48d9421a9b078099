"""Networks that the user's own code builds."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from autorf.errors import InputError, a_type
from autorf.networks.arguments import constructor_of
from autorf.networks.spec import ModelSpec
from autorf.own_code.importing import call, digest_of_reference, resolve
from autorf.own_code.reference import parse_reference
from autorf.surgery.sidecar import BUILDER

_FIELD = "model.name"
_OF_LIBRARIES = ("output_stride", "stage", "upsample")
"""Keys for networks of libraries."""


def own_network(spec: ModelSpec, classes: int) -> nn.Module:
    """What ``build(classes, **args)`` of a ``python:`` reference returns; it carries whose code built it.

    Raises:
        InputError: for keys that only networks of libraries have, arguments that the function lacks, or a function
            that cannot be imported, raises, or returns no module.
    """
    _check_keys(spec)
    reference = parse_reference(spec.name)
    build = resolve(reference, _FIELD)
    if spec.args:
        _check_arguments(build, spec)
    model = call(reference, _FIELD, classes, **spec.args)
    if not isinstance(model, nn.Module):
        raise InputError(f"{_FIELD}: {reference} returned {a_type(model)}; a model is a torch.nn.Module")
    vars(model)[BUILDER] = {"reference": str(reference), "digest": digest_of_reference(reference)}
    return model


def _check_keys(spec: ModelSpec) -> None:
    if spec.pretrained:
        raise InputError(
            f"model.pretrained: {spec.name} is your own; have it load its weights, or give model.weights or "
            "model.encoder_weights a file"
        )
    for key in _OF_LIBRARIES:
        if getattr(spec, key) != ModelSpec.model_fields[key].default:
            raise InputError(f"model.{key}: {spec.name} is your own; give what it takes in model.args")


def _check_arguments(build: Callable[..., Any], spec: ModelSpec) -> None:
    try:
        kinds = {parameter.kind for parameter in inspect.signature(build).parameters.values()}
    except ValueError:
        # What is written in C has no signature; it says itself what it does not take.
        return
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds
    constructor_of(build, spec.name, passes_on=takes_any).check_behind_classes(spec.args)
