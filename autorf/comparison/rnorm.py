"""Does one normalised receptive field fit all image sizes? The manual grids of a study, or of several, size by size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autorf.comparison.field_line import FieldLine, SizeGrid, field_line
from autorf.comparison.field_map import FieldMap, column_of, field_of_size, image_map
from autorf.comparison.groups import Group
from autorf.comparison.image_sizes import at_size, image_sizes
from autorf.comparison.images import ImageNoise
from autorf.comparison.recommendation import grid_answer, manual_grid
from autorf.comparison.rows import Row
from autorf.study.objectives import is_metric, sign
from autorf.study.settings import IMAGE_SIZE

SUFFICIENT = "smallest sufficient"


def rnorm_maps(groups: Sequence[Group], rows: Sequence[Row], noise: ImageNoise, margin: float) -> tuple[FieldMap, ...]:
    """A map with its line for every network, training and half of the data that was tried at several image sizes.

    The winners of a line are the smallest sufficient fields where each size has one, else the best fields.

    Args:
        groups: the comparison's configurations.
        rows: their trials.
        noise: of the same rows.
        margin: what a field may lose and still suffice.
    """
    if not is_metric(noise.metric) or len(image_sizes(groups)) < 2:
        return ()
    manual = [group for group in groups if group.manual and group.feasible and group.image_size is not None]
    parts = _parts(manual)
    maps = []
    for subset, members in parts:
        drawn = image_map(members, sign(noise.metric))
        if drawn is not None:
            shown = {name: value for name, value in subset.items() if len(_values(parts, name)) > 1}
            maps.append(replace(_sufficient(drawn, members, rows, noise, margin), subset=shown))
    return tuple(maps)


def best_line(maps: Sequence[FieldMap], direction: int) -> FieldLine | None:
    """Of the lines that were fitted, that of the network and training with the best score; None without any.

    Args:
        maps: of a comparison.
        direction: the metric's sign.
    """
    fitted = [each for each in maps if each.ratio is not None]
    if not fitted:
        return None
    return max(fitted, key=lambda each: _best_score(each, direction)).line


def _best_score(each: FieldMap, direction: int) -> float:
    return max(direction * score for row in each.scores for score in row if score is not None)


def _parts(groups: Sequence[Group]) -> list[tuple[dict[str, Any], list[Group]]]:
    """Configurations that differ in nothing but image size and field, with what tells them from the others."""
    of_study: dict[str, set[tuple[int, ...]]] = {}
    for group in groups:
        of_study.setdefault(group.study, set()).add(tuple(group.image_size or ()))
    by_study = any(len(sizes) > 1 for sizes in of_study.values())
    parts: dict[str, tuple[dict[str, Any], list[Group]]] = {}
    for group in groups:
        subset = {name: value for name, value in sorted(group.params.items()) if "." in name and name != IMAGE_SIZE}
        subset = {"study": group.study, **subset} if by_study else subset
        parts.setdefault(json.dumps(subset, sort_keys=True), (subset, []))[1].append(group)
    return list(parts.values())


def _values(parts: Sequence[tuple[Mapping[str, Any], Sequence[Group]]], name: str) -> set[str]:
    return {json.dumps(subset.get(name)) for subset, _ in parts}


def _sufficient(
    drawn: FieldMap, groups: Sequence[Group], rows: Sequence[Row], noise: ImageNoise, margin: float
) -> FieldMap:
    """The map with the line through the smallest sufficient fields, where every size has one."""
    grids = []
    for size in image_sizes(groups):
        grid = sorted(manual_grid(at_size(groups, size)), key=field_of_size)
        index = grid_answer(grid, rows, noise, margin).index if len(grid) > 1 else None
        if index is None:
            return drawn
        fields = tuple(map(field_of_size, grid))
        grids.append(SizeGrid(min(size), fields, tuple(map(column_of, grid)), index))
    return replace(drawn, line=field_line(drawn.over, grids, SUFFICIENT))
