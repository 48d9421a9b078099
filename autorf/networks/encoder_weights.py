"""Weights of an encoder from a file that knows nothing of the rest of the network."""

import math
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.networks.checkpoint import NOTES, content_keys, read
from autorf.networks.encoder_match import LEAST_SHARE, Match, first_convolution, match
from autorf.networks.trainer_names import Weights, places

FIELD = "model.encoder_weights"

NAMES = ("encoder", "backbone", "features", "base_model")
"""What libraries call the encoder of a network; without any of these the whole network is one."""


def encoder_of(model: nn.Module) -> nn.Module:
    """The part of a network that a classifier of pictures could have been trained as."""
    parts = (getattr(model, name, None) for name in NAMES)
    return next((part for part in parts if isinstance(part, nn.Module) and part is not model), model)


def load_encoder_weights(model: nn.Module, path: Path) -> None:
    """Give the encoder of ``model`` the weights in a file, in place.

    Tensors are matched by name, whatever stands in front of the names; where less than 90 % are, by their order: the
    file's tensors in a row whose last names (``weight``, ``running_mean``) and shapes are the encoder's. The kernel
    that sees the image takes other channels as timm has it: repeated in turn and scaled to the same sum, or summed up
    for one. What is not matched stays as it was; so do counters of batch norm.

    Args:
        model: whose ``encoder``, ``backbone``, ``features`` or ``base_model`` is loaded, else all of it.
        path: safetensors, or a file of ``torch.save`` without code in it.

    Raises:
        InputError: for a file that is missing or damaged or would run code, or that has less than 90 % of the
            encoder's tensors, with the first differences; the model is then unchanged.

    Warns:
        UserWarning: once a file, what matched.
    """
    own = encoder_of(model).state_dict()
    content = read(path, FIELD)
    listed = [match(weights, own) for _, weights in places(content)]
    if not listed:
        raise InputError(f"{FIELD}: {path} holds no mapping of names to tensors{content_keys(content)}")
    best = max(listed, key=lambda each: each.share)
    if not best.is_enough:
        raise InputError(f"{FIELD}: {path} {_misfit(best)}")
    _copy(own, best)
    _tell(path, best)


def adapted_to(kernel: Tensor, in_channels: int) -> Tensor:
    """A first kernel ``(O, I, h, w)`` for images of other channels, ``(O, in_channels, h, w)``, as timm adapts it.

    One channel sees the sum; several repeat the kernel's in turn, scaled by ``I / in_channels``, so that an image of
    equal channels gives what it gave.

    >>> adapted_to(torch.ones(1, 3, 1, 1), 1).flatten().tolist(), adapted_to(torch.ones(1, 3, 1, 1), 4).sum().item()
    ([3.0], 3.0)
    """
    channels = kernel.shape[1]
    if in_channels == channels:
        return kernel
    if in_channels == 1:
        return kernel.sum(1, keepdim=True)
    repeated = kernel.repeat(1, math.ceil(in_channels / channels), 1, 1)
    return repeated[:, :in_channels] * (channels / in_channels)


def _copy(own: Weights, matched: Match) -> None:
    first = first_convolution(matched.own)
    with torch.no_grad():
        for name, other in matched.names.items():
            value = matched.file[other]
            own[name].copy_(adapted_to(value.float(), own[name].shape[1]) if name == first else value)


def _tell(path: Path, matched: Match) -> None:
    note = _note(matched)
    before, NOTES[path] = NOTES.get(path), note
    if note != before:
        warnings.warn(f"{FIELD}: {path}: {note}", stacklevel=4)


def _note(matched: Match) -> str:
    """What matched, in a sentence."""
    parts = [f"{len(matched.names)} of the encoder's {len(matched.own)} tensors by {matched.by}"]
    renamed = next((pair for pair in matched.names.items() if pair[0] != pair[1]), None)
    if renamed is not None:
        parts.append(f"such as {renamed[1]!r} for {renamed[0]!r}")
    first = first_convolution(matched.own)
    if first is not None and first in matched.names:
        ours, theirs = matched.own[first].shape[1], matched.file[matched.names[first]].shape[1]
        parts += [f"the first convolution adapted from {theirs} to {ours} channels"] if ours != theirs else []
    missing = [name for name in matched.own if name not in matched.names]
    parts += [f"left {_such_as(missing)} of the encoder at random"] if missing else []
    parts += [f"left out {_such_as(matched.left_over)} of the file"] if matched.left_over else []
    return ", ".join(parts)


def _such_as(names: list[str]) -> str:
    return f"{len(names)} such as {names[0]!r}" if len(names) > 1 else repr(names[0])


def _misfit(matched: Match) -> str:
    missing = [name for name in matched.own if name not in matched.names][:2]
    pairs = list(zip(missing, matched.left_over, strict=False))
    differences = "; ".join(
        f"{name} {list(matched.own[name].shape)} against {other} {list(matched.file[other].shape)}"
        for name, other in pairs
    )
    counts = f"fits {len(matched.names)} of the encoder's {len(matched.own)} tensors, at least {LEAST_SHARE:.0%} must"
    return f"{counts}: {differences or f'it lacks {missing[0]}'}"
