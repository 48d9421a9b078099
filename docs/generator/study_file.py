"""The study file, key by key, from the models that read it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from autorf.methods import METHODS
from autorf.specification import Specification
from autorf.study.search_space import Range
from autorf.study.spec import StudySpec
from docs.generator.markdown import plain_roles, table
from docs.generator.meanings import meanings, summary
from docs.generator.types_in_words import Schema, type_in_words, value_in_words

TAGS = ("name", "kind", "method")
"""Keys that say which of several kinds a part is."""
THIS_KIND = "says that it is of this kind."


@dataclass(frozen=True)
class Key:
    """One key of the file: its dotted path, and what may stand there, what stands there without it, what it means."""

    path: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Part:
    """The keys of one kind of one part of the file.

    Attributes:
        path: of the part, such as ``training``; empty for the top of the file.
        kind: ``with `key: value``` where the part is one of several kinds, ``of an installed package`` where it is what
            such a kind has at least, else empty.
        summary: what it is.
        keys: its own, and those of the parts inside it.
    """

    path: str
    kind: str
    summary: str
    keys: tuple[Key, ...]


def parts() -> list[Part]:
    """The whole file: its top, its parts in order, and for each method what a search space may say."""
    top = tuple(key for key in _keys(StudySpec, "") if "." not in key.path)
    listed = [Part("", "", summary(StudySpec), top)]
    for name, field in StudySpec.model_fields.items():
        kinds = models_in(field.annotation)
        listed += [_part(kind, name, several=len(kinds) > 1) for kind in kinds]
        if name == "search_space":
            listed += [_part(METHODS[method], "search_space[]", several=True) for method in sorted(METHODS)]
            listed.append(_part(Range, "search_space[].KEY", several=False))
    return listed


def page() -> str:
    """The parts as Markdown, one heading for each part and each kind."""
    lines: list[str] = []
    heading = None
    for part in parts():
        if part.path != heading:
            heading = part.path
            lines.append(f"## {f'`{heading}`' if heading else 'The file'}\n")
        if part.kind:
            lines.append(f"### {part.path} {part.kind}\n")
        rows = [(f"`{key.path}`", key.type, key.default, key.meaning) for key in part.keys]
        lines += [plain_roles(part.summary) + "\n", table(("key", "what it takes", "default", "meaning"), rows)]
    return "\n".join(lines)


def models_in(annotation: Any) -> list[type[Specification]]:
    """The specifications that an annotation names, those inside unions and lists included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation] if issubclass(annotation, Specification) else []
    return [kind for inner in get_args(annotation) for kind in models_in(inner)]


def _part(kind: type[Specification], path: str, *, several: bool) -> Part:
    tag = _tag(kind)
    words = (f"with `{tag}`" if tag else "of an installed package") if several else ""
    return Part(path, words, summary(kind), tuple(_keys(kind, f"{path}.")))


def _tag(kind: type[Specification]) -> str:
    for name in TAGS:
        values = get_args(kind.model_fields[name].annotation) if name in kind.model_fields else ()
        if len(values) == 1:
            return f"{name}: {values[0]}"
    return ""


def _keys(kind: type[Specification], prefix: str) -> Iterator[Key]:
    properties: dict[str, Schema] = kind.model_json_schema()["properties"]
    described = meanings(kind)
    for name, field in kind.model_fields.items():
        inner = models_in(field.annotation)
        meaning = described.get(name) or (THIS_KIND if _tag(kind).startswith(f"{name}: ") else "")
        default = "required" if field.is_required() else _default(properties[name])
        yield Key(prefix + name, type_in_words(properties[name]), default, _for_files(meaning))
        if len(inner) == 1:
            yield from _keys(inner[0], f"{prefix}{name}.")


def _for_files(meaning: str) -> str:
    """A docstring's words for somebody who writes YAML."""
    return re.sub(r"\bNone\b", "`null`", plain_roles(meaning)).replace("``", "`")


def _default(schema: Schema) -> str:
    value = schema.get("default")
    return "as below" if isinstance(value, dict) else f"`{value_in_words(value)}`"
