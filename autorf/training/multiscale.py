"""Multi-scale fusion at test time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.ops._arguments import kind_of, positive_number, whole_number
from autorf.training.outputs import class_scores


class MultiScale(nn.Module):
    """Averages a model's class probabilities over several sizes of the image, and their mirror images.

    For evaluation: the scale-adaptive convolution's paper reports it beside its single-scale results (Zhang et al.,
    ICCV 2017, section 4.2).

    Args:
        model: returns class scores, or a mapping or object that holds them as ``out`` or ``logits``.
        scales: factors of the image's sides, positive.
        flip: also average over mirrored images.
        multiple: sides of the resized images are rounded to multiples of this, for models that need it.

    Raises:
        InputError: for no scale, or one that is not positive.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = autorf.MultiScale(nn.Conv2d(3, 4, 3, padding=1), scales=(0.5, 1.0))
        >>> model(torch.rand(1, 3, 16, 16)).sum(1).allclose(torch.ones(1, 16, 16))  # probabilities
        True
    """

    def __init__(
        self,
        model: nn.Module,
        scales: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5),
        *,
        flip: bool = True,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(scales, Sequence) or isinstance(scales, str | bytes):
            raise InputError(f"MultiScale: scales must be a list of positive numbers, got {kind_of(scales)}")
        factors = tuple(positive_number("MultiScale", "scales", scale) for scale in scales)
        if not factors:
            raise InputError("MultiScale: scales is empty; give at least one, such as 1.0")
        if not callable(model):
            raise InputError(f"MultiScale: model must be a torch.nn.Module, got {kind_of(model)}")
        multiple = whole_number("MultiScale", "multiple", multiple)
        self.model, self.scales, self.flip, self.multiple = model, factors, bool(flip), multiple

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Mean class probabilities ``(N, classes, H, W)`` for ``image (N, 3, H, W)``."""
        total = torch.zeros((), device=image.device)
        for scale in self.scales:
            sides = [self._side(length * scale) for length in image.shape[2:]]
            resized = functional.interpolate(image, size=sides, mode="bilinear", align_corners=False)
            total = total + self._probabilities(resized, image)
            if self.flip:
                total = total + self._probabilities(resized.flip(3), image).flip(3)
        mean: Tensor = total / (len(self.scales) * (1 + self.flip))
        return mean

    def _side(self, length: float) -> int:
        return max(1, round(length / self.multiple)) * self.multiple

    def _probabilities(self, image: Tensor, like: Tensor) -> Tensor:
        return class_scores(self.model(image), like).softmax(1)
