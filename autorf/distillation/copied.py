"""Layers that a student has of its teacher."""

from collections.abc import Mapping

import torch
from torch import nn

from autorf.errors import InputError, near_names

_PLACE = "distill.copied"


def copy_modules(student: nn.Module, teacher: nn.Module, copied: Mapping[str, str]) -> None:
    """Give modules of the student the weights of modules of the teacher, tensor by tensor of the same name in them.

    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, section V-A: conv1_1 and conv1_2.

    Args:
        student: changed in place; unchanged after an error.
        teacher: as it was trained.
        copied: by the name of each of the student's modules that of the teacher's.

    Raises:
        InputError: for a module that there is none of, without weights, or whose tensors the teacher lacks or has in
            another shape.

    Examples:
        >>> student, teacher = (nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()) for _ in range(2))
        >>> copy_modules(student, teacher, {"0": "0"})
        >>> torch.equal(student[0].weight, teacher[0].weight)
        True
    """
    own, theirs = student.state_dict(), teacher.state_dict()
    pairs: list[tuple[str, str]] = []
    for name, source in copied.items():
        for role, model, module in (("student", student, name), ("teacher", teacher, source)):
            names = [each for each, _ in model.named_modules()]
            if module not in names or not module:
                raise InputError(f"{_PLACE}: the {role} has no module {module!r}{near_names(module, names)}")
        inner = [key.removeprefix(f"{name}.") for key in own if key.startswith(f"{name}.")]
        if not inner:
            raise InputError(f"{_PLACE}.{name}: the student's module has no weights; name another, or leave it out")
        pairs += [(f"{name}.{key}", f"{source}.{key}") for key in inner]
    for key, source in pairs:
        if source not in theirs:
            raise InputError(
                f"{_PLACE}: the student has {key} and the teacher no {source}; name modules that are alike"
            )
        if theirs[source].shape != own[key].shape:
            shapes = " and the teacher's ".join(" x ".join(map(str, each.shape)) for each in (own[key], theirs[source]))
            raise InputError(f"{_PLACE}: {key} is {shapes}; name modules that are alike")
    with torch.no_grad():
        for key, source in pairs:
            own[key].copy_(theirs[source])
