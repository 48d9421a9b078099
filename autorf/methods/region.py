"""A region of the network that is resized on both sides, and its form with a constant factor."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from autorf.methods.passes import Pass, Passes, Sides, runs_again
from autorf.ops.capture import resample2d
from autorf.ops.inflation import inflate, inflated_side, interpolate

Shared = TypeVar("Shared")


class Region(nn.Module):
    """Resizes on both sides of a region of the network, called by the modules at its ends.

    Attributes:
        fold: whether the region returns to the size of the model's input.
        image_size: of the model's input in this forward pass, where ``fold`` asks for it.
        passes: the forward passes under way.
    """

    fold: bool = False
    image_size: Sides | None = None

    def __init__(self) -> None:
        super().__init__()
        self.passes = Passes()
        self._resizing: Pass | None = None

    def enter(self, map: Tensor) -> Tensor:
        """Inflate ``map (N, C, H, W)`` in front of the region."""
        if runs_again():
            current = self.passes.find("start", map, self.training)
        else:
            current = self.passes.begin(map, self.image_size, self.training)
        return self._within(current, map)

    def leave(self, map: Tensor) -> Tensor:
        """Return ``map (N, C, H, W)`` behind the region to the size in front of it, or to the image's."""
        current = self.passes.find("end", map, self.training) if runs_again() else self.passes.finish(map)
        return self._within(current, map, current.image_size if self.fold else current.size, current.size)

    def shared(self, make: Callable[[], Shared], again: Callable[[Shared], Shared]) -> Shared:
        """What both resizes of one forward pass use: made at the first, and the same at the second.

        Args:
            make: gives it.
            again: gives it for a part of the pass that runs again in the backward pass, from what it was.
        """
        current = self._resizing
        if current is None:
            return make()
        if current.shared is None:
            current.shared = make()
        elif runs_again():
            current.shared = again(current.shared)
        shared: Shared = current.shared
        return shared

    def _within(self, current: Pass, map: Tensor, *sizes: Sides | None) -> Tensor:
        self._resizing = current
        try:
            resized: Tensor = self(map, *sizes)
        finally:
            self._resizing = None
        return resized

    @property
    def sees_image(self) -> bool:
        """Whether ``image_size`` is needed."""
        return self.fold

    def values(self) -> dict[str, float]:
        """What describes the resize now, such as the factor ``f``."""
        return {}


def folded(size: Sides, base: Sides | None) -> tuple[float, float]:
    """The constant ``F = (H_out - 1) / (H_s - 1)`` of each axis, from the region's size ``base`` to ``size``."""
    if base is None or base == size:
        return 1.0, 1.0
    # max would ask which is larger, and an exported program leaves sides open.
    height: Any = torch.sym_max(base[0] - 1, 1)
    width: Any = torch.sym_max(base[1] - 1, 1)
    return (size[0] - 1) / height, (size[1] - 1) / width


def factor_values(pair: tuple[float, float], *, each: bool = False) -> dict[str, float]:
    """``f``, and ``f_height`` and ``f_width`` for ``each`` or where they differ; ``f`` is then their geometric mean."""
    height, width = pair
    if height == width and not each:
        return {"f": height}
    return {"f": height if height == width else (height * width) ** 0.5, "f_height": height, "f_width": width}


class ConstantRegion(Region):
    """Resizes by fixed factors (height, width) on both sides of a region."""

    def __init__(self, factor: tuple[float, float], *, fold: bool = False) -> None:
        super().__init__()
        self.factor, self.fold = factor, fold

    def forward(self, input: Tensor, size: Sides | None = None, base: Sides | None = None) -> Tensor:
        """Inflate, or with ``size`` return to it."""
        if size is None:
            return inflate(input, self.factor)
        factor = tuple(whole / own for whole, own in zip(folded(size, base), self.factor, strict=True))
        if any(type(value) is torch.SymFloat for value in factor):
            # Of an exported program whose sides are open: as numbers they would be those of this image for good.
            return interpolate(
                input, torch.stack([torch.scalar_tensor(value, dtype=torch.double) for value in factor]), size
            )
        return interpolate(input, (factor[0], factor[1]), size)

    def values(self) -> dict[str, float]:
        """The inflation factor."""
        return factor_values(self.factor)

    def receptive_field_form(self) -> Callable[..., Tensor]:
        """Resampling by the fixed factor."""
        return Resampling(self.factor)

    def extra_repr(self) -> str:
        """The factor."""
        return ", ".join(f"{name}={value:.4g}" for name, value in self.values().items())


class Resampling:
    """What a region does, in the marks of the receptive-field engine."""

    def __init__(self, factor: tuple[float, float]) -> None:
        self.factor = factor

    def __call__(self, input: Tensor, size: Sides | None = None, base: Sides | None = None) -> Tensor:
        """Inflate, or with ``size`` return to it."""
        height, width = self.factor
        if size is None:
            sides = inflated_side(int(input.shape[2]), height), inflated_side(int(input.shape[3]), width)
            return resample2d(input, *sides, height, width)
        whole = folded(size, base)
        return resample2d(input, *size, whole[0] / height, whole[1] / width)
