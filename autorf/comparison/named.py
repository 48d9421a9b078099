"""Configurations that need no search: a trained baseline, the unmodified network, and fields by rules."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from torch import Tensor

from autorf.advice.field_rule import OBJECT, Sufficient, advised_field
from autorf.comparison.breakdown import EvidenceOf
from autorf.comparison.groups import Group, members_of
from autorf.comparison.image_sizes import at_best_size
from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row
from autorf.methods import is_manual, method_class
from autorf.running.evidence import Evidence
from autorf.study.objectives import sign
from autorf.study.own_loop import trained_elsewhere


@dataclass(frozen=True)
class NamedGroup:
    """A configuration that has a name because no search is needed to find it.

    Attributes:
        name: ``baseline``: the checkpoint that the study begins with, untouched; ``default``: the unmodified network,
            trained; ``advised field``: the manual configuration that is nearest to what
            :func:`~autorf.advice.field_rule.advised_field` names; ``rf = object size``, the rule before that one: the
            manual configuration whose field is nearest to the size of the objects.
        group: over its seeds; None where it is not complete, or where a rule names another one on another fold.
        object_size: in pixels; of the last kind only. Of data in folds the rules are asked on every fold's training
            images, and this and ``field`` are the medians.
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
    # Of a network that autorf has not built, which rate is its own is not known: only none at all leaves it as it is.
    is_known = own is None and not trained_elsewhere(study.spec)
    is_own = is_known or first.get("rate") in (None, own)
    if is_manual(study.records[0].method) and is_own:
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
    sizes = [median(stated)] if stated else _measured_sizes(studies, rows, manual)
    if not sizes:
        return ()
    nearest = [min(manual, key=lambda group: abs(max(group.rf) - size)) for size in sizes]
    source = "data set" if stated else "validation objects, median of the classes"
    old = NamedGroup("rf = object size", _the_same(nearest), median(sizes), source)
    advised = _advised(manual, sizes)
    # Whoever reads the JSON by place finds the old rule where it was.
    return (old,) if advised is None else (old, advised)


def _the_same(chosen: Sequence[Group]) -> Group | None:
    """The group that a rule names on every fold; None where folds differ, for then it names no one configuration."""
    return chosen[0] if all(group is chosen[0] for group in chosen) else None


def _advised(manual: Sequence[Group], object_sizes: Sequence[float]) -> NamedGroup | None:
    """What would have been advised; None where the images' size is not known."""
    if manual[0].image_size is None:
        return None
    height, width = manual[0].image_size
    rest = _seen_by_the_rest(manual)
    answers = [advised_field([size], (height, width), rest) for size in object_sizes]
    group = _the_same([_group_of(answer, manual) for answer in answers])
    rules = list(dict.fromkeys(answer.rule for answer in answers))
    return NamedGroup("advised field", group, field=median(answer.rf for answer in answers), rule=" or ".join(rules))


def _group_of(advised: Sufficient, manual: Sequence[Group]) -> Group:
    """The configuration that is nearest to an advised field."""
    # Of several with one field the first, as the rule by the objects takes it.
    sides = {max(group.rf): group for group in reversed(manual)}
    as_large = [side for side in sides if side >= advised.rf]
    if advised.rule == OBJECT or not as_large:
        return sides[min(sides, key=lambda side: abs(math.log(side / advised.rf)))]
    return sides[min(as_large)]


def _seen_by_the_rest(manual: Sequence[Group]) -> float | None:
    """The field without the dilated layers: it is a line over their rate. None where more than a rate sets it."""
    alike = [group for group in manual if _of_network(group) == {"rate"} and group.method == "dilation"]
    points = sorted((rate, max(group.rf)) for group in alike if isinstance(rate := group.params["rate"], int))
    if len(points) < len(manual) or len(dict(points)) < 2:
        return None
    (low, at_low), (high, at_high) = points[0], points[-1]
    return at_low - low * (at_high - at_low) / (high - low)


def _of_network(group: Group) -> set[str]:
    """What sets a configuration's network: how it is trained, and on images of which size, leaves its field alone."""
    return {name for name in group.params if not name.startswith(("training.", "data."))}


def _stated_sizes(study: StudyResults, group: Group) -> list[float]:
    """Of objects, in pixels of the images that a configuration saw."""
    data = study.part("data")
    canvas = data.get("canvas")
    scale = 1.0 if canvas is None or group.image_size is None else min(group.image_size) / min(canvas)
    return [scale * float(size) for size in data.get("object_size") or ()]


def _measured_sizes(studies: Sequence[StudyResults], rows: Sequence[Row], groups: Sequence[Group]) -> list[float]:
    """The side of the validation split's objects, which are the same in every trial; nothing without evidence.

    Of data in folds one for each fold, of the objects in its training images: what validates it must not choose for it.
    """
    evidence_of = EvidenceOf(studies, rows)
    for row in (row for group in groups for row in members_of(group, rows).values()):
        keys = row.trial_keys
        parts = [keys] if len(keys) == 1 else [tuple(key for key in keys if key != held_out) for held_out in keys]
        sides = [_object_side(evidence_of.of_trials(row.study, part)) for part in parts]
        known = [side for side in sides if side is not None]
        if len(known) == len(sides):
            return known
    return []


def _object_side(evidence: Evidence | None) -> float | None:
    """The side of the objects of a trial's images; None without evidence or objects.

    Of each class the middle of its pixels, so that specks along the borders of masks do not count as the objects do;
    of the classes the median, since mIoU weighs them equally.
    """
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
