"""Plain values from YAML that people and tools wrote: bounded in size, and strict where YAML guesses."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from autorf.errors import InputError, has_control_characters, shown, shown_place

MOST_CHARACTERS = 2**20
MOST_VALUES = 20_000
DEEPEST = 20
LONGEST_TEXT = 4000

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


class _RefusedError(Exception):
    """What is wrong, and the dotted key and line it is wrong at."""

    def __init__(self, problem: str, path: tuple[str, ...] = (), node: yaml.Node | None = None) -> None:
        super().__init__(problem)
        self.path = path
        self.line = None if node is None else node.start_mark.line + 1


class _Loader(yaml.SafeLoader):
    """Composes nodes no deeper than a study file has a use for: YAML's own composer would overflow the stack."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node and all inside it."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise _RefusedError(f"values lie more than {DEEPEST} deep inside one another", (), parent)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


# A date is the text it is written as: nothing here takes dates.
_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, place: str) -> Any:
    """The value that ``text`` holds: texts, numbers, true and false, null, and lists and mappings of them.

    Aliases count as often as they are used. Keys are the texts they are written as.

    Args:
        text: one document.
        place: names it in messages.

    Raises:
        InputError: for what is no YAML, a key that occurs twice, a tag, a number beyond 64 bits, a text with control
            characters, and for what is larger than any study file; it names the place, the key and the line.

    Examples:
        >>> parse_yaml("{rate: [1, 2], since: 2020-01-01}", "a.yaml")
        {'rate': [1, 2], 'since': '2020-01-01'}
        >>> try:
        ...     parse_yaml("{rate: 1, rate: 2}", "a.yaml")
        ... except InputError as error:
        ...     print(error)
        a.yaml: rate: this key occurs twice; keep one
    """
    place = shown_place(place)
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{place}: is longer than {MOST_CHARACTERS} characters; a study file has some hundred")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _Values(loader).of(node, (), 0)
    except _RefusedError as error:
        key = shown_place(".".join(error.path))
        line = f"(line {error.line})" if error.line and "\n" in text else ""
        where = " ".join(part for part in (key, line) if part)
        raise InputError(f"{place}: {where}{': ' if where else ''}{error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{place}: no valid YAML{_problem(error, text)}") from None


def _problem(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f" (line {line}): holds the control character {shown(chr(int(error.character)))}; remove it"
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1})" if mark else ""
    problem = getattr(error, "problem", None) or "cannot be parsed"
    return f"{where}: {problem}; quote texts that hold : # [ {{ & * or !"


class _Values:
    """Makes plain values of nodes, counting them."""

    def __init__(self, loader: _Loader) -> None:
        self._count = 0
        self._scalars: dict[str, Callable[[yaml.ScalarNode], Any]] = {
            "bool": loader.construct_yaml_bool,
            "int": loader.construct_yaml_int,
            "float": loader.construct_yaml_float,
            "null": loader.construct_yaml_null,
        }

    def of(self, node: yaml.Node, path: tuple[str, ...], depth: int) -> Any:
        """The value of a node.

        Args:
            node: as it was composed.
            path: the keys it lies under.
            depth: how many lists and mappings it lies in.
        """
        self._count += 1
        if self._count > MOST_VALUES:
            raise _RefusedError(f"more than {MOST_VALUES} values, aliases unfolded; list less", path[:2], node)
        if depth > DEEPEST:
            raise _RefusedError("an alias lies inside what it stands for", path[:2], node)
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.of(inner, (*path, str(at)), depth + 1) for at, inner in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, kind, path)
        raise _RefusedError(f"the tag {shown(node.tag)} is not taken; write plain values", path, node)

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...], depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, inner in node.value:
            if key.tag == _MERGE:
                for part in self._merged(inner, path):
                    merged = {**self.of(part, path, depth + 1), **merged}
                continue
            name = self._key(key, path)
            if name in own:
                raise _RefusedError("this key occurs twice; keep one", (*path, name), key)
            own[name] = self.of(inner, (*path, name), depth + 1)
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: tuple[str, ...]) -> Iterator[yaml.Node]:
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(part, yaml.MappingNode):
                raise _RefusedError("<< takes keys and values", path, node)
            yield part

    def _key(self, node: yaml.Node, path: tuple[str, ...]) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise _RefusedError("a key is a name, not a list or keys and values", path, node)
        return self._text(node, path)

    def _scalar(self, node: yaml.ScalarNode, kind: str, path: tuple[str, ...]) -> Any:
        if kind in ("str", "value", "merge"):
            return self._text(node, path)
        if kind not in self._scalars:
            raise _RefusedError(f"the tag {shown(node.tag)} is not taken; write a plain value", path, node)
        try:
            value = self._scalars[kind](node)
        except (ValueError, KeyError, OverflowError, IndexError):
            value = 2**64 if len(node.value) > 40 else None
            if value is None:
                raise _RefusedError(f"{shown(node.value)} is no {kind}", path, node) from None
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise _RefusedError(f"the number {shown(node.value)} is beyond 64 bits", path, node)
        return value

    def _text(self, node: yaml.ScalarNode, path: tuple[str, ...]) -> str:
        text: str = node.value
        if len(text) > LONGEST_TEXT:
            raise _RefusedError(f"{shown(text)} has {len(text)} characters; at most {LONGEST_TEXT}", path, node)
        if has_control_characters(text):
            raise _RefusedError(f"{shown(text)} holds a line break or another control character", path, node)
        return text


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, read safely.

    Raises:
        InputError: when the file cannot be read, is no YAML, or holds no mapping.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{shown_place(str(path))}: cannot be read: {reason}") from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise InputError(f"{shown_place(str(path))}: expected keys and values, got {type(content).__name__}")
    return content
