"""Logits of the dilation options from a layer's input and the previous layer's logits."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Aggregation = Literal["markov", "recurrent", "gated"]
Activation = Literal["leaky_relu", "relu", "tanh"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": functional.leaky_relu,
    "relu": functional.relu,
    "tanh": torch.tanh,
}


def weight_shapes(aggregation: Aggregation, options: int, channels: int, chained: bool) -> dict[str, tuple[int, int]]:
    """``(C_out, C_in)`` of the 1x1 convolutions :func:`aggregated` needs; ``chained`` has a previous layer."""
    shapes = {"option_weight": (options, channels)}
    if chained and aggregation != "markov":
        shapes["previous_weight"] = (options, options)
    if chained and aggregation == "gated":
        shapes |= {"gate_weight": (options, channels), "gate_previous_weight": (options, options)}
    return shapes


def aggregated(input: Tensor, previous: Tensor | None, weights: Mapping[str, Tensor], activation: Activation) -> Tensor:
    """The logits ``h (N, D, H, W)`` of ``D`` options.

    With ``U, W, U_a, W_a`` the option, previous, gate and gate-previous weights and ``phi`` the activation, markov is
    ``h = phi(U Y)``, recurrent ``h = phi(W h_prev + U Y)`` (Eq. 3), gated ``a = sigmoid(W_a h_prev + U_a Y)``,
    ``h = phi(a (W h_prev) + (1 - a) (U Y))`` (Eqs. 4, 5). Which one it is follows from the weights; without a previous
    layer all are markov.

    Args:
        input: ``Y (N, C, H, W)``.
        previous: ``h_prev (N, D, H, W)``, or None.
        weights: by the names of :func:`weight_shapes`, each ``(C_out, C_in, 1, 1)``; and ``option_bias (D,)``, which is
            added to ``U Y``, where there is one.
        activation: a key of ``ACTIVATIONS``.
    """
    here = functional.conv2d(input, weights["option_weight"], weights.get("option_bias"))
    if previous is not None and "previous_weight" in weights:
        before = functional.conv2d(previous, weights["previous_weight"])
        if "gate_weight" in weights:
            gate = functional.conv2d(previous, weights["gate_previous_weight"])
            gate = torch.sigmoid(gate + functional.conv2d(input, weights["gate_weight"]))
            here = gate * before + (1 - gate) * here
        else:
            here = before + here
    return ACTIVATIONS[activation](here)
