"""The scale at which a study scores: that of its training images, or that of the masks."""

from collections.abc import Iterable

from autorf.data import ClassData, DigitClassesData, DigitsData, FolderData
from autorf.errors import InputError
from autorf.study.search_space import Space, read_spaces
from autorf.study.settings import IMAGE_SIZE
from autorf.study.spec import StudySpec


def scored(spec: StudySpec, source: str) -> StudySpec:
    """The study with the scale it scores at written down: that of the masks where ``data.image_size`` is an axis.

    A study that begins keeps what is written, whatever axes are added to its file later: two scales are never compared.

    Args:
        spec: as it was read, before anything that its file leaves out is taken from elsewhere.
        source: for messages.

    Raises:
        InputError: for a search space that cannot be read.
    """
    fixed = "score_at" in spec.data.model_fields_set or isinstance(spec.data, ClassData)
    if fixed or not _has_size_axis(read_spaces(spec.search_space, source, spec)):
        return spec
    _check_data(spec, source)
    return spec.model_copy(update={"data": spec.data.model_copy(update={"score_at": "mask"})})


def check_scale(spec: StudySpec, spaces: Iterable[Space], source: str) -> None:
    """Raise ``InputError`` where ``data.image_size`` is an axis and its trials could not be compared."""
    if not _has_size_axis(spaces):
        return
    _check_data(spec, source)
    if spec.data.score_at != "mask":
        raise InputError(
            f"{source}: {IMAGE_SIZE}: cannot be searched with data.score_at: {spec.data.score_at}, under which scores "
            "of different sizes are of different scales; set data.score_at: mask, in a study of another name where "
            "this one has begun"
        )


def _check_data(spec: StudySpec, source: str) -> None:
    """Raise ``InputError`` for data that show other things at another image size."""
    place = f"{source}: {IMAGE_SIZE}: cannot be searched"
    if isinstance(spec.data, FolderData) and spec.data.fit == "crop":
        raise InputError(f"{place} with data.fit: crop, which cuts another part for every size; set data.fit: resize")
    if isinstance(spec.data, DigitsData | DigitClassesData) and spec.data.canvas is None:
        raise InputError(
            f"{place}: digits are drawn at image_size, other ones at every size; give data.canvas, such as [128, 128], "
            "and they are drawn there once and resized"
        )


def _has_size_axis(spaces: Iterable[Space]) -> bool:
    return any(IMAGE_SIZE in space.axes for space in spaces)
