"""Pictures with the class of each as a whole."""

from dataclasses import dataclass
from pathlib import Path

from autorf.data.pairs import Pair


@dataclass(frozen=True, order=True)
class ClassPair(Pair):
    """A picture and its class, whose ``others`` are the files that say so; its ``mask`` is the picture itself.

    Attributes:
        label: the number of the class.
    """

    label: int = 0

    @property
    def mask_files(self) -> tuple[Path, ...]:
        """The lists that name the class; none where the picture's folder does."""
        return self.others
