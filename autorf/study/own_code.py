"""The user's own code that a study names, read from beside its file."""

from pathlib import Path

from autorf.errors import InputError
from autorf.own_code.code import read_code
from autorf.own_code.reference import Reference, references_in
from autorf.study.search_space import read_spaces
from autorf.study.spec import StudySpec


def references_of(spec: StudySpec, source: str) -> list[Reference]:
    """Every reference to own code in a study and its search spaces, each once.

    Raises:
        InputError: for a bad search space, or a reference that is none.
    """
    spaces = read_spaces(spec.search_space, source, spec)
    choices = [axis.choices for space in spaces for axis in space.axes.values()]
    plain = spec.model_dump(mode="json", include={"data", "model", "training", "distill"})
    try:
        return list(references_in([plain, choices]))
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def with_own_code(spec: StudySpec, source: str, folder: Path) -> StudySpec:
    """The study with the code it names, which is read here and run by whoever trains.

    Args:
        spec: the study.
        source: where it was read from, for messages.
        folder: that its references are relative to.

    Raises:
        InputError: for a bad search space, or code that is not there.
    """
    references = references_of(spec, source)
    if not references:
        return spec
    try:
        return spec.with_code(read_code(references, folder))
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
