"""A region of the network that is resized on both sides: its hooks, and its form with a constant factor."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from autorf.ops.capture import resample2d
from autorf.ops.inflation import inflate, inflated_side, interpolate

Sides = tuple[int, int]


class Region(nn.Module):
    """Resizes on both sides of a region of the network, called by the hooks around it.

    ``size`` and ``image_size`` are those of the map in front of the region and of the model's input in this forward
    pass; ``fold`` says whether the region returns to the latter.
    """

    fold: bool = False
    size: Sides | None = None
    image_size: Sides | None = None

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
    return (size[0] - 1) / max(base[0] - 1, 1), (size[1] - 1) / max(base[1] - 1, 1)


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
        whole = folded(size, base)
        return interpolate(input, (whole[0] / self.factor[0], whole[1] / self.factor[1]), size)

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


class SeeImage:
    """Forward pre-hook of the whole model: remembers the image's size for a region that needs it."""

    def __init__(self, region: Region) -> None:
        self.region = region

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Note the size of the model's first argument."""
        image = next(iter((*arguments, *named.values())))
        self.region.image_size = (image.shape[2], image.shape[3])


class EnterRegion:
    """Forward pre-hook of a region's first module: remembers the map's size and inflates it."""

    def __init__(self, region: Region) -> None:
        self.region = region

    def __call__(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The first module's arguments with its map inflated."""
        self.region.size = (arguments[0].shape[2], arguments[0].shape[3])
        return (self.region(arguments[0]), *arguments[1:])


class LeaveRegion:
    """Forward hook of a region's last module: returns its output to the size before the region, or the image's."""

    def __init__(self, region: Region) -> None:
        self.region = region

    def __call__(self, module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """The last module's output, resized."""
        region = self.region
        resized: Tensor = region(output, region.image_size if region.fold else region.size, region.size)
        return resized
