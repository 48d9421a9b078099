"""Classes that a study file declares itself, for data that is the user's own. Light to import, without torch."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from autorf.data.label_groups import Groups, Members, check_group, numbered
from autorf.specification import Several, Specification


def count_or_names(value: object, most: int = 255) -> object:
    """A number of classes, or their names, checked.

    Args:
        value: of the study file.
        most: so many classes there may be.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, list | tuple):
        names = [name for name in value if isinstance(name, str)]
        if 2 <= len(set(names)) == len(value) <= most:
            return tuple(names)
    elif isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= most:
        return value
    raise ValueError(f"a count from 2 to {most}, or a list of as many different names")


def names_of(classes: int | Sequence[str]) -> tuple[str, ...]:
    """One for each class: their numbers where only a count is given."""
    return tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)


class DeclaredClasses(Specification):
    """The base of data sets whose classes stand in the study file.

    Attributes:
        classes: how many classes there are, or their names, class 0 first.
        groups: classes whose F1 is also reported merged, by the group's name; members by name or number.
        left_out: classes that mIoU and the mean F1 leave out; by name or number.
    """

    classes: Annotated[int | Several[str], BeforeValidator(count_or_names)]
    groups: Groups = None
    left_out: Members = ()

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        for name, members in self.groups or ():
            check_group(name, members)
            numbered(members, self.class_names, f"groups.{name}")
        if len(set(self.left_out_numbers)) >= len(self.class_names):
            raise ValueError("left_out: names every class, so that the means would be over none; keep one")
        return self

    @property
    def label_groups(self) -> dict[str, tuple[int, ...]]:
        """The groups' classes by number."""
        groups = self.groups or ()
        return {name: numbered(members, self.class_names, f"groups.{name}") for name, members in groups}

    @property
    def left_out_numbers(self) -> tuple[int, ...]:
        """The classes that the means leave out, by number."""
        return numbered(self.left_out, self.class_names, "left_out")

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each class."""
        return names_of(self.classes)
