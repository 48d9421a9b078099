"""What packages of others add by entry points: methods, models, data sets, figures and executors, by name."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from autorf.errors import InputError, near_names

METHODS = "autorf.methods"
MODELS = "autorf.models"
DATA = "autorf.data"
LOSSES = "autorf.losses"
FIGURES = "autorf.figures"
EXECUTORS = "autorf.executors"

Plugin = TypeVar("Plugin")


@cache
def _declared(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of a group by name, in the order of names."""
    declared: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        declared[point.name] = (*declared.get(point.name, ()), point)
    return declared


def _owner(point: EntryPoint) -> str:
    package = "an unnamed package" if point.dist is None else f"the package {point.dist.name}"
    return f"{package} ({point.value})"


class Registry(Mapping[str, Plugin], Generic[Plugin]):
    """The objects that installed packages add to one group, by name, each loaded when it is first asked for.

    An object that cannot be loaded is named in one line on the error stream, once, and counts as unknown. A name that
    two packages register, or that is built in, is refused wherever it is used: whose result would it be?

    Args:
        group: of entry points, such as ``autorf.methods``.
        noun: what one of them is, for messages, such as ``method``.
        built_in: the names that autorf itself has.
        check: says in a few words what is wrong with a loaded object of a name; None for nothing.

    Example:
        In the other package's ``pyproject.toml``::

            [project.entry-points."autorf.methods"]
            ring = "their_package.ring:Ring"
    """

    def __init__(
        self,
        group: str,
        noun: str,
        built_in: Collection[str] = (),
        check: Callable[[str, Any], str | None] = lambda name, plugin: None,
    ) -> None:
        self.group, self.noun, self.built_in = group, noun, tuple(built_in)
        self._check = check
        self._loaded: dict[str, Plugin] = {}
        self._problems: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return (name for name in _declared(self.group) if name not in self.built_in)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Plugin:
        self.check_owner(name)
        if name in self.built_in:
            raise KeyError(name)
        if name not in self._loaded and name in _declared(self.group) and name not in self._problems:
            self._load(name, _declared(self.group)[name][0])
        return self._loaded[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is known, those that are built in first."""
        return (*self.built_in, *self)

    def knows(self, name: object) -> bool:
        """Whether ``name`` is built in, or another package's object of that name can be loaded.

        Raises:
            InputError: when it has two owners.
        """
        if not isinstance(name, str):
            return False
        self.check_owner(name)
        return name in self.built_in or name in self

    def check_owner(self, name: str) -> None:
        """Refuse a name that two packages register, or one package and autorf.

        Raises:
            InputError: naming both.
        """
        owners = [_owner(point) for point in _declared(self.group).get(name, ())]
        if name in self.built_in and owners:
            raise InputError(
                f"the {self.noun} {name!r} is built in, and {owners[0]} registers it too; uninstall that package, or "
                "have it choose another name"
            )
        if len(owners) > 1:
            raise InputError(
                f"the {self.noun} {name!r} is registered by {' and by '.join(owners)}; uninstall one of them"
            )

    def unknown(self, name: object) -> str:
        """What to say of a name that is not known: what it may have meant, or why it could not be loaded."""
        if problem := self.problem(name):
            return f"unknown {self.noun} {name!r}{problem}"
        listed = ", ".join(name for name in self.names if name not in self._problems)
        return f"unknown {self.noun} {name!r}{near_names(str(name), self.names)}; one of {listed}"

    def problem(self, name: object) -> str:
        """Why the object of that name could not be loaded, behind a colon; nothing where it could, or there is none."""
        return f": {self._problems[str(name)]}" if str(name) in self._problems else ""

    def _load(self, name: str, point: EntryPoint) -> None:
        try:
            plugin = point.load()
        # Whatever a stranger's module does when it is imported must not take the rest down.
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "")
            self._refuse(name, f"{_owner(point)} cannot be imported: {type(error).__name__}: {reason}")
            return
        if problem := self._check(name, plugin):
            self._refuse(name, f"{_owner(point)} {problem}")
        else:
            self._loaded[name] = plugin

    def _refuse(self, name: str, problem: str) -> None:
        self._problems[name] = problem
        print(f"autorf: the {self.noun} {name!r} is left out: {problem}", file=sys.stderr, flush=True)
