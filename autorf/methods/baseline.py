"""The network as its checkpoint is."""

from typing import ClassVar, Literal

from autorf.methods.base import Method


class Baseline(Method):
    """Change nothing and train nothing: what the checkpoint ``model.weights`` of a study reaches as it is.

    A study adds it by itself where a method trains ``only`` its own parameters on that checkpoint. ``adapt`` refuses
    it. Paper: Zhang et al., *Scale-adaptive convolutions for scene parsing*, ICCV 2017, the baseline of section 4.1.
    """

    trained: ClassVar[bool] = False
    unset: ClassVar[str] = "untouched checkpoint"

    method: Literal["baseline"] = "baseline"

    @property
    def needs_weights(self) -> bool:
        """Always."""
        return True
