"""Which tensors of a file are which of an encoder's: by name, else by order and shape."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from autorf.networks.trainer_names import COUNTER, Weights, without_wrappers

_FLAT = re.compile(r"_(\d+)\.")

LEAST_SHARE = 0.9
"""Of an encoder's tensors, how many a file must hold."""


@dataclass(frozen=True)
class Match:
    """An encoder's tensors and those of a file.

    Attributes:
        names: the file's name by the encoder's.
        by: ``name``, or ``order and shape``.
        own: every tensor of the encoder that counts, by name.
        file: every tensor of the file that counts, by name.
    """

    names: Mapping[str, str]
    by: str
    own: Weights
    file: Weights

    @property
    def share(self) -> float:
        """Of the encoder's tensors, how many are matched, in [0, 1]."""
        return len(self.names) / max(1, len(self.own))

    @property
    def is_enough(self) -> bool:
        """Whether the file is taken."""
        return self.share >= LEAST_SHARE

    @property
    def left_over(self) -> list[str]:
        """Names in the file that are nothing of the encoder."""
        taken = set(self.names.values())
        return [name for name in self.file if name not in taken]


def match(file: Weights, encoder: Weights) -> Match:
    """By name where that is enough, else by order and shape, whichever matches more.

    Args:
        file: one mapping of names to tensors, wrapped names or not.
        encoder: the encoder's own state.
    """
    file, encoder = without_wrappers(counted(file)), counted(encoder)
    by_name = Match(_by_name(file, encoder), "name", encoder, file)
    if not by_name.is_enough:
        by_name = Match(_by_nested_name(file, encoder), "name", encoder, file)
    if by_name.is_enough:
        return by_name
    by_order = Match(_by_order(file, encoder), "order and shape", encoder, file)
    return max(by_name, by_order, key=lambda each: each.share)


def counted(weights: Weights) -> dict[str, Tensor]:
    """Without the counters of batch norm, which change no output."""
    return {name: value for name, value in weights.items() if not name.endswith(COUNTER)}


def first_convolution(encoder: Weights) -> str | None:
    """The name of the kernel that sees the image; None without convolutions."""
    return next((name for name, value in encoder.items() if value.dim() == 4), None)


def fits(own: Tensor, other: Tensor, *, is_first: bool) -> bool:
    """Whether a tensor of the file can become one of the encoder's; the first kernel may see other channels."""
    if own.shape == other.shape:
        return True
    return is_first and other.dim() == 4 and (own.shape[0], own.shape[2:]) == (other.shape[0], other.shape[2:])


def _by_name(file: Weights, encoder: Weights) -> dict[str, str]:
    prefix, first = _prefix(file, encoder), first_convolution(encoder)
    named = {name: f"{prefix}{name}" for name in encoder if f"{prefix}{name}" in file}
    return {name: other for name, other in named.items() if fits(encoder[name], file[other], is_first=name == first)}


def _by_nested_name(file: Weights, encoder: Weights) -> dict[str, str]:
    """By name, where ``features_0`` of timm's feature extractors is ``features.0`` of its classifiers."""
    ours, theirs = ({_FLAT.sub(r".\1.", name): name for name in weights} for weights in (encoder, file))
    nested = _by_name(
        {name: file[flat] for name, flat in theirs.items()}, {name: encoder[flat] for name, flat in ours.items()}
    )
    return {ours[name]: theirs[other] for name, other in nested.items()}


def _prefix(file: Weights, encoder: Weights) -> str:
    """What stands in front of most of the encoder's names in the file."""
    prefixes = Counter[str]()
    for name in file:
        parts = name.split(".")
        endings = (".".join(parts[start:]) for start in range(len(parts)))
        prefixes.update(name.removesuffix(ending) for ending in endings if ending in encoder)
    return max(prefixes, key=lambda prefix: (prefixes[prefix], -len(prefix)), default="")


def _by_order(file: Weights, encoder: Weights) -> dict[str, str]:
    """The file's tensors in a row, from where most agree in role and shape.

    One row without gaps: tensors of repeated blocks look alike, and a gap would shift them onto one another.
    """
    ours, theirs = list(encoder), list(file)
    first = first_convolution(encoder)
    agreeing = [
        _agreeing(ours, theirs[start:], encoder, file, first) for start in range(max(1, len(theirs) - len(ours) + 1))
    ]
    return max(agreeing, key=len)


def _agreeing(
    ours: Sequence[str], theirs: Sequence[str], encoder: Weights, file: Weights, first: str | None
) -> dict[str, str]:
    return {
        name: other
        for name, other in zip(ours, theirs, strict=False)
        if role(name) == role(other) and fits(encoder[name], file[other], is_first=name == first)
    }


def role(name: str) -> str:
    """The last part of a tensor's name: a batch norm's four look alike but for it."""
    return name.rpartition(".")[2]
