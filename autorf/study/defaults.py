"""What a study means by what is left out: the defaults that it began with, whatever those of today are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic.fields import FieldInfo

from autorf.methods import METHODS, Method
from autorf.specification import default_of, fields_in, filled, parse, value_before
from autorf.study.own_loop import study_class
from autorf.study.spec import StudySpec

PARTS = ("data", "model", "training", "search")
"""The parts of a study file that results depend on."""

PLACES = "model.places"
"""Where methods without targets work: chosen for every network once, so that a new one only adds to them."""

MAY_CHANGE = (
    "training.seeds", "search.budget", "search.stop", "search.controls", "search.margin", "data.digest_gb",
    "data.cache_gb", "data.pictures.max_megapixels", "training.loader_workers", PLACES,
)  # fmt: skip
"""What only says how much to run or to read, or how it is judged, and may change while a study goes on."""


def method_defaults() -> dict[str, dict[str, Any]]:
    """What a configuration means today by the fields that it leaves out, by method."""
    return {name: _method_defaults(kind) for name, kind in METHODS.items()}


def _method_defaults(kind: type[Method]) -> dict[str, Any]:
    return {key: default_of(info) for key, info in kind.model_fields.items() if not info.is_required()}


def file_defaults(spec: StudySpec) -> dict[str, Any]:
    """What a study file means today by the dotted keys that it leaves out, of the parts that results depend on."""
    return {
        key: default_of(info)
        for part in PARTS
        for key, info in fields_in([type(getattr(spec, part))], part)
        if not info.is_required()
    }


@dataclass(frozen=True)
class Defaults:
    """The defaults that a study began with; those of today for a study that begins.

    Configurations are stored in the study's terms: what equals its defaults is left out. Everywhere else they are in
    today's terms. The two differ where a default has changed meanwhile.

    Attributes:
        methods: by method and field; a field that is newer means what was done before it, see
            :class:`autorf.specification.Before`.
        file: by dotted key of the study file; None where the study began before they were kept.
        spec: the study file when it began.
    """

    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    file: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] | None = None

    @cached_property
    def _changes(self) -> dict[str, dict[str, tuple[Any, Any]]]:
        """By method and field the default then and the one today, where they differ."""
        changes: dict[str, dict[str, tuple[Any, Any]]] = {}
        for name, stored in self.methods.items():
            fields = METHODS[name].model_fields if name in METHODS else {}
            for key, info in fields.items():
                if info.is_required():
                    continue
                # A field that the study does not know of means what was done before there was such a field.
                then, now = stored.get(key, value_before(info)), default_of(info)
                if then != now:
                    changes.setdefault(name, {})[key] = (then, now)
        return changes

    def changed(self, method: str) -> dict[str, Any]:
        """The fields of a method whose default is another one today, with that of the study."""
        return {key: then for key, (then, _) in self._changes.get(method, {}).items()}

    def to_today(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """A stored configuration in today's terms."""
        changes = self._changes.get(str(configuration.get("method")), {})
        return _translated(configuration, changes)

    def to_stored(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration in the study's terms, of which its key is the hash."""
        changes = self._changes.get(str(configuration.get("method")), {})
        return _translated(configuration, {key: (now, then) for key, (then, now) in changes.items()})

    def completed(self, spec: StudySpec) -> StudySpec:
        """A study file as it was read, what it leaves out taken from the study's beginning.

        Raises:
            InputError: where it no longer can be.
        """
        if self.spec is None:
            return spec
        parts: dict[str, Any] = {}
        for part in PARTS:
            model, before = getattr(spec, part), self.spec.get(part) or {}
            if getattr(model, "name", None) == before.get("name") or part != "data":
                given = part in spec.model_fields_set
                parts[part] = parse(
                    type(model), filled(model, self._left_out, part, given=given), f"{spec.name}: {part}"
                )
        return spec.model_copy(update=parts)

    def _left_out(self, key: str, info: FieldInfo) -> Any:
        if key == PLACES:
            # Written down when the study began, whatever the file left out.
            return ((self.spec or {}).get("model") or {}).get("places")
        if self.file is not None:
            return self.file.get(key, value_before(info))
        # What its file leaves out now is not told from what it left out then.
        value: Any = {} if key.startswith(MAY_CHANGE) else self.spec
        for name in key.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return value_before(info)
            value = value[name]
        return value


def _translated(configuration: Mapping[str, Any], changes: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """A configuration whose fields mean by their absence the second value instead of the first."""
    # What equals the default is left out, not written: one configuration has one form, and so one key.
    result = dict(configuration)
    for key, (absent_before, absent_after) in changes.items():
        value = result.pop(key, absent_before)
        if value != absent_after:
            result[key] = value
    return result


def restored_spec(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored study file with the keys that it is older than, each with what was done before it."""
    try:
        spec = study_class(stored).model_validate(dict(stored))
    except ValueError:
        # It holds what this version no longer allows; whoever reads it will say what.
        return dict(stored)
    plain = spec.model_dump(mode="json")
    for part in PARTS:
        given = part in spec.model_fields_set
        plain[part] = filled(getattr(spec, part), lambda _, info: value_before(info), part, given=given)
    return plain
