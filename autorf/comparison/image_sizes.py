"""Configurations that saw images of several sizes: fields in pixels are compared at one of them."""

from collections.abc import Sequence

from autorf.comparison.groups import Group


def image_sizes(groups: Sequence[Group]) -> list[tuple[int, int]]:
    """The sizes ``(H, W)`` that configurations saw, by their shorter side, then by the longer one."""
    sizes = {(group.image_size[0], group.image_size[1]) for group in groups if group.image_size is not None}
    return sorted(sizes, key=lambda size: (min(size), max(size), size))


def at_size(groups: Sequence[Group], size: tuple[int, int]) -> list[Group]:
    """Those that saw images of one size."""
    return [group for group in groups if group.image_size is not None and tuple(group.image_size) == size]


def at_best_size(groups: Sequence[Group], direction: int) -> list[Group]:
    """Those of the image size at which the best manual configuration is; all where they saw one size only.

    A field in pixels means something at one image size only.

    Args:
        groups: configurations.
        direction: the metric's sign.
    """
    manual = [group for group in groups if group.manual and group.feasible]
    if len(image_sizes(groups)) < 2 or not manual:
        return list(groups)
    best = max(manual, key=lambda group: direction * group.mean)
    return [group for group in groups if group.image_size == best.image_size]
