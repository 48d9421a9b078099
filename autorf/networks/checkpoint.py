"""Weights of a whole model from a file."""

from pathlib import Path

import torch
from torch import Tensor, nn

from autorf.errors import InputError

INSIDE = ("state_dict", "model", "model_state_dict")
"""Where checkpoints that hold more than weights keep them."""


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a checkpoint of the whole, unadapted ``model``: safetensors, or a file of ``torch.save`` without code in it.

    Raises:
        InputError: for a file that is missing or damaged, that would run code, or whose keys or shapes are not the
            model's; the model is then unchanged.
    """
    weights = _read(path)
    own = model.state_dict()
    missing, unknown = [key for key in own if key not in weights], [key for key in weights if key not in own]
    shapes = [key for key, value in weights.items() if key in own and own[key].shape != value.shape]
    for problem, keys in (("lacks", missing), ("has unknown", unknown), ("has other shapes of", shapes)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise InputError(
                f"model.weights: {path} {problem} {keys[0]!r}{more}; it must be a checkpoint of this very model, "
                "before any method changed it"
            )
    model.load_state_dict(weights)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"model.weights: {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"model.weights: {path} cannot be read as weights ({reason}); save them as safetensors"
        ) from None
    while isinstance(content, dict) and any(isinstance(content.get(name), dict) for name in INSIDE):
        content = next(content[name] for name in INSIDE if isinstance(content.get(name), dict))
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"model.weights: {path} holds no mapping of names to tensors")
    return content
