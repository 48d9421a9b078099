"""Random parts of pictures at their full resolution."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from autorf.data.patch_spec import Patches

Size = tuple[int, int]


@runtime_checkable
class WholePictures(Protocol):
    """Pictures at their own sizes, of which a part can be read."""

    def size_of(self, index: int) -> Size:
        """Height and width of an image in pixels."""
        ...

    def window(self, index: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """A part of an image ``(C, h, w)``, uint8 or float32, and of its mask ``(h, w)``, uint8, copied."""
        ...

    def mask(self, index: int) -> NDArray[np.uint8]:
        """One mask ``(H, W)``, not to be written to."""
        ...


def whole_pictures(source: object) -> WholePictures:
    """``source``, which patches are cut out of."""
    assert isinstance(source, WholePictures), f"{type(source).__name__} holds no pictures of their own size"
    return source


class PatchCutter:
    """Cuts patches out of pictures; where, depends on seed, epoch and the patch's index only.

    Args:
        spec: how large they are, and where.
        class_names: one for each class.
        ignore_index: the mask value that is no class; None for none.

    Raises:
        ValueError: for a rare class that is none.
    """

    def __init__(self, spec: Patches, class_names: Sequence[str], ignore_index: int | None) -> None:
        self.size, self.per_image = spec.size, spec.per_image
        self._share = 0.0 if spec.rare is None else spec.rare.share
        listed = spec.rare_classes(class_names) or tuple(range(len(class_names)))
        self._classes = [number for number in listed if number != ignore_index]

    def patch(self, source: WholePictures, seed: int, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """Image ``(C, h, w)`` and mask ``(h, w)``; patch ``index`` is one of picture ``index // per_image``."""
        picture = index // self.per_image
        # The last number tells these draws from those of augmentation.
        rng = np.random.default_rng([seed, epoch, index, 2])
        centre = self._centre(source.mask(picture), rng) if rng.random() < self._share else None
        size = source.size_of(picture)
        rows, columns = (
            self._along(axis, size[axis], None if centre is None else centre[axis], rng) for axis in (0, 1)
        )
        return source.window(picture, rows, columns)

    def _along(self, axis: int, side: int, centre: int | None, rng: np.random.Generator) -> slice:
        """Rows or columns of a patch: around a pixel as far as the border lets it, else anywhere."""
        length = self.size[axis]
        start = int(rng.integers(side - length + 1)) if centre is None else centre - length // 2
        start = min(max(start, 0), side - length)
        return slice(start, start + length)

    def _centre(self, mask: NDArray[np.uint8], rng: np.random.Generator) -> Size | None:
        """A pixel of a class that is drawn among those of the picture; None where it has none of them."""
        present = np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256))
        classes = [number for number in self._classes if number in present]
        if not classes:
            return None
        places = np.flatnonzero(mask == classes[int(rng.integers(len(classes)))])
        place = int(places[int(rng.integers(len(places)))])
        return place // mask.shape[1], place % mask.shape[1]
