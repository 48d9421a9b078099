"""A data set: stripes whose width is their class."""

from collections.abc import Mapping
from typing import Literal

import torch

from autorf.data import DataSet, InMemory, Labels, SegmentationSet
from autorf.specification import ImageSize, PositiveInt


class Stripes(DataSet):
    """Vertical stripes of 4 and of 8 pixels, drawn anew."""

    name: Literal["stripes"] = "stripes"
    image_size: ImageSize = (32, 32)
    n_images: PositiveInt = 16

    def labels(self) -> Labels:
        return Labels(("narrow", "wide"))

    def sets(self) -> Mapping[str, SegmentationSet]:
        return {split: self._drawn(seed) for seed, split in enumerate(("train", "val"))}

    def _drawn(self, seed: int) -> SegmentationSet:
        height, width = self.image_size
        draw = torch.Generator().manual_seed(seed)
        wide = torch.randint(2, (self.n_images, 1, 1), generator=draw)
        light = (torch.arange(width) // (4 * (wide + 1))) % 2
        images = (255 * light).expand(-1, height, -1)[:, None].expand(-1, 3, -1, -1).to(torch.uint8)
        masks = wide.expand(-1, height, width).to(torch.uint8)
        return SegmentationSet(InMemory(images.contiguous(), masks.contiguous()), self.image_size, None)
