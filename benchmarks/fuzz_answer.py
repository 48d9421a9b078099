"""What comes back of something odd that was given; the answers of ``fuzz.py`` and of its two companions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        kind: of what was given, such as ``study files``.
        given: it, in short.
        text: the answer's first line.
        code: the exit code; of a library call 0 for a value, 2 for ``InputError``, 1 for any other error.
        problem: what is wrong with the answer; empty where nothing is.
    """

    kind: str
    given: str
    text: str
    code: int
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.problem
