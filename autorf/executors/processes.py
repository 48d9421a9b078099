"""The processes that one trial under Ray runs in."""

from collections.abc import Mapping
from typing import NamedTuple


class Processes(NamedTuple):
    """What a trial gets.

    Attributes:
        number: of processes; data-parallel where there are several.
        resources: of each, as Ray names them.
        one_machine: whether all run on this machine, and are to open no port that another one reaches.
    """

    number: int
    resources: Mapping[str, float]
    one_machine: bool
