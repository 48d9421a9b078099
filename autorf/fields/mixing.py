"""Rules of operators that combine values: pointwise, normalisation, reductions, matrix products, attention.

A reduction that mixes every position of the image is a global path: what it yields has no hull and sets
``global_context``. Statistics that a normalisation takes over the whole map are not counted as paths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autorf.fields.hull import Field, Hull, combined, union
from autorf.fields.layout import index
from autorf.fields.obstacles import statistics_dims
from autorf.fields.registry import Call, NoRule, Result, pair, rule


def pointwise(call: Call) -> Result:
    """The union of all inputs under broadcasting; the rule of every operator that torch tags as pointwise."""
    return combined([field for field in call.fields if field.depends_on_input], call.shape)


def first_input(call: Call) -> Result:
    """The first tensor's field, unchanged."""
    field: Field = call.fields[0]
    results = [field.reshaped(shape) for shape in call.shapes]
    return results if len(results) > 1 else results[0]


@rule(
    "batch_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm", "rms_norm",
    "_fused_rms_norm",
)  # fmt: skip
def _normalisation(call: Call) -> Result:
    """Statistics of a window spread its field over it; those of the whole map are no path, but noted as an obstacle."""
    field: Field = call.fields[0]
    dims = statistics_dims(call) or ()

    def normalised(hull: Hull) -> Hull:
        taken = [dim for dim in dims if hull.shape[dim] > 1]
        return hull if not taken or hull.spread_over(taken) else hull.reduced(taken)

    results = [field.each(normalised, field.shape), *(field.reshaped(shape) for shape in call.shapes[1:])]
    return results if len(results) > 1 else results[0]


rule(
    "dropout", "feature_dropout", "alpha_dropout", "native_dropout", "feature_alpha_dropout", "contiguous", "to",
    "_to_copy", "type_as", "alias", "detach", "lift_fresh_copy", "hardswish", "bernoulli", "float", "double",
    "conj", "resolve_conj", "resolve_neg", "relu6", "rrelu",
)(first_input)  # fmt: skip
rule("prelu", "_prelu_kernel", "copy", "masked_fill", "where", "clamp", "logical_and", "fill")(pointwise)


@rule(
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_empty", "new_zeros",
    "new_ones", "new_full", "empty_strided", "zero", "normal", "uniform", "shape", "_shape_as_tensor",
)  # fmt: skip
def constant(call: Call) -> Result:
    """Takes its input's shape, not its values."""
    return Field(call.shape)


@rule("mean", "sum", "amax", "amin", "std", "var", "prod", "logsumexp", "norm", "linalg_vector_norm", "all", "any")
def _reduction(call: Call) -> Result:
    return reduced(call.fields[0], _dims(call), call.shape)


@rule("max", "min", "median", "mode", "std_mean", "var_mean", "argmax", "argmin", "topk", "sort", "kthvalue")
def _reduction_with_index(call: Call) -> Result:
    if "other" in call.arguments:
        return pointwise(call)
    if call.operator in ("aten.topk", "aten.sort"):
        results: list[Field] = [_mixed_along(call.fields[0], call["dim"], shape) for shape in call.shapes]
        return results
    result = [reduced(call.fields[0], _dims(call), shape) for shape in call.shapes]
    return result if len(result) > 1 else result[0]


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax", "cumsum", "cumprod")
def _softmax(call: Call) -> Result:
    return _mixed_along(call["self"], call["dim"], call.shape)


@rule("glu")
def _glu(call: Call) -> Result:
    field: Field = call["self"]
    half = field.shape[call["dim"]] // 2
    halves = [index(field, call["dim"], np.arange(start, start + half), call.shape) for start in (0, half)]
    return combined(halves, call.shape)


@rule("linear", geometric=False)
def _linear(call: Call) -> Result:
    field: Field = call["input"]
    last = len(field.shape) - 1
    kept = reduced(field, [last], (*field.shape[:-1], 1), keepdim=True)
    return kept.reshaped(call.shape)


@rule("matmul", "bmm", "mm", "mv", "dot")
def _matmul(call: Call) -> Result:
    left, right = call.fields[:2]
    return _product(left, right, call.shape)


@rule("baddbmm", "addmm")
def _matmul_plus(call: Call) -> Result:
    bias, left, right = call.fields[:3]
    return combined([bias, _product(left, right, call.shape)], call.shape)


@rule("einsum")
def _einsum(call: Call) -> Result:
    equation = call["equation"].replace(" ", "")
    if "." in equation or "->" not in equation:
        raise NoRule(f"the equation {equation!r}")
    inputs, output = equation.split("->")
    aligned = []
    for labels, field in zip(inputs.split(","), call["tensors"], strict=True):
        if len(set(labels)) != len(labels):
            raise NoRule(f"the equation {equation!r}")
        gone = [d for d, label in enumerate(labels) if label not in output]
        kept = [label for label in labels if label in output]
        short = reduced(field, gone, [field.shape[d] for d in range(len(labels)) if d not in gone])
        aligned.append(_transposed_to(short, kept, output, call.shape))
    return combined(aligned, call.shape)


@rule("scaled_dot_product_attention")
def _attention(call: Call) -> Result:
    """Softmax attention; over the whole image nothing local is left, over a window the query's window."""
    query, key, value = call["query"], call["key"], call["value"]
    n = len(query.shape)
    scores_shape = (*call.shape[:-1], key.shape[-2])
    scores = _product(query, _swapped(key), scores_shape)
    return _product(_mixed_along(scores, n - 1, scores_shape), value, call.shape)


def reduced(field: Field, dims: Sequence[int], shape: Sequence[int], keepdim: bool | None = None) -> Field:
    """The field after a reduction over ``dims``; over the whole image it is a global path."""
    ndim = len(field.shape)
    gone = sorted({d % ndim for d in dims})
    keep = len(shape) == ndim if keepdim is None else keepdim

    def reduce(hull: Hull) -> Hull | None:
        if hull.spread_over(gone):
            return None
        small = hull.reduced(gone)
        if keep:
            return small
        left = [on for d, on in enumerate(small.positional) if d not in gone]
        return small.moved(lambda a: a.squeeze(tuple(gone)), left)

    return field.each(reduce, shape)


def _mixed_along(field: Field, dim: int, shape: Sequence[int]) -> Field:
    """Every value depends on all along ``dim``; where that is the whole image, the result is global altogether."""
    totals = reduced(field, [dim], field.shape, keepdim=True)
    axes = []
    for own, total in zip(field.axes, totals.axes, strict=True):
        lost = any(hull.spread_over([dim % len(field.shape)]) for hull in own)
        axes.append(() if lost else union([*own, *total]))
    return Field(tuple(shape), (axes[0], axes[1]), totals.global_context)


def _product(left: Field, right: Field, shape: Sequence[int]) -> Field:
    """``left @ right``: rows from the left, columns from the right, the inner dimension reduced."""
    ndim = len(shape)
    a = reduced(left, [-1], (*left.shape[:-1], 1), keepdim=True) if left.depends_on_input else left
    # A reduced inner dimension has size 1, so that the union broadcasts rows against columns as the product does.
    inner = max(len(right.shape) - 2, 0)
    b = reduced(right, [inner], right.shape, keepdim=True) if right.depends_on_input else right
    if len(left.shape) == 1 or len(right.shape) == 1 or ndim < 2:
        raise NoRule("a vector among its inputs")
    return combined([f for f in (a, b) if f.depends_on_input], shape)


def _swapped(field: Field) -> Field:
    order = [*range(len(field.shape) - 2), len(field.shape) - 1, len(field.shape) - 2]
    shape = [field.shape[d] for d in order]
    return field.each(lambda h: h.moved(lambda a: a.transpose(order), [h.positional[d] for d in order]), shape)


def _transposed_to(field: Field, labels: Sequence[str], output: str, shape: Sequence[int]) -> Field:
    order = [labels.index(label) for label in output if label in labels]
    places = [label in labels for label in output]

    def place(hull: Hull) -> Hull:
        # Labels that the operand lacks are dimensions of size 1, which broadcast against the other operands.
        sizes = iter([hull.shape[d] for d in order])
        flags = iter([hull.positional[d] for d in order])
        target = [next(sizes) if present else 1 for present in places]
        return hull.moved(
            lambda a: a.transpose(order).reshape(target), [next(flags) if present else False for present in places]
        )

    return field.each(place, shape)


def _dims(call: Call) -> tuple[int, ...]:
    dim = call.arguments.get("dim")
    if dim is None or dim == []:
        return tuple(range(len(call.fields[0].shape)))
    return pair(dim, 1)
