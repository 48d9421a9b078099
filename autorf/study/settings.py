"""Settings of a trial: dotted keys of the study file in which it differs from its study."""

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, get_args, get_origin

from autorf.errors import InputError, near_names
from autorf.specification import fields_in, groups_in, parse
from autorf.study.spec import StudySpec
from autorf.study.task_checks import check_task

PARTS = ("training", "model", "data")
"""The parts of a study file whose keys may be axes of a search space."""

Settings = tuple[tuple[str, Any], ...]
"""Sorted dotted keys and their values; lists are tuples and keys with values :class:`Keys`, so that settings can be
compared and hashed."""

LOSS = "training.loss"
"""The one group of keys that is an axis as a whole too: its choices are losses, among them sums."""


class Keys(tuple[tuple[str, Any], ...]):
    """Keys and their values within a setting, sorted."""

    __slots__ = ()


_SAME_LENGTH = "the length is the study's, so that its trials are trained equally; only a method asks for more"
_REFUSED = {
    "training.epochs": _SAME_LENGTH,
    "training.steps": _SAME_LENGTH,
    "training.validate_every": "pruning compares trials after equally many validations; set it for the study",
    "training.seeds": "seeds are an axis of their own: training.seeds lists them for every configuration",
    "training.threads": "it changes how fast a trial trains and nothing else; set it for the study",
    "training.loader_workers": "it changes how fast a trial trains and nothing else; set it for the study",
    "training.compile": "it changes how fast a trial trains and nothing else; set it for the study",
    "model.places": "methods have fields for it: targets, start and end",
    "data.score_at": "two scales are never compared; set it for the study",
    "data.fold": "every configuration is trained on every fold; set data.folds for the study",
}
IMAGE_SIZE = "data.image_size"
"""An axis whose trials are scored at the masks' own size, see :mod:`autorf.study.scale`."""

FOLD = "data.fold"
"""The setting that holds which fold of the data validates a trial; never an axis."""

HEAT_MAP = "data.landmarks.heat_map"
"""An axis that gives images another channel, and masks nothing."""

_DATA = ("data.n_train", "data.half", "data.augmentation", HEAT_MAP)
"""Of the data, what leaves the validation split as it is."""


def is_setting(name: str) -> bool:
    """Whether the key of a configuration is one of the study file's, not one of the method's."""
    part, dot, _ = name.partition(".")
    return bool(dot) and part in PARTS


def axis_annotation(key: str, source: str, study: StudySpec | None = None) -> Any:
    """The type of the values of an axis over a key of the study file.

    Args:
        key: dotted, such as ``training.schedule.gamma``.
        source: for messages.
        study: whose data set has the key; None for any data set.

    Raises:
        InputError: for a key that no study file has, with near names, or one whose trials could not be compared, with
            the reason.
    """
    keys = {name: field.annotation for part in PARTS for name, field in fields_in(_kinds(part, study), part)}
    holder = next((name for name in keys if key.startswith(f"{name}.") and _is_open(keys[name])), None)
    if key not in keys and holder is None:
        raise InputError(
            f"{source}: {key}: cannot be searched: it is no key of the study file{near_names(key, _axes(keys))}"
        )
    if reason := _reason_against(key):
        raise InputError(f"{source}: {key}: cannot be searched: {reason}")
    if holder is not None:
        return get_args(_mapping(keys[holder]))[1] if get_args(_mapping(keys[holder])) else Any
    if key != LOSS and (groups_in(keys[key]) or _is_open(keys[key])):
        inner = ", ".join(name for name in keys if name.startswith(f"{key}.")) or f"{key}.NAME"
        raise InputError(f"{source}: {key}: cannot be searched: it is a group of keys; give one of them: {inner}")
    return keys[key]


def _kinds(part: str, study: StudySpec | None) -> list[Any]:
    return groups_in(StudySpec.model_fields[part].annotation) if study is None else [type(getattr(study, part))]


def _reason_against(key: str) -> str | None:
    if key.startswith("data.") and key not in _REFUSED and not key.startswith((IMAGE_SIZE, *_DATA)):
        others = ", ".join((IMAGE_SIZE, *_DATA))
        return f"it changes what is validated, and such scores cannot be compared; of the data {others}.* can"
    if key.startswith("training.stop."):
        return _SAME_LENGTH
    return _REFUSED.get(key)


def _axes(keys: Mapping[str, Any]) -> list[str]:
    return [name for name, annotation in keys.items() if not groups_in(annotation) and not _reason_against(name)]


def _mapping(annotation: Any) -> Any:
    """The mapping among the types that a field may have, or None."""
    members = (annotation, *get_args(annotation))
    return next((member for member in members if (get_origin(member) or member) in (dict, Mapping)), None)


def _is_open(annotation: Any) -> bool:
    """Whether any key may stand inside a field: keyword arguments of a network."""
    others = [member for member in get_args(annotation) if member is not NoneType]
    return _mapping(annotation) is not None and (get_origin(annotation) in (dict, Mapping) or len(others) == 1)


def with_settings(study: StudySpec, settings: Mapping[str, Any], source: str) -> StudySpec:
    """The study with other values under dotted keys, checked as a study file is.

    Raises:
        InputError: naming the source, the key and the value.
    """
    parts: dict[str, Any] = {}
    for part in PARTS:
        changes = {key: value for key, value in settings.items() if key.startswith(f"{part}.")}
        if changes:
            kind, plain = type(getattr(study, part)), getattr(study, part).model_dump(mode="json")
            if "training.steps" in changes:
                # A length of its own replaces the study's.
                plain.pop("epochs", None)
            for key, value in changes.items():
                plain = _replaced(plain, key.split(".")[1:], thawed(value))
            parts[part] = parse(kind, plain, f"{source}: {part}")
    if not parts:
        return study
    changed = study.model_copy(update=parts)
    check_task(changed, source)
    return changed


def differing(study: StudySpec, settings: Mapping[str, Any], source: str) -> Settings:
    """Those of ``settings`` that are not the study's own, in their canonical form.

    Raises:
        InputError: see :func:`with_settings`.
    """
    if not settings:
        return ()
    # Read back from the checked study, which has one form of a value (1.0 for a written 1), lest one trial be two.
    changed = with_settings(study, settings, source)
    values = {key: value_at(changed, key) for key in settings}
    return canonical({key: value for key, value in values.items() if value != value_at(study, key)}, source)


def canonical(settings: Mapping[str, Any], source: str) -> Settings:
    """Settings sorted by their keys.

    Raises:
        InputError: for a value that itself has keys.
    """
    return tuple(
        sorted((key, _frozen(value, f"{source}: {key}", has_keys=key == LOSS)) for key, value in settings.items())
    )


def value_at(study: StudySpec, key: str) -> Any:
    """The plain value under a dotted key; None where there is none. A loss is written in its shortest form."""
    if key == LOSS:
        return study.training.loss.written
    part, *path = key.split(".")
    value: Any = getattr(study, part).model_dump(mode="json")
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def thawed(value: Any) -> Any:
    """A setting's value as JSON has it."""
    if isinstance(value, Keys):
        return {name: thawed(inner) for name, inner in value}
    return [thawed(inner) for inner in value] if isinstance(value, list | tuple) else value


def _frozen(value: Any, place: str, *, has_keys: bool) -> Any:
    if isinstance(value, Mapping) and not has_keys:
        raise InputError(f"{place}: a choice is a plain value, not keys and values: {dict(value)}; list a key of them")
    if isinstance(value, Mapping):
        return Keys(sorted((name, _frozen(inner, place, has_keys=True)) for name, inner in value.items()))
    return (
        tuple(_frozen(inner, place, has_keys=has_keys) for inner in value) if isinstance(value, list | tuple) else value
    )


def _replaced(values: Any, path: Iterable[str], value: Any) -> dict[str, Any]:
    name, *inner = path
    before = values if isinstance(values, Mapping) else {}
    return {**before, name: _replaced(before.get(name), inner, value) if inner else value}
