"""Configurations that need no search: a trained baseline, the unmodified network, and fields by rules."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from torch import Tensor

from autorf.advice.field_rule import OBJECT, advised_field
from autorf.comparison.image_sizes import at_best_size
from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Group, Row, members_of
from autorf.methods import is_manual, method_class
from autorf.running.evidence import read_evidence
from autorf.study.objectives import sign


@dataclass(frozen=True)
class NamedGroup:
    """A configuration that has a name because no search is needed to find it.

    Attributes:
        name: ``baseline``: the checkpoint that the study begins with, untouched; ``default``: the unmodified network,
            trained; ``advised field``: the manual configuration that is nearest to what
            :func:`~autorf.advice.field_rule.advised_field` names; ``rf = object size``, the rule before that one: the
            manual configuration whose field is nearest to the size of the objects.
        group: over its seeds; None where it is not complete.
        object_size: in pixels; of the last kind only.
        source: where that comes from: ``data set``, or ``validation objects, median of the classes``.
        field: in pixels; what was advised.
        rule: why.
    """

    name: str
    group: Group | None
    object_size: float | None = None
    source: str | None = None
    field: float | None = None
    rule: str | None = None


def named_groups(
    studies: Sequence[StudyResults], rows: Sequence[Row], groups: Sequence[Group]
) -> tuple[NamedGroup, ...]:
    """The baseline, the default and the zero-search rules, those that can be told."""
    baselines = [NamedGroup("baseline", group) for group in groups if not method_class(group.method).trained]
    default = _default(studies, groups)
    return (*baselines, *((default,) if default else ()), *_by_objects(studies, rows, groups))


def _default(studies: Sequence[StudyResults], groups: Sequence[Group]) -> NamedGroup | None:
    for study in studies:
        if study.records and (configuration := _unmodified(study)):
            alike = [group for group in groups if group.study == study.name and _is(group, configuration)]
            return NamedGroup("default", alike[0] if alike else None)
    return None


def _unmodified(study: StudyResults) -> dict[str, Any] | None:
    """The configuration that leaves the network as it is.

    A search enqueues it first, as the network's own dilation or as ``rate: null``, which keeps it; an older study of
    the papers' head may have it among its trials.
    """
    model = study.part("model")
    own = _own_dilation(model) if str(model.get("name", "")).startswith("largefov:") else None
    first = study.records[0].configuration
    if is_manual(study.records[0].method) and (own is None or first.get("rate") in (None, own)):
        return first
    plain = {"method": "dilation", "rate": own}
    return plain if any(record.configuration == plain for record in study.records) else None


def _own_dilation(model: Mapping[str, Any]) -> int | None:
    """Of the papers' head; None where its paths have several, which no rate is equal to."""
    dilation = model.get("dilation") or 1
    each = set(dilation) if isinstance(dilation, list | tuple) else {dilation}
    return int(each.pop()) if len(each) == 1 else None


def _is(group: Group, configuration: dict[str, Any]) -> bool:
    return {"method": group.method, **group.params} == configuration


def _by_objects(
    studies: Sequence[StudyResults], rows: Sequence[Row], groups: Sequence[Group]
) -> tuple[NamedGroup, ...]:
    # The size of objects in pixels, as that of fields, is one at each image size.
    manual = [group for group in at_best_size(groups, sign(studies[0].objectives[0])) if group.manual]
    if len(manual) < 2:
        # The nearest of one is no rule.
        return ()
    stated = [size for study in studies for size in _stated_sizes(study, manual[0])]
    size = median(stated) if stated else _measured_size(studies, rows, manual)
    if size is None:
        return ()
    nearest = min(manual, key=lambda group: abs(max(group.rf) - size))
    source = "data set" if stated else "validation objects, median of the classes"
    old = NamedGroup("rf = object size", nearest, size, source)
    advised = _advised(manual, size)
    # Whoever reads the JSON by place finds the old rule where it was.
    return (old,) if advised is None else (old, advised)


def _advised(manual: Sequence[Group], object_size: float) -> NamedGroup | None:
    """What would have been advised; None where the images' size is not known."""
    image_size = manual[0].image_size
    if image_size is None:
        return None
    height, width = image_size
    advised = advised_field([object_size], (height, width), _seen_by_the_rest(manual))
    sides = {max(group.rf): group for group in manual}
    as_large = [side for side in sides if side >= advised.rf]
    if advised.rule == OBJECT or not as_large:
        chosen = min(sides, key=lambda side: abs(math.log(side / advised.rf)))
    else:
        chosen = min(as_large)
    return NamedGroup("advised field", sides[chosen], field=advised.rf, rule=advised.rule)


def _seen_by_the_rest(manual: Sequence[Group]) -> float | None:
    """The field without the dilated layers: it is a line over their rate. None where more than a rate sets it."""
    alike = [group for group in manual if set(group.params) == {"rate"} and group.method == "dilation"]
    points = sorted((rate, max(group.rf)) for group in alike if isinstance(rate := group.params["rate"], int))
    if len(points) < max(2, len(manual)):
        return None
    (low, at_low), (high, at_high) = points[0], points[-1]
    return at_low - low * (at_high - at_low) / (high - low)


def _stated_sizes(study: StudyResults, group: Group) -> list[float]:
    """Of objects, in pixels of the images that a configuration saw."""
    data = study.part("data")
    canvas = data.get("canvas")
    scale = 1.0 if canvas is None or group.image_size is None else min(group.image_size) / min(canvas)
    return [scale * float(size) for size in data.get("object_size") or ()]


def _measured_size(studies: Sequence[StudyResults], rows: Sequence[Row], groups: Sequence[Group]) -> float | None:
    """The side of the validation split's objects, which are the same in every trial.

    Of each class the middle of its pixels, so that specks along the borders of masks do not count as the objects do;
    of the classes the median, since mIoU weighs them equally.
    """
    by_name = {study.name: study for study in studies}
    folders = (by_name[row.study].trial_folder(row.key) for group in groups for row in members_of(group, rows).values())
    evidence = next((read for folder in folders if folder and (read := read_evidence(folder))), None)
    if evidence is None:
        return None
    classes, areas = evidence.objects[:, 1], evidence.object_input_areas
    things = [label for label in classes.unique().tolist() if evidence.is_thing[label]]
    return median(_middle_side(areas[classes == label]) for label in things) if things else None


def _middle_side(areas: Tensor) -> float:
    """The side in pixels of the object that holds the middle one of all pixels, the objects ordered by size."""
    areas = areas.double().sort().values
    covered = areas.cumsum(0)
    return float(areas[int((covered < covered[-1] / 2).sum())].sqrt())
