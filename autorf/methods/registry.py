"""Methods by name: autorf's own, those of installed packages, and those that a program adds for itself."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from autorf import plugins
from autorf.methods.base import Method


def _problem(name: str, plugin: Any) -> str | None:
    if not (isinstance(plugin, type) and issubclass(plugin, Method)):
        return "is no subclass of autorf.methods.LayerMethod or RegionMethod"
    if plugin.scope is None:
        return "derives from neither autorf.methods.LayerMethod nor RegionMethod"
    given = plugin.model_fields["method"].default
    return None if given == name else f"calls itself {given!r} in its field method"


class Methods(MutableMapping[str, type[Method]]):
    """Classes of methods by name; a class that a program puts in is known in its process only.

    Args:
        built_in: autorf's own.
    """

    def __init__(self, built_in: Mapping[str, type[Method]]) -> None:
        self._own = dict(built_in)
        self._others: plugins.Registry[type[Method]] = plugins.Registry(
            plugins.METHODS, "method", tuple(built_in), _problem
        )

    def __getitem__(self, name: str) -> type[Method]:
        if not isinstance(name, str):
            raise KeyError(name)
        self._others.check_owner(name)
        return self._own[name] if name in self._own else self._others[name]

    def __setitem__(self, name: str, method: type[Method]) -> None:
        self._own[name] = method

    def __delitem__(self, name: str) -> None:
        del self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._own, *(name for name in self._others if name not in self._own)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def unknown(self, name: object) -> str:
        """What to say of a name that is no method's."""
        return self._others.unknown(name)
