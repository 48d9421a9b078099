"""Everything that can be said of a distillation before anything is trained."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autorf.data import DataSpec, channels_of
from autorf.data.normalisation import Normalisation
from autorf.data.patch_spec import PictureFiles
from autorf.deployment.model_card import FIGURES
from autorf.distillation.copied import copy_modules
from autorf.distillation.images import StageImages
from autorf.distillation.stage import check_training
from autorf.distillation.teacher_scores import BYTES
from autorf.errors import InputError, in_one_line, shown_place
from autorf.running.first_step import check_scores
from autorf.running.runner import seeded_network
from autorf.study.distill_spec import DistillSpec, TeacherSpec
from autorf.study.spec import StudySpec
from autorf.training.outputs import raw_scores

_NEAR = 1e-4
"""Means and deviations that differ by less are one normalisation, written with fewer digits."""


@dataclass(frozen=True)
class Kept:
    """Of which stages the teacher's scores are kept on disk, and why not of the others.

    Attributes:
        supervised, unsupervised: whether they are.
        notes: one line for each stage in whose every step they are computed anew.
    """

    supervised: bool
    unsupervised: bool
    notes: tuple[str, ...] = ()


def check(spec: StudySpec, distill: DistillSpec, images: StageImages) -> Kept:
    """Refuse what cannot be distilled; what is kept on disk of the rest.

    Raises:
        InputError: for teacher and student with other classes or another normalisation, more pixels to leave out than
            an image has, and a training that stages cannot have.
    """
    check_training(spec.training)
    if spec.executor.kind != "local":
        raise InputError(f"executor.kind: {spec.executor.kind}: stages run on this machine; give local")
    if isinstance(spec.data, PictureFiles) and spec.data.patches is not None:
        raise InputError(
            "data.patches: a distillation's teacher and student see the same images in every epoch, and patches are "
            "others each time; leave patches out"
        )
    names = images.splits.class_names
    _check_weights(distill, names)
    _check_top_k(distill, spec.data)
    _check_teacher(distill.teacher, names, images.splits.train.normalisation)
    size = _check_networks(spec, distill, names)
    return _kept(spec, distill, images, size)


def _check_weights(distill: DistillSpec, names: Sequence[str]) -> None:
    if distill.class_weights is not None and len(distill.class_weights) != len(names):
        raise InputError(
            f"distill.class_weights: {len(distill.class_weights)} weights for {len(names)} classes; give one each, in "
            "their order"
        )


def _check_top_k(distill: DistillSpec, data: DataSpec) -> None:
    height, width = data.augmentation.crop or data.image_size
    if distill.top_k > height * width:
        raise InputError(
            f"distill.top_k: {distill.top_k} pixels are to be left out of an image of {height} x {width} = "
            f"{height * width}; give 0 to {height * width}"
        )


def _check_teacher(teacher: TeacherSpec, names: Sequence[str], normalisation: Normalisation) -> None:
    """Compare what is known of the teacher's weights with the data set."""
    card = _card_beside(teacher.model.weights)
    classes = teacher.classes or tuple(card.get("per_class") or ()) or None
    if classes is not None and tuple(classes) != tuple(names):
        raise InputError(
            f"distill.teacher.classes: the teacher knows {_listed(classes)} and the student is to learn "
            f"{_listed(names)}; both must have the same classes in the same order"
        )
    told: Any = card.get("normalisation") or {}
    for name, own in (("mean", normalisation.mean), ("std", normalisation.std)):
        of_teacher = getattr(teacher, name) or told.get(name)
        if of_teacher is not None and not _alike(of_teacher, own):
            raise InputError(
                f"distill.teacher.{name}: the teacher's images were normalised by {_numbers(of_teacher)} and the data "
                f"set's are by {_numbers(own)}; give a teacher that was trained on images normalised alike"
            )


def _card_beside(weights: Path | None) -> dict[str, Any]:
    """The figures that a retrained model has beside its weights; empty where there are none."""
    if weights is None:
        return {}
    try:
        card = json.loads((weights.parent / FIGURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def _alike(first: Sequence[float], second: Sequence[float]) -> bool:
    return len(first) == len(second) and all(abs(a - b) <= _NEAR for a, b in zip(first, second, strict=True))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{len(names)} classes ({', '.join(map(shown_place, names[:4]))}{more})"


def _numbers(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"


def _check_networks(spec: StudySpec, distill: DistillSpec, names: Sequence[str]) -> tuple[int, ...]:
    """Build both and compare what they score; the shape ``(C, h, w)`` of the teacher's scores of an image."""
    shapes: dict[str, tuple[int, ...]] = {}
    networks: dict[str, nn.Module] = {}
    for role, model in (("distill.teacher.model", distill.teacher.model), ("model", spec.model)):
        try:
            network = seeded_network(spec.model_copy(update={"model": model}), 0, names).eval()
        except InputError as error:
            raise InputError(str(error).replace("model.", f"{role}.", 1) if role != "model" else str(error)) from None
        image = torch.zeros(1, channels_of(spec.data), *spec.data.image_size)
        try:
            with torch.no_grad():
                output = network(image)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{role}: {model.name} does not take the images: {in_one_line(error, 160)}") from None
        check_scores(output, model.name, len(names))
        shapes[role] = tuple(raw_scores(output).shape[1:])
        networks[role] = network
    copy_modules(networks["model"], networks["distill.teacher.model"], distill.copied)
    teacher, student = shapes["distill.teacher.model"], shapes["model"]
    if teacher[0] != student[0]:
        raise InputError(
            f"distill.teacher.model: scores {teacher[0]} classes and the student {student[0]}; both must have the same "
            "classes"
        )
    return teacher


def _kept(spec: StudySpec, distill: DistillSpec, images: StageImages, size: Sequence[int]) -> Kept:
    """What fits into the budget, the stage with labels first."""
    counts = {"supervised": len(images.splits.train), "unsupervised": len(images.unlabelled or ())}
    budget, kept, notes = distill.cache_gb * 1e9, dict[str, bool](), list[str]()
    for stage, count in counts.items():
        n_bytes = count * BYTES * torch.Size(size).numel()
        kept[stage] = count > 0 and spec.data.augmentation.is_identity and n_bytes <= budget
        budget -= n_bytes if kept[stage] else 0
        if count and not kept[stage]:
            why = (
                f"{n_bytes / 1e9:.3g} GB for {count} images are more than distill.cache_gb leaves"
                if spec.data.augmentation.is_identity
                else "data.augmentation changes the images at random"
            )
            notes.append(f"{stage}: the teacher's scores are computed anew in every step: {why}")
    return Kept(kept["supervised"], kept["unsupervised"], tuple(notes))
