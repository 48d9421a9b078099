"""Which configuration of a study a published figure is of."""

from collections.abc import Mapping
from typing import Any

from autorf.errors import InputError, near_names
from autorf.methods import METHODS
from autorf.specification import default_of
from autorf.study.settings import axis_annotation, is_setting, value_at, with_settings
from autorf.study.spec import StudySpec

METHOD = "method"


def check_where(spec: StudySpec, where: Mapping[str, Any], place: str) -> None:
    """Raise ``InputError``, naming the ``place``, for what no configuration of the study can have."""
    fields = {METHOD, *(name for method in METHODS.values() for name in method.model_fields)}
    for key in where:
        if is_setting(key):
            axis_annotation(key, place, spec)
        elif key not in fields:
            raise InputError(
                f"{place}: {key!r} is no field of a method and no key of the study file{near_names(key, fields)}"
            )
    with_settings(spec, _settings(where), place)


def is_of(where: Mapping[str, Any], spec: StudySpec, method: str, params: Mapping[str, Any]) -> bool:
    """Whether a configuration, a method and its parameters, has every value in ``where``.

    >>> from autorf.study.spec import parse_study
    >>> study = parse_study({"name": "a", "data": {"name": "digits"}, "model": {"name": "largefov:resnet18"},
    ...                      "search_space": ["dilation"]}, "a.yaml")
    >>> is_of({"rate": 2, "training.lr": 0.003}, study, "dilation", {"rate": 2})
    True
    """
    settings = _settings(where)
    try:
        # Read from checked studies, which have one form of a value, however a file writes it.
        meant, trained = with_settings(spec, settings, "published"), with_settings(spec, _settings(params), "published")
    except InputError:
        return False
    if any(value_at(meant, key) != value_at(trained, key) for key in settings):
        return False
    fields = METHODS[method].model_fields if method in METHODS else {}
    own = {name: default_of(field) for name, field in fields.items() if not field.is_required()}
    own |= {METHOD: method, **params}
    return all(own.get(key) == value for key, value in where.items() if not is_setting(key))


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if is_setting(key)}
