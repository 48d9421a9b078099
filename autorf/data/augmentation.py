"""Random changes of an image and its mask together."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from autorf.data.normalisation import Normalisation
from autorf.data.spec import Augmentation, Colour


class Zoom(v2.Transform):
    """Resize by a random factor from ``low`` to ``high``, the same for both axes."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw a factor; the size in pixels that follows from it."""
        factor = self.low + float(torch.rand(())) * (self.high - self.low)
        return {"size": [max(round(factor * length), 1) for length in v2.query_size(flat_inputs)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one input: images bilinear, masks nearest."""
        return self._call_kernel(v2.functional.resize, inpt, size=params["size"], antialias=True)


def _blur(deviations: tuple[float, float], image_size: tuple[int, int]) -> v2.Transform:
    """Of three deviations to each side, or as far as the image reaches."""
    reach = min(math.ceil(3 * max(deviations)), min(image_size) - 1)
    return v2.RandomApply([v2.GaussianBlur(2 * reach + 1, deviations)], p=0.5)


class JointAugmentation:
    """Random changes of an image (bilinear) and its mask (nearest), the same draw for both.

    Args:
        spec: what may change.
        image_size: height and width of the images in pixels.
        normalisation: of the images, whose mean fills what a zoom out leaves empty.
        fill_index: the mask's value there.
        seed: of the draws.

    Attributes:
        of_kind: the changes of images of each kind of numbers.
    """

    def __init__(
        self,
        spec: Augmentation,
        image_size: tuple[int, int],
        normalisation: Normalisation,
        fill_index: int,
        seed: int,
    ) -> None:
        self.of_kind = {
            dtype: self._transforms(spec, image_size, {tv_tensors.Image: filling, tv_tensors.Mask: fill_index})
            for dtype in (torch.uint8, torch.float32)
            for filling in [normalisation.filling(dtype)]
        }
        self._seed = seed

    @staticmethod
    def _transforms(spec: Augmentation, image_size: tuple[int, int], fill: Any) -> v2.Transform:
        cut = spec.crop or image_size
        # What is not asked for draws nothing: a study keeps its draws when there are more kinds of changes.
        asked: list[tuple[bool, Callable[[], torch.nn.Module]]] = [
            (spec.elastic.alpha > 0, lambda: v2.ElasticTransform(spec.elastic.alpha, spec.elastic.sigma, fill=fill)),
            (spec.rotation > 0, lambda: v2.RandomRotation(spec.rotation, InterpolationMode.BILINEAR, fill=fill)),
            (spec.scale != (1.0, 1.0), lambda: Zoom(*spec.scale)),
            (True, lambda: v2.RandomCrop(cut, pad_if_needed=True, fill=fill)),
            (spec.flip, v2.RandomHorizontalFlip),
            (spec.flip_vertical, v2.RandomVerticalFlip),
            (spec.colour != Colour(), lambda: v2.ColorJitter(**spec.colour.model_dump())),
            (spec.blur is not None, lambda: _blur(spec.blur or (0.0, 0.0), cut)),
        ]
        return v2.Compose([make() for needed, make in asked if needed])

    def __call__(self, image: Tensor, mask: Tensor, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """Change ``image`` ``(C, H, W)`` and ``mask`` ``(H, W)``, uint8, as seed, epoch and index have it."""
        state = np.random.SeedSequence([self._seed, epoch, index]).generate_state(1, np.uint64)
        # v2 draws from torch's global generator; only the CPU's is touched and it is given back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(state[0] >> 1))
            return self.changed(image, mask)

    def changed(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Both changed by one draw of torch's generator."""
        changed = self.of_kind[image.dtype](tv_tensors.Image(image), tv_tensors.Mask(mask))
        return changed[0].as_subclass(Tensor), changed[1].as_subclass(Tensor)
