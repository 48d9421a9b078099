"""A type, as pydantic's JSON schema has it, in the words of somebody who writes a file."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

Schema = Mapping[str, Any]

UNBROKEN = "\N{NO-BREAK SPACE}"
"""Between a sign and its number."""

_PLAIN = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`", "null": "`null`"}
_BOUNDS = (
    (">=", ("minimum", "ge")),
    (">", ("exclusiveMinimum", "gt")),
    ("<=", ("maximum", "le")),
    ("<", ("exclusiveMaximum", "lt")),
)
_SIGNS = {">=": "≥", ">": ">", "<=": "≤", "<": "<"}


def type_in_words(schema: Schema) -> str:
    """What may be written for a key, such as *whole number ≥ 1 or null*."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _either([type_in_words(option) for option in schema[union]])
    if "const" in schema:
        return f"`{value_in_words(schema['const'])}`"
    if "enum" in schema:
        return _either([f"`{value_in_words(value)}`" for value in schema["enum"]])
    if "$ref" in schema or schema.get("type") == "object":
        return "keys and values"
    match schema.get("type"):
        case "array":
            return _list(schema)
        case "string":
            return "path" if schema.get("format") == "path" else "text"
        case None:
            return "any value"
        case kind:
            return _PLAIN[kind] + _bounds(schema)


def value_in_words(value: Any) -> str:
    """A value as YAML writes it in one line."""
    if value in ("", None):
        return "''" if value == "" else "null"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _either(choices: Sequence[str]) -> str:
    different = list(dict.fromkeys(choices))
    return " or ".join([", ".join(different[:-1]), different[-1]] if len(different) > 1 else different)


def _list(schema: Schema) -> str:
    if "prefixItems" in schema:
        entries = [type_in_words(entry) for entry in schema["prefixItems"]]
        if len(set(entries)) == 1:
            return f"list of {len(entries)}, each a {entries[0]}"
        return f"list of {len(entries)} ({'; '.join(entries)})"
    entry = type_in_words(schema.get("items", {}))
    least = max(schema.get("minItems", 0), schema.get("minLength", 0))
    beginning = f"list of at least {least}" if least else "list"
    return f"{beginning}, each ({entry})" if " or " in entry else f"{beginning}, each a {entry}"


def _bounds(schema: Schema) -> str:
    limits = []
    for sign, names in _BOUNDS:
        if sign == "<" and any(name in schema for name in ("maximum", "le")):
            # A tighter limit was told.
            continue
        limits += [f"{_SIGNS[sign]}{UNBROKEN}{_limit(schema[name])}" for name in names if name in schema]
    return f" {', '.join(limits)}" if limits else ""


def _limit(value: float) -> str:
    # The range of seeds, which nobody wants to read in digits.
    return "2^31" if value == 2**31 else f"{value:g}"
