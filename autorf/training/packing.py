"""Nested values and tensors as one safetensors file: tensors by number, everything else as JSON in its header."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import deserialize as read_header
from safetensors.torch import load, save
from torch import Tensor

from autorf.errors import a_type

VERSION = 1


def pack(state: Mapping[str, Any]) -> bytes:
    """The file's content for mappings, lists, tuples, numbers, text, None and tensors, nested in any way.

    Raises:
        TypeError: for anything else, naming where it is.
    """
    tensors: dict[str, Tensor] = {}
    document = {"version": VERSION, "state": _plain(state, tensors, "state")}
    # Tensors may share memory, which the format does not know; a copy on the CPU shares none.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(copies, metadata={"document": json.dumps(document)})


def unpack(content: bytes) -> Any:
    """What :func:`pack` was given.

    Raises:
        ValueError: when the content is cut, damaged, or from a newer version.
    """
    try:
        document = json.loads(_metadata(content)["document"])
        tensors = load(content)
    except (SafetensorError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"is cut or damaged: {error}") from None
    if document["version"] > VERSION:
        raise ValueError(f"was written by a newer autorf (version {document['version']})")
    return _restored(document["state"], tensors)


def _metadata(content: bytes) -> dict[str, str]:
    # The header is a length in eight bytes, then JSON; safetensors offers it for files only.
    read_header(content)
    length = int.from_bytes(content[:8], "little")
    header: dict[str, dict[str, str]] = json.loads(content[8 : 8 + length])
    return header["__metadata__"]


def _plain(value: Any, tensors: dict[str, Tensor], place: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"mapping": [[key, _plain(inner, tensors, f"{place}.{key}")] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_plain(inner, tensors, f"{place}.{index}") for index, inner in enumerate(value)]}
    raise TypeError(f"{place}: {a_type(value)} cannot be kept in a checkpoint")


def _restored(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "mapping":
        return {key: _restored(inner, tensors) for key, inner in content}
    items = [_restored(inner, tensors) for inner in content]
    return tuple(items) if kind == "tuple" else items


def moved(value: Any, device: torch.device | str) -> Any:
    """``value`` with its tensors on ``device``."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: moved(inner, device) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(inner, device) for inner in value)
    return value
