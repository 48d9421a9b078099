"""A trial: one configuration under one seed, known by the hash of both."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autorf.errors import InputError
from autorf.methods import METHODS, Method
from autorf.specification import parse
from autorf.study.search_space import configurations, read_spaces, settings
from autorf.study.spec import StudySpec


@dataclass(frozen=True)
class Trial:
    """One configuration under one seed."""

    method: Method
    seed: int

    @property
    def configuration(self) -> dict[str, Any]:
        """The canonical configuration: the method's name and its fields that differ from their defaults."""
        return {"method": self.method.method, **self.method.model_dump(mode="json", exclude_defaults=True)}

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the hash of configuration and seed; never an index."""
        canonical = json.dumps([self.configuration, self.seed], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def setting(self) -> str:
        """The configuration in a few words, for tables."""
        return ", ".join(f"{name} {_short(value)}" for name, value in settings(self.method).items()) or "default"

    @property
    def label(self) -> str:
        """The trial in a few words, for progress and MLflow."""
        return f"{self.method.method} ({self.setting}) seed {self.seed}"


def trial_from(configuration: dict[str, Any], seed: int) -> Trial:
    """The trial of a stored configuration.

    Raises:
        InputError: for a configuration this version of autorf does not know.
    """
    kind = METHODS.get(str(configuration.get("method")))
    if kind is None:
        raise InputError(f"stored trial: unknown method {configuration.get('method')!r}; one of {', '.join(METHODS)}")
    return Trial(parse(kind, configuration, "stored trial"), seed)


def grid(spec: StudySpec, source: str) -> list[Trial]:
    """Every trial of a study, in the order of its search spaces: all configurations for the first seed, then the next.

    Raises:
        InputError: for a bad search space, or one configuration in two of them.
    """
    methods: list[Method] = []
    for place, space in read_spaces(spec.search_space, source):
        for method in configurations(space, place):
            if method in methods:
                raise InputError(f"{place}: {method.method} {settings(method)} is in two search spaces; keep one")
            methods.append(method)
    return [Trial(method, seed) for seed in spec.training.seeds for method in methods]


def side_text(sides: Sequence[float]) -> str:
    """A receptive field for people: one number for a square, rounded to a tenth of a pixel."""
    height, width = (f"{round(side, 1):g}" for side in sides)
    return height if height == width else f"{height}x{width}"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
