"""The base of everything a user writes down: frozen, strict about names, clear about what is legal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, to_jsonable_python

from autorf.errors import InputError, hide_passwords, near_names, shown, shown_place

if TYPE_CHECKING:
    # Type checkers know pydantic's metaclass, and check calls by the fields; ours would let every call pass.
    from pydantic._internal._model_construction import ModelMetaclass as _OneLine

    Several = Sequence
else:

    class _OneLine(type(BaseModel)):
        """Says what is wrong with a call's values in one line; files go through :func:`parse`, which names them too."""

        def __call__(self, *args: Any, **values: Any) -> Any:
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                problems = _sentences(self, error).replace("(top level): ", "")
                raise InputError(f"{self.__name__}: {problems}") from None

    Several = tuple[TypeVar("Element"), ...]
"""Many of one type: written as a list or a tuple, which type checkers then take both, and kept as a tuple."""


class Specification(BaseModel, metaclass=_OneLine):
    """A frozen, validated record; an unknown key is an error.

    Raises:
        InputError: naming every field that is wrong, its value and what is legal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Before:
    """Annotates a field that is newer than studies that are stored: the value that means what was done before it.

    Without it a stored study takes the field's present default.

    >>> class Example(Specification):
    ...     margin: Annotated[float, Before(0.0)] = 0.1
    >>> value_before(Example.model_fields["margin"])
    0.0
    """

    value: Any


def default_of(field: FieldInfo) -> Any:
    """The present default of a field that has one, as JSON has it."""
    return to_jsonable_python(field.get_default(call_default_factory=True))


def value_before(field: FieldInfo) -> Any:
    """What a field that was not there yet is taken to be: see :class:`Before`."""
    marks = [mark for mark in field.metadata if isinstance(mark, Before)]
    return to_jsonable_python(marks[0].value) if marks else default_of(field)


def with_older_fields(kind: type[BaseModel], written: Mapping[str, Any]) -> dict[str, Any]:
    """What was written of a specification, and for each field that is newer than that, what was done before it."""
    older = {key: value_before(field) for key, field in kind.model_fields.items() if not field.is_required()}
    return {**older, **written}


def groups_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field holds where it holds nothing else (but None): a group of keys, not a value."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    values = [member for member in members if member is not type(None)]
    models = [member for member in values if isinstance(member, type) and issubclass(member, BaseModel)]
    return models if len(models) == len(values) else []


def fields_in(kinds: Iterable[type[BaseModel]], path: str) -> Iterator[tuple[str, FieldInfo]]:
    """Every field of models and of the groups inside them, by its dotted key, which begins with ``path``."""
    for kind in kinds:
        for name, field in kind.model_fields.items():
            yield f"{path}.{name}", field
            yield from fields_in(groups_in(field.annotation), f"{path}.{name}")


def filled(
    model: Specification, left_out: Callable[[str, FieldInfo], Any], path: str, *, given: bool = True
) -> dict[str, Any]:
    """A specification as plain values, with other defaults than the present ones for what was not given.

    Args:
        model: as it was parsed.
        left_out: of a field's dotted key and the field, the value to take where it was not given.
        path: the dotted key of ``model`` itself.
        given: whether any of it was given.
    """
    plain = model.model_dump(mode="json")
    for name, field in type(model).model_fields.items():
        key, inner = f"{path}.{name}", getattr(model, name)
        is_given = given and name in model.model_fields_set
        if isinstance(inner, Specification) and (is_given or left_out(key, field) is not None):
            plain[name] = filled(inner, left_out, key, given=is_given)
        elif name in plain and not is_given and not field.is_required():
            plain[name] = left_out(key, field)
    return plain


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


NoBool = BeforeValidator(_no_bool)
"""Annotates a field of numbers: ``true`` counts as 1 in Python, and is written by mistake."""

Number = Annotated[float, NoBool]
WholeNumber = Annotated[int, NoBool]
PositiveInt = Annotated[WholeNumber, Field(ge=1, lt=2**31)]
PositiveFloat = Annotated[Number, Field(gt=0)]
ClassNumber = Annotated[WholeNumber, Field(ge=0)]


MOST_PIXELS = 2**27
"""Of an image that a network sees: more than any machine trains on, and few enough to be counted."""


def _pair(value: object) -> object:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _few_pixels(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"at most {MOST_PIXELS} pixels (height x width)")
    return size


ImageSize = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_pair), AfterValidator(_few_pixels)]
"""``[height, width]`` in pixels, 2**27 in all at most; a single number is a square."""

Url = Annotated[str, PlainSerializer(hide_passwords)]
"""A URL whose password is left out of dumps and messages; use ``Field(repr=False)`` for logs."""

Parsed = TypeVar("Parsed", bound=BaseModel)


def parse(kind: type[Parsed], values: object, source: str) -> Parsed:
    """Build ``kind`` from ``values``; every problem becomes one ``InputError`` line that starts with ``source``.

    Raises:
        InputError: naming the source, the field, the value and what is legal.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{shown_place(source)}: expected keys and values, got {shown(values)}")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{shown_place(source)}: {_sentences(kind, error)}") from None


_WORDS = (
    ("Input should be a valid dictionary or object to extract fields from", "must be keys and values"),
    ("Input should be a valid dictionary or instance of", "must be keys and values of"),
    ("Input should", "must"),
    ("Tuple should", "must"),
    (" after validation", ""),
    ("items", "entries"),
    (" item,", " entry,"),
)
"""Pydantic's phrases and ours, in the order they are replaced."""


_MOST_PROBLEMS = 3


def _sentences(kind: type[BaseModel], error: ValidationError) -> str:
    details = error.errors(include_url=False)
    more = [f"and {len(details) - _MOST_PROBLEMS} more"] if len(details) > _MOST_PROBLEMS else []
    return "; ".join([_sentence(kind, detail) for detail in details[:_MOST_PROBLEMS]] + more)


def _sentence(kind: type[BaseModel], detail: ErrorDetails) -> str:
    location, allowed = _place(kind, detail["loc"])
    field = shown_place(".".join(location)) or "(top level)"
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            keys = f"; known here: {', '.join(allowed)}" if allowed else ""
            return f"{field}: unknown key{near_names(location[-1], allowed)}{keys}"
        case "missing":
            return f"{field}: this key is required"
        case "value_error":
            if "error" not in context:
                return detail["msg"]
            # Of a whole part of a file its keys are known; repeating them all would hide the message.
            got = "" if isinstance(detail["input"], Mapping) else f" (got {shown(detail['input'])})"
            return f"{field}: {context['error']}{got}" if location else f"{context['error']}{got}"
        case "union_tag_invalid":
            tag, expected = str(context["tag"]), str(context["expected_tags"])
            names = [name.strip(" '") for name in expected.split(",")]
            key = str(context["discriminator"]).strip("'")
            return f"{field}: unknown {key} {shown(tag)}{near_names(tag, names)}; one of {expected}"
        case "union_tag_not_found":
            return f"{field}: the key {context['discriminator']} is required"
    message = detail["msg"]
    for theirs, ours in _WORDS:
        message = message.replace(theirs, ours)
    return f"{field}: {message}, got {shown(detail['input'])}"


def _place(kind: type[BaseModel], location: Iterable[int | str]) -> tuple[list[str], list[str]]:
    """A pydantic location as the file has it, without the tags of unions, and the keys that are known at its parent."""
    kinds: list[type[BaseModel]] = [kind]
    path: list[str] = []
    allowed: list[str] = []
    for part in location:
        if "[" in str(part):
            # Pydantic's name for one of several types that a field may have.
            continue
        tagged = [k for k in kinds if _tag(k) == part]
        if tagged and not any(part in k.model_fields for k in kinds):
            kinds = tagged
            continue
        path.append(str(part))
        allowed = sorted({name for k in kinds for name in k.model_fields})
        kinds = [m for k in kinds if part in k.model_fields for m in _models(k.model_fields[str(part)].annotation)]
    return path, allowed


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models(inner)]


def _tag(kind: type[BaseModel]) -> str | None:
    for name in ("name", "kind", "method"):
        if name in kind.model_fields:
            values = getattr(kind.model_fields[name].annotation, "__args__", ())
            if values:
                return str(values[0])
    return None
