"""Positive linear stand-ins for tensor functions, by function name.

Each depends on exactly what the original depends on, and no gradient through it vanishes or cancels: activations and
normalisation are the identity, products, quotients and differences are sums, a maximum over a window is its mean.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def _same(value: Tensor, *_: Any, **__: Any) -> Tensor:
    return value


def _sum(first: Any, second: Any, *_: Any, **__: Any) -> Any:
    return torch.add(first, second)


def _sum_in_place(first: Tensor, second: Any, *_: Any, **__: Any) -> Tensor:
    return first.add_(second)


def _average_pool(
    value: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    assert dilation in (1, (1, 1), [1, 1]), "a dilated max pooling has no stand-in"
    assert not return_indices, "max pooling with indices has no stand-in"
    return functional.avg_pool2d(value, kernel_size, stride, padding, ceil_mode)


def _adaptive_pool(value: Tensor, output_size: Any, *_: Any, **__: Any) -> Tensor:
    pooled = functional.adaptive_avg_pool2d(value, output_size)
    return value if pooled.shape == value.shape else pooled.detach()


def _matrix_product(first: Tensor, second: Tensor, *_: Any, **__: Any) -> Tensor:
    return first.sum(-1, keepdim=True).expand(*first.shape[:-1], second.shape[-1]) + second.sum(-2, keepdim=True)


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    context = (key.sum(-1) + value.sum(-1)).sum(-1)[..., None, None]
    return (context + query.sum(-1, keepdim=True)).expand(*query.shape[:-1], value.shape[-1])


def _softmax(value: Tensor, dim: int = -1, *_: Any, **__: Any) -> Tensor:
    return value + value.sum(dim, keepdim=True)


def _norm(value: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False, **__: Any) -> Tensor:
    return value.sum(tuple(range(value.dim())) if dim is None else dim, keepdim=keepdim)


_IDENTITIES = """
    relu relu_ relu6 gelu silu silu_ hardswish hardswish_ hardtanh hardtanh_ leaky_relu leaky_relu_ elu elu_ selu celu
    mish softplus prelu sigmoid sigmoid_ hardsigmoid hardsigmoid_ logsigmoid tanh tanh_ softsign threshold clamp clamp_
    clamp_min clamp_max exp log sqrt rsqrt abs pow square neg __neg__ __pow__ batch_norm layer_norm group_norm
    instance_norm rms_norm dropout dropout_ dropout2d feature_dropout alpha_dropout
""".split()  # noqa: SIM905
_PRODUCTS = "mul multiply __mul__ __rmul__ div true_divide __truediv__ sub subtract __sub__ rsub __rsub__".split()  # noqa: SIM905

STAND_INS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_IDENTITIES, _same),
    **dict.fromkeys(_PRODUCTS, _sum),
    **dict.fromkeys(("mul_", "__imul__", "div_", "__itruediv__", "sub_", "__isub__"), _sum_in_place),
    **dict.fromkeys(("max_pool2d", "_max_pool2d"), _average_pool),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    **dict.fromkeys(("matmul", "bmm", "__matmul__"), _matrix_product),
    **dict.fromkeys(("amax", "amin"), torch.sum),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("norm", "vector_norm"), _norm),
    "scaled_dot_product_attention": _attention,
}

MIXING = frozenset(
    [
        "mean",
        "sum",
        "amax",
        "amin",
        "norm",
        "vector_norm",
        "softmax",
        "log_softmax",
        "matmul",
        "bmm",
        "__matmul__",
        "einsum",
        "scaled_dot_product_attention",
        "avg_pool2d",
        "max_pool2d",
    ]
)
"""Functions that can mix all positions of the image, each a global path where it does."""
