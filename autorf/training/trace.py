"""What the methods learn from step to step, at most a few points an epoch."""

import math
from typing import Any

from torch import nn

from autorf.methods.modules import SearchState
from autorf.surgery import alike_options, learned_values, search_states

POINTS = 20
"""How many steps of an epoch are kept at most."""


class Trace:
    """Learned values, and how a search among options stands, against the step.

    :meth:`taken` gives what was noted since it was last asked, as plain lists: ``step``, every learned value under its
    name and, while a search runs, ``rates``, ``window`` (a list of weights a step) and ``profiles`` (the last step's
    losses, a list a search). Of several layers that search among the same options, ``window`` is the mean. ``alike``
    lists, for every search, the options that it cannot tell apart at the last step, or could not when it ended.
    ``steps_per_epoch`` is the length of an epoch.
    """

    def __init__(self) -> None:
        self._noted: dict[str, Any] = {}

    def note(self, model: nn.Module, step: int, batch: int, n_batches: int) -> None:
        """Keep the values at the start of a step, if it is one of those that are kept.

        Args:
            model: adapted or not.
            step: of the whole training, from 0.
            batch: of the epoch, from 0.
            n_batches: of an epoch.
        """
        if batch % max(1, math.ceil(n_batches / POINTS)):
            return
        values = learned_values(model)
        if not values:
            return
        self._noted.setdefault("steps_per_epoch", n_batches)
        self._noted.setdefault("step", []).append(step)
        for name, value in values.items():
            self._noted.setdefault(name, []).append(float(f"{value:.5g}"))
        states = search_states(model)
        if states:
            rates = states[0].rates
            alike = [state for state in states if state.rates == rates]
            windows = [state.window for state in alike]
            weights = [sum(column) / len(alike) for column in zip(*windows, strict=True)]
            self._noted["rates"] = list(rates)
            self._noted.setdefault("window", []).append([round(weight, 4) for weight in weights])
            self._noted["profiles"] = [_profile(state) for state in alike]
        # Noted after the search too: what it ended with is known only then.
        if any(untold := alike_options(model)):
            self._noted["alike"] = [list(options) for options in untold]

    def taken(self) -> dict[str, Any]:
        """What was noted since the last call; empty where nothing is learned."""
        noted, self._noted = self._noted, {}
        return noted


def _profile(state: SearchState) -> list[float | None]:
    return [None if math.isnan(loss) else float(f"{loss:.5g}") for loss in state.losses]
