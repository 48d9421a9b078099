"""Weights of a whole model from a file."""

import argparse
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autorf.errors import InputError, in_one_line
from autorf.networks.trainer_names import Weights, fit, places

NOTES: dict[Path, str] = {}
"""What was last said of the weights in a file, by its path."""


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a checkpoint of the whole, unadapted ``model``: safetensors, or a file of ``torch.save`` without code in it.

    Names may be wrapped as trainers wrap them: ``module.`` of data parallel training, ``_orig_mod.`` of
    ``torch.compile``, ``model.`` of a Lightning module, several of them, or any other one that all names share; in a
    file that holds more than weights they are looked for under ``state_dict``, ``model``, ``model_state_dict``,
    ``net``, ``state_dict_ema`` and the like. Counters of batches of batch norm may be missing.

    Raises:
        InputError: for a file that is missing or damaged, that would run code, or whose keys or shapes are not the
            model's; the model is then unchanged.

    Warns:
        UserWarning: once a file, that says what was taken off the names, and what was left out.
    """
    content, own = read(path, "model.weights"), model.state_dict()
    try:
        fitting = fit(content, own)
    except InputError as error:
        raise InputError(f"model.weights: {path} {error}") from None
    if fitting is None:
        raise _unfitting(content, own, path)
    before, NOTES[path] = NOTES.get(path), fitting.note
    if fitting.note and fitting.note != before:
        warnings.warn(f"model.weights: {path}: {fitting.note}", stacklevel=3)
    model.load_state_dict(fitting.weights)


def note_of(path: Path) -> str:
    """What was last taken off the names in a file, or left out of it; empty where nothing was."""
    return NOTES.get(path, "")


@contextmanager
def notes_kept() -> Iterator[None]:
    """Models are built without a warning of what was taken off names: whoever builds them says :func:`note_of`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"model\.(encoder_)?weights: ", UserWarning)
        yield


def _unfitting(content: Any, own: Weights, path: Path) -> InputError:
    """The first names that do not fit, of the place that fits best."""
    listed = [weights for _, weights in places(content)]
    if not listed:
        return InputError(f"model.weights: {path} holds no mapping of names to tensors{content_keys(content)}")
    weights = max(listed, key=lambda each: len(each.keys() & own.keys()))
    missing, unknown = [key for key in own if key not in weights], [key for key in weights if key not in own]
    shapes = [key for key, value in weights.items() if key in own and own[key].shape != value.shape]
    problems = [("lacks", missing), ("has unknown", unknown), ("has other shapes of", shapes)]
    words = [f"{problem} {_first(keys)}" for problem, keys in problems if keys]
    return InputError(
        f"model.weights: {path} {' and '.join(words)}; it must be a checkpoint of this very model, before any method "
        "changed it"
    )


def content_keys(content: Any) -> str:
    """The first keys of what a file holds, for a message."""
    names = ", ".join(str(name)[:40] for name in list(content)[:5]) if isinstance(content, Mapping) else ""
    return f", only {names}" if names else ""


def _first(keys: list[str]) -> str:
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    return f"{keys[0]!r}{more}"


def read(path: Path, field: str) -> Any:
    """What a file of weights holds, read without running any code in it.

    Args:
        path: safetensors, or a file of ``torch.save``.
        field: the key that names it, for messages.

    Raises:
        InputError: for a file that is missing or damaged, or that would run code.
    """
    if not path.is_file():
        raise InputError(f"{field}: {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # The arguments of a command line are plain values, and trainers put them beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch's own text advises to run whatever code the file holds.
        reason = _foreign_classes(path) or "it is no file of torch.save, or a damaged one"
    except Exception as error:
        reason = in_one_line(error, 200)
    raise InputError(f"{field}: {path} cannot be read as weights ({reason}); save them as safetensors")


def _foreign_classes(path: Path) -> str:
    """What a file holds beside tensors and plain values that only code could make; empty where that is not known."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:
        return ""
    listed = ", ".join(sorted(names)[:3])
    return f"it holds {listed}, which only code could make; keep the state_dict alone" if names else ""
