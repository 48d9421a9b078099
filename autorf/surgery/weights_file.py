"""The weights of a saved model: a safetensors file that carries a copy of the model's record."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn

from autorf.errors import InputError, a_type
from autorf.methods.gathered import gathered
from autorf.surgery.wrappers import clean_names

_RECORD = "autorf"
"""The record's key in the metadata of the file."""


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The state of ``model`` as tensors that share no memory, gathered, by keys without prefixes of wrappers.

    Raises:
        InputError: for state that is no tensor.
    """
    tensors: dict[str, Tensor] = {}
    clean = clean_names(model)
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise InputError(f"save: {name!r} is {a_type(value)}; safetensors holds tensors only")
        # Copies: safetensors refuses tensors that share memory, as tied parameters do.
        tensors[clean(name)] = gathered(value).detach().cpu().contiguous().clone()
    return tensors


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_bytes(tensors: dict[str, Tensor], record: str) -> bytes:
    """The content of the file."""
    return tensor_bytes(tensors, {_RECORD: record})


def read_weights(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors in ``path``, and the record there; None where there is none.

    Raises:
        InputError: for a file that is missing, damaged or a pickle.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a saved model is a folder written by autorf.save") from None
    if content[8:9] != b"{" and content.startswith((b"PK", b"\x80")):
        raise InputError(f"{path}: is a pickle (torch.save), which can run code; autorf loads safetensors only")
    try:
        tensors = dict(read_tensors(content))
    except SafetensorError as error:
        raise InputError(f"{path}: is damaged, or no safetensors file: {error}") from None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return tensors, header.get("__metadata__", {}).get(_RECORD)
