"""Several branches of the papers' head, each with a receptive field of its own."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError, near_names
from autorf.methods.labels import LabelAware
from autorf.networks.largefov import large_fov_head, last_map
from autorf.ops.weighted_gradient import weight_gradient


class WeightedGradient(LabelAware):
    """Multiplies the gradient by ``weight`` at pixels whose label is in ``classes``; identity otherwise.

    Forward, and everything in evaluation, is the identity. In training it needs the labels: see :func:`autorf.labels`.
    Paper: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, Eq. 12.

    Args:
        classes: the label set; empty for a branch without preference.
        weight: positive; the paper's is 1.2.
    """

    def __init__(self, classes: Sequence[int], weight: float = 1.2) -> None:
        super().__init__()
        if not 0 < weight < math.inf or not all(type(label) is int and label >= 0 for label in classes):
            raise InputError(
                f"WeightedGradient: needs whole numbers >= 0 as classes and a finite weight > 0, got {tuple(classes)} "
                f"and {weight}"
            )
        self.classes, self.weight = tuple(sorted(set(classes))), weight

    def forward(self, input: Tensor) -> Tensor:
        """The map ``(N, C, H, W)`` as it came."""
        if not (self.training and self.classes and torch.is_grad_enabled()):
            return input
        labels = self.labels_at((input.shape[2], input.shape[3]))
        chosen = torch.isin(labels, torch.tensor(self.classes, device=labels.device))
        return weight_gradient(input, torch.where(chosen, self.weight, 1.0))

    def extra_repr(self) -> str:
        """The label set and the weight."""
        return f"classes={self.classes}, weight={self.weight:g}"


class MultiPath(nn.Module):
    """A backbone, one batch norm, equal branches (conv6, conv7, output, weighted gradient), their sum, bilinear.

    Branches are copies of one head: they begin with the same weights, and with one dilation the label sets alone break
    the symmetry between them; inflation gives each its own factor. Paper: as
    :class:`autorf.networks.largefov.LargeFOV`, sections 3.1 and 3.4.

    Args:
        backbone: maps ``(N, 3, H, W)`` to a list of maps; the last one is used.
        in_channels: channels of that map.
        classes: number of classes, the channels of the output.
        label_sets: for each branch the classes whose gradient it weights; they must not overlap.
        weight: of the gradient at those pixels.
        dilations: of each branch's conv6; one number for all, or one each (the manual baseline).
        kernel: side of conv6.
        channels: of conv6 and conv7.
        head_norm: whether batch norm follows conv6 and conv7.
        equal: whether branches begin with equal weights; else each draws its own.

    Raises:
        InputError: for label sets that do not fit, or branches that nothing would ever tell apart.
    """

    def __init__(
        self,
        backbone: nn.Module,
        in_channels: int,
        classes: int,
        label_sets: Sequence[Sequence[int]],
        *,
        weight: float = 1.2,
        dilations: Sequence[int] = (1,),
        kernel: int = 3,
        channels: tuple[int, int] = (256, 256),
        head_norm: bool = False,
        equal: bool = True,
    ) -> None:
        super().__init__()
        check_label_sets(label_sets, classes)
        each = tuple(dilations) * len(label_sets) if len(dilations) == 1 else tuple(dilations)
        if len(each) != len(label_sets):
            raise InputError(f"MultiPath: {len(label_sets)} branches need one dilation or one each, got {each}")
        if equal:
            check_told_apart(label_sets, weight, each)
        self.backbone = backbone
        self.norm = nn.BatchNorm2d(in_channels)
        self.paths = nn.ModuleList()
        for label_set, dilation in zip(label_sets, each, strict=True):
            layers = large_fov_head(in_channels, classes, kernel, dilation, channels, head_norm)
            self.paths.append(nn.Sequential(OrderedDict(**layers, guidance=WeightedGradient(label_set, weight))))
        if equal:
            for path in self.paths[1:]:
                path.load_state_dict(self.paths[0].state_dict())
        self.receptive_field_layers = tuple(f"paths.{index}.conv6" for index in range(len(self.paths)))
        self.receptive_field_regions = tuple(
            (f"paths.{index}.conv6", f"paths.{index}.output") for index in range(len(self.paths))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes, H, W)`` for ``image (N, 3, H, W)``."""
        features = self.norm(last_map(self.backbone, image))
        scores = torch.stack([path(features) for path in self.paths]).sum(0)
        return functional.interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)


def check_label_sets(label_sets: Sequence[Sequence[int]], classes: int) -> None:
    """Raise ``InputError`` unless there are two or more sets of classes that exist and do not overlap."""
    if len(label_sets) < 2:
        raise InputError(f"model.paths: needs at least two branches, got {len(label_sets)}")
    owner: dict[int, int] = {}
    for index, label_set in enumerate(label_sets):
        for label in label_set:
            if not 0 <= label < classes:
                raise InputError(f"model.paths.{index}: unknown class {label}; legal are 0 to {classes - 1}")
            if label in owner and owner[label] != index:
                raise InputError(f"model.paths.{index}: class {label} is in branch {owner[label]} too; keep one")
            owner[label] = index


def check_told_apart(label_sets: Sequence[Sequence[int]], weight: float, dilations: Sequence[int]) -> None:
    """Raise ``InputError`` for branches with equal weights that would get the same gradient, and so stay equal."""
    first: dict[tuple[frozenset[int], int], int] = {}
    for index, (label_set, dilation) in enumerate(zip(label_sets, dilations, strict=True)):
        # A weight of 1 weighs no class.
        guidance = frozenset(label_set if weight != 1 else ())
        if (before := first.setdefault((guidance, dilation), index)) != index:
            raise InputError(
                f"model.paths: branches {before} and {index} begin with the same weights, dilation and label set, so "
                "they would learn the same; give each a set of its own, other dilations, or model.path_init: drawn"
            )


def numbered_paths(paths: Sequence[Sequence[str | int]], names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Label sets with class names replaced by their numbers.

    Raises:
        InputError: for a name that is no class, with near names.
    """
    for index, path in enumerate(paths):
        for label in path:
            if isinstance(label, str) and label not in names:
                choices = f"; classes: {', '.join(names)}" if names else "; the classes have no names here: use numbers"
                raise InputError(f"model.paths.{index}: unknown class {label!r}{near_names(label, names)}{choices}")
    return tuple(_numbered(path, names) for path in paths)


def _numbered(path: Sequence[str | int], names: Sequence[str]) -> tuple[int, ...]:
    return tuple(names.index(label) if isinstance(label, str) else label for label in path)
