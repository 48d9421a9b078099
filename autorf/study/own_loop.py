"""A study whose trainings are the user's own function: what takes the place of data and model in its file."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from autorf.specification import ImageSize, Specification
from autorf.study.spec import StudySpec

OWN_LOOP: Literal["own_loop"] = "own_loop"
"""What stands for the data and the model of such a study."""

ARGUMENTS = "model.args."
"""How axes begin that are the function's own arguments."""


class OwnLoopData(Specification):
    """What is known of data that only the training function reads.

    Attributes:
        image_size: height and width in pixels of the images, for receptive fields as shares of them.
        classes: names of the classes; None where confusions tell how many there are.
        score_at: predictions meet the truth wherever the function has them meet.
    """

    name: Literal["own_loop"] = OWN_LOOP
    image_size: ImageSize
    classes: tuple[str, ...] | None = None
    score_at: Literal["training"] = "training"


class OwnLoopModel(Specification):
    """What is known of a model that only the training function builds.

    Attributes:
        args: the function's own arguments; ``model.args.NAME`` may be an axis of a search space.
    """

    name: Literal["own_loop"] = OWN_LOOP
    args: dict[str, Any] = Field(default_factory=dict)


class OwnLoopSpec(StudySpec):
    """A study as :func:`autorf.search` makes it.

    Its training is counted in steps, and any step may be one that the function reports.

    Attributes:
        loop: the training function: a reference such as ``python:./train.py:train``, or its name where no other process
            can import it.
    """

    data: OwnLoopData  # type: ignore[assignment]
    model: OwnLoopModel = OwnLoopModel()  # type: ignore[assignment]
    loop: Annotated[str, Field(min_length=1)]

    @property
    def steps_per_epoch(self) -> int | None:
        """Of images nothing is known: lengths are steps."""
        return 1


def is_own_loop(stored: Mapping[str, Any]) -> bool:
    """Whether a stored study file is that of a training function."""
    return "loop" in stored


def trained_elsewhere(stored: Mapping[str, Any]) -> bool:
    """Whether a stored study file is of trainings that no command can repeat: recorded, or by a function."""
    return bool(stored) and ("model" not in stored or is_own_loop(stored))


def study_class(stored: Mapping[str, Any]) -> type[StudySpec]:
    """What a stored study file is read into."""
    return OwnLoopSpec if is_own_loop(stored) else StudySpec
