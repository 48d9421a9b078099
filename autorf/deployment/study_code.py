"""The user's own code of a study that has run, for commands that are given its name."""

from pathlib import Path

from autorf.errors import InputError
from autorf.store.code import check_code, code_folder
from autorf.store.store import Store
from autorf.study.own_code import with_own_code
from autorf.study.spec import StudySpec


def with_code_of(store: Store, spec: StudySpec, folder: Path | None = None, *, accept: bool = False) -> StudySpec:
    """The study with its own code, read where it lies today.

    Args:
        store: of the study.
        spec: the study.
        folder: that the code lies in; None for where it lay when the study ran.
        accept: take code that is no longer the study's.

    Raises:
        InputError: where it is gone, or another and not accepted.
    """
    place = folder or code_folder(store)
    if code_folder(store) is None or place is None:
        return spec
    try:
        spec = with_own_code(spec, f"study {store.name}", place)
    except InputError as error:
        raise InputError(f"{error}; give the study file instead of its name where it moved with its code") from None
    check_code(store, spec.code, accept=accept)
    return spec
