"""The product of every pixel with every kernel tap, and sums of its rows picked per pixel.

A convolution whose taps move from pixel to pixel is ``y(p) = sum_k (K_k x)(p + offset_k(p))``. Multiplying before
moving makes one matrix product ``K_k x`` of the whole map, and leaves a sum of a few rows of that product for each
pixel, which ``embedding_bag`` reads without writing the moved columns. Rows are pixels, channels are contiguous.

Shapes: ``rows (P, C_in)``, ``kernel (G, T, C_out / G, C_in / G)``, ``table (P T, channels of a block)`` whose row
``p T + t`` is tap ``t`` of pixel ``p``.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Around the size of a last-level cache slice; also below glibc's largest heap block, so that memory is reused.
_TABLE_BYTES = 10 * 2**20
_thread = threading.local()


@dataclass(frozen=True)
class Block:
    """Output channels ``columns``: the channels ``within`` each of the groups ``groups``."""

    groups: slice
    within: slice
    columns: slice


def to_rows(maps: Tensor, dtype: torch.dtype) -> Tensor:
    """``(N, C, H, W)`` as ``(N H W, C)``; a transposed view where that is possible."""
    if len(maps) == 1:
        return maps[0].flatten(1).T.to(dtype)
    # One image at a time: only transposes of matrices have a fast path in torch.
    rows = maps.new_empty(len(maps), maps.shape[2] * maps.shape[3], maps.shape[1], dtype=dtype)
    for image, target in zip(maps, rows, strict=True):
        target.copy_(image.flatten(1).T)
    return rows.flatten(0, 1)


def store_rows(rows: Tensor, maps: Tensor) -> None:
    """Write ``(N H W, C)`` into ``maps (N, C, H, W)``."""
    for source, image in zip(rows.view(len(maps), -1, rows.shape[1]), maps, strict=True):
        # With three dimensions torch shares the copy out to its threads; two have a path of one thread.
        image.view(1, len(image), -1).copy_(source.T.unsqueeze(0))


def rows_to_fill(maps: Tensor, dtype: torch.dtype) -> Tensor:
    """Zeroed ``(N H W, C)`` for a gradient of ``maps``: these themselves where the layout allows."""
    if _is_own(maps, dtype):
        return maps[0].view(maps.shape[1], -1).T.zero_()
    return maps.new_zeros(len(maps) * maps.shape[2] * maps.shape[3], maps.shape[1], dtype=dtype)


def store_gradient(rows: Tensor, maps: Tensor) -> None:
    """Write what :func:`rows_to_fill` gave into ``maps``, unless it is there already."""
    if not _is_own(maps, rows.dtype):
        store_rows(rows, maps)


def _is_own(maps: Tensor, dtype: torch.dtype) -> bool:
    return len(maps) == 1 and maps.dtype == dtype


def to_kernel(weight: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """``(C_out, C_in / G, K_h, K_w)`` as ``(G, T, C_out / G, C_in / G)``."""
    c_out, c_in = weight.shape[:2]
    return weight.to(dtype).reshape(groups, c_out // groups, c_in, -1).permute(0, 3, 1, 2).contiguous()


def to_weight(kernel: Tensor, like: Tensor) -> Tensor:
    """The inverse of :func:`to_kernel`, with the shape and dtype of ``like``."""
    return kernel.permute(0, 2, 3, 1).reshape(like.shape).to(like.dtype).contiguous()


def image_blocks(input: Tensor, kernel: Tensor) -> Iterator[slice]:
    """Ranges of images whose table fits the cache; one image at least."""
    n, _, height, width = input.shape
    groups, taps, c_out, _ = kernel.shape
    per_image = height * width * taps * groups * c_out * kernel.element_size()
    step = max(1, _TABLE_BYTES // max(1, per_image))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def channel_blocks(kernel: Tensor, pixels: int) -> Iterator[Block]:
    """Ranges of output channels whose table fits the cache: whole groups, or a part of one."""
    groups, taps, c_out, _ = kernel.shape
    limit = max(16, _TABLE_BYTES // max(1, pixels * taps * kernel.element_size()))
    parts = -(-c_out // limit)
    width = -(-c_out // parts)
    step = max(1, limit // c_out) if parts == 1 else 1
    for group in range(0, groups, step):
        chosen = slice(group, min(group + step, groups))
        for start in range(0, c_out, width):
            within = slice(start, min(start + width, c_out))
            last = (chosen.stop - 1) * c_out + within.stop
            yield Block(chosen, within, slice(group * c_out + start, last))


def picked(rows: Tensor, indices: Tensor) -> Tensor:
    """``rows[indices]``, valid until the next call."""
    return torch.index_select(rows, 0, indices, out=_scratch((len(indices), rows.shape[1]), rows))


def tap_products(rows: Tensor, kernel: Tensor, block: Block, extra_rows: int = 0) -> Tensor:
    """The block's table ``(P T + extra_rows, channels)``; the extra rows are zero. Valid until the next call."""
    taps = kernel[block.groups, :, block.within]
    size = len(rows) * taps.shape[1]
    table = _scratch((size + extra_rows, taps.shape[0] * taps.shape[2]), rows)
    table[size:] = 0
    if len(kernel) == 1:
        flat = taps.reshape(-1, rows.shape[1]).T
        # The product of two transposed views is the slowest one.
        flat = flat if rows.is_contiguous() else flat.contiguous()
        torch.mm(rows, flat, out=table[:size].view(len(rows), -1))
    else:
        products = torch.einsum("pgi,gtoi->ptgo", _grouped(rows, kernel)[:, block.groups], taps)
        table[:size].view(products.shape).copy_(products)
    return table


def _scratch(shape: tuple[int, int], like: Tensor) -> Tensor:
    """Uninitialised memory that the thread keeps: the system takes longer to hand out a table than to fill it."""
    size = shape[0] * shape[1]
    if size * like.element_size() > 2 * _TABLE_BYTES:
        return like.new_empty(shape)
    kept = getattr(_thread, "memory", None)
    if kept is None or kept.dtype != like.dtype or kept.device != like.device or kept.numel() < size:
        with torch.inference_mode(False):
            # Memory that is kept serves training too, whoever asks for it first.
            kept = _thread.memory = torch.empty(size, dtype=like.dtype, device=like.device)
    return kept[:size].view(shape)


def add_tap_gradients(
    grad_table: Tensor, rows: Tensor, kernel: Tensor, block: Block, grad_rows: Tensor | None, grad_kernel: Tensor | None
) -> None:
    """Add what the block's table contributes to the gradients of ``rows`` and ``kernel``, where these are wanted."""
    taps = kernel[block.groups, :, block.within]
    if len(kernel) == 1:
        flat = grad_table.view(len(rows), -1)
        if grad_rows is not None:
            grad_rows.addmm_(flat, taps.reshape(-1, rows.shape[1]))
        if grad_kernel is not None:
            grad_kernel[0, :, block.within] += (flat.T @ rows).view(taps.shape[1:])
        return
    grad = grad_table.view(len(rows), taps.shape[1], taps.shape[0], taps.shape[2])
    if grad_rows is not None:
        _grouped(grad_rows, kernel)[:, block.groups] += torch.einsum("ptgo,gtoi->pgi", grad, taps)
    if grad_kernel is not None:
        grouped = _grouped(rows, kernel)[:, block.groups]
        grad_kernel[block.groups, :, block.within] += torch.einsum("ptgo,pgi->gtoi", grad, grouped)


def pick_sum(table: Tensor, indices: Tensor, weights: Tensor | None = None) -> Tensor:
    """``sum_e weights[p, e] table[indices[p, e]]`` for every ``p``; ``indices`` and ``weights`` are ``(P, E)``."""
    return functional.embedding_bag(indices, table, mode="sum", per_sample_weights=weights)


class Spread:
    """The transpose of :func:`pick_sum`: add ``weights[p, e] rows[p]`` to row ``indices[p, e]`` of ``size`` rows.

    Entries are sorted by the row they go to, so the order of the sum, and its last bit, never changes.
    """

    def __init__(self, indices: Tensor, weights: Tensor, size: int) -> None:
        flat = indices.flatten()
        order = torch.sort(flat, stable=True).indices
        counts = torch.bincount(flat, minlength=size)
        # embedding_bag sums runs of its sources: the run of a row starts where those of all rows before it end.
        self.starts = (counts.cumsum(0) - counts).to(flat.dtype)
        self.sources = torch.div(order, indices.shape[1], rounding_mode="floor").to(flat.dtype)
        self.weights = weights.flatten()[order]

    def __call__(self, rows: Tensor) -> Tensor:
        """The ``(size, channels)`` sums of ``rows (P, channels)``."""
        return functional.embedding_bag(self.sources, rows, self.starts, mode="sum", per_sample_weights=self.weights)


def _grouped(rows: Tensor, kernel: Tensor) -> Tensor:
    return rows.view(len(rows), kernel.shape[0], kernel.shape[3])
