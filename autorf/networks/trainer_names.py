"""How trainers wrap the names of a network's weights, and taking the wrapping off again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from autorf.errors import InputError

Weights = Mapping[str, Tensor]

PLACES = ("state_dict", "model", "model_state_dict", "net", "network", "model_state", "weights", "params", "module")
"""Where checkpoints that hold more than weights keep them, those that are looked at first."""

AVERAGES = ("ema", "avg", "averag", "swa")
"""Parts of the names of places that hold averaged weights, which are looked at last."""

WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
"""What ``torch.compile`` and others put into names, wherever they wrap a part."""

PREFIXES = ("module.", "model.", "net.", "network.")
"""Prefixes that are taken where several fit."""

COUNTER = "num_batches_tracked"
"""Of batch norm: torch itself does not need it."""

DEEPEST = 3


@dataclass(frozen=True)
class Fit:
    """Weights under the names of a model.

    Attributes:
        weights: by the model's names; a counter that the file lacks is the model's own.
        note: what was taken off or left out, in a sentence; empty for a plain file.
    """

    weights: dict[str, Tensor]
    note: str


def places(content: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Weights]]:
    """Every mapping of names to tensors in a checkpoint, with where it is; averaged weights last.

    What lies beside tensors and is none, such as a number of epochs, is left out.
    """
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content) or depth > DEEPEST:
        return
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors and len(tensors) == len(content):
        yield path, tensors
        return
    for name in sorted(content, key=_order):
        yield from places(content[name], f"{path}.{name}" if path else name, depth + 1)
    if tensors:
        yield path, tensors


def _order(name: str) -> tuple[int, int]:
    is_average = any(part in name.lower() for part in AVERAGES)
    return is_average, PLACES.index(name) if name in PLACES else len(PLACES)


def fit(content: Any, own: Weights) -> Fit | None:
    """The weights of the first place in a checkpoint whose names are a model's, wrapped or not; None without any.

    Args:
        content: what the file holds.
        own: the model's state.

    Raises:
        InputError: where several networks in one place fit.
    """
    listed = list(places(content))
    for path, weights in listed:
        if (fitting := _in_place(weights, own)) is not None:
            others = [other for other, values in listed if other != path and _in_place(values, own) is not None]
            notes = [f"took {path!r} of it"] if path not in ("", *PLACES[:3]) else []
            notes += [fitting.note] if fitting.note else []
            notes += [f"left {', '.join(map(repr, others))}, which fits too"] if others else []
            return Fit(fitting.weights, "; ".join(notes))
    return None


def _in_place(weights: Weights, own: Weights) -> Fit | None:
    """The weights of one mapping, under the model's names."""
    if (plain := _under("", weights, own)) is not None:
        return plain
    unwrapped = without_wrappers(weights)
    fits = [each for prefix in _prefixes(unwrapped, own) if (each := _under(prefix, unwrapped, own)) is not None]
    if not fits:
        return None
    removed = [name for name in WRAPPERS if any(name in key.split(".") for key in weights)]
    note = "; ".join([*([f"stripped {', '.join(map(repr, removed))}"] if removed else []), fits[0].note])
    return Fit(fits[0].weights, note.strip("; "))


def without_wrappers(weights: Weights) -> dict[str, Tensor]:
    """The same under names without what ``torch.compile`` and others put into them."""
    return {".".join(part for part in key.split(".") if part not in WRAPPERS): value for key, value in weights.items()}


def _prefixes(weights: Weights, own: Weights) -> list[str]:
    """What stands in front of the model's names in the file, the usual before others.

    Raises:
        InputError: where several prefixes that are not usual fit.
    """
    names = [key for key in own if not key.endswith(COUNTER)]
    # The longest name ends the fewest others.
    rarest = max(names, key=len, default="")
    candidates = [key.removesuffix(rarest) for key in weights if key == rarest or key.endswith(f".{rarest}")]
    fitting = [prefix for prefix in candidates if all(prefix + name in weights for name in names)]
    usual = [prefix for prefix in fitting if _is_usual(prefix)]
    if len(fitting) > 1 and not usual:
        listed = ", ".join(map(repr, fitting))
        raise InputError(f"holds several networks that fit, under {listed}; keep the weights of one")
    return sorted(usual, key=len) or fitting


def _is_usual(prefix: str) -> bool:
    parts = prefix.split(".")[:-1]
    return all(f"{part}." in PREFIXES for part in parts)


def _under(prefix: str, weights: Weights, own: Weights) -> Fit | None:
    """The weights whose names begin with ``prefix``; None where names or shapes are not the model's."""
    inside = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    counters = {key: value for key, value in own.items() if key.endswith(COUNTER) and key not in inside}
    taken = {**inside, **counters}
    if taken.keys() != own.keys() or any(own[key].shape != value.shape for key, value in taken.items()):
        return None
    outside = [key for key in weights if not key.startswith(prefix)]
    notes = [f"stripped {prefix!r}"] if prefix else []
    notes += [f"left out {_first(outside)}"] if outside else []
    notes += [f"had no {COUNTER}"] if counters else []
    return Fit(taken, "; ".join(notes))


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"
