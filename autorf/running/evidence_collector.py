"""Collects a trial's evidence during its last validation, without keeping the predictions."""

import math
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from autorf.data import Splits
from autorf.data.normalisation import Normalisation
from autorf.metrics import confusion
from autorf.running.evidence import Evidence
from autorf.training.module import SegmentationModule
from autorf.training.parallel import joined, own_shard
from autorf.training.pixel_maps import pixel_map

N_SAMPLES = 6
SAMPLE_SIDE = 256
"""Pixels: the longer side of a sample is at most this."""


class EvidenceCollector(lightning.Callback):
    """Counts what the last validation of a training, or a validation of its own, predicts.

    Args:
        splits: the data, for its classes, the ignored label and the number of validation images.
        samples: how many images are kept, evenly spaced over the split.
    """

    def __init__(self, splits: Splits, samples: int = N_SAMPLES) -> None:
        self.splits = splits
        total = len(splits.val)
        self._block = own_shard().of(total)
        self._wanted = sorted({round(at) for at in np.linspace(0, total - 1, min(samples, total)).tolist()})
        self._begin()

    def _begin(self) -> None:
        self._seen = self._block.start
        self._cells: list[Tensor] = []
        self._objects: list[NDArray[np.float64]] = []
        self._samples: list[tuple[Tensor, ...]] = []
        self._scales: list[float] = []
        self._map_name: str | None = None

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget the validation before."""
        self._begin()

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take a batch ``(image, mask)`` and its predictions, when this is the last validation."""
        if is_last(trainer):
            image, mask = batch
            self.add(image, mask, outputs, pl_module)

    def add(self, image: Tensor, mask: Tensor, prediction: Tensor, model: nn.Module) -> None:
        """Count a batch, right after ``model`` has run on it.

        Args:
            image: ``(N, 3, H, W)``, normalised.
            mask: ``(N, h, w)``, labels, of the image's size or their own.
            prediction: ``(N, h, w)``, classes.
            model: its per-pixel layers, if any, hold the maps of this batch.
        """
        maps = self._maps(model, mask)
        self._scales += [_scale(image, mask)] * len(mask)
        image, mask, prediction = image.cpu(), mask.cpu(), prediction.cpu()
        for index in range(len(mask)):
            map = None if maps is None else maps[index]
            self._count(mask[index], prediction[index], map)
            if self._seen in self._wanted:
                shown = (image[index], mask[index], prediction[index], map)
                if self.splits.val.whole:
                    shown = _middle(*shown, self.splits.image_size)
                self._samples.append(_sample(*shown, self.splits.val.normalisation))
            self._seen += 1

    def _maps(self, model: nn.Module, mask: Tensor) -> Tensor | None:
        """``(N, H, W)`` float32: the mean over per-pixel layers of their last maps; None where there is none."""
        if isinstance(model, SegmentationModule) and self.splits.val.whole:
            # What layers noted last is of a picture's last tile.
            own = model.picture_map
        else:
            own = pixel_map(model, len(mask), (mask.shape[1], mask.shape[2]))
        if own is None:
            return None
        self._map_name = own.name
        return own.values.cpu()

    def _count(self, mask: Tensor, prediction: Tensor, map: Tensor | None) -> None:
        matrix = confusion(prediction, mask, self.splits.n_classes, self.splits.ignore_index)
        label, predicted = matrix.nonzero(as_tuple=True)
        image = torch.full_like(label, self._seen)
        self._cells.append(torch.stack([image, label, predicted, matrix[label, predicted]], dim=1))
        components = objects(mask.numpy(), prediction.numpy(), None if map is None else map.numpy(), self.splits)
        self._objects.append(np.column_stack([np.full(len(components), self._seen), components]))

    def evidence(self) -> Evidence | None:
        """What was gathered; None before the last validation.

        Of several processes all must ask, and the first is answered.
        """
        if self._seen == self._block.start:
            return None
        counted, components, kept = (joined(part) for part in (self._cells, self._objects, self._samples))
        scales = torch.tensor(joined(self._scales))
        if not counted:
            return None
        cells, rows = torch.cat(counted), torch.from_numpy(np.concatenate(components))
        samples, truth, prediction, *maps = (torch.stack(part) for part in zip(*kept, strict=True))
        return Evidence(
            class_names=tuple(self.splits.class_names),
            ignore_index=self.splits.ignore_index,
            n_images=len(counted),
            cells=cells[:, :3],
            counts=cells[:, 3],
            objects=rows[:, :4].int(),
            object_scales=rows[:, 4].float(),
            sample_indices=torch.tensor(self._wanted),
            samples=samples,
            sample_truth=truth,
            sample_prediction=prediction,
            maps=maps[0] if maps else None,
            map_name=self._map_name,
            image_scales=None if (scales == 1).all() else scales,
        )


def is_last(trainer: lightning.Trainer) -> bool:
    """Whether this is a training's last validation, or one of its own."""
    return bool(trainer.state.fn == TrainerFn.VALIDATING or trainer.current_epoch + 1 == trainer.max_epochs)


def _scale(image: Tensor, mask: Tensor) -> float:
    """Pixels of the image for each of the mask's, along a side; the mean of both axes where they differ."""
    height, width = (ours / theirs for ours, theirs in zip(image.shape[2:], mask.shape[1:], strict=True))
    return math.sqrt(height * width)


def objects(
    truth: NDArray[np.int64], prediction: NDArray[np.int64], map: NDArray[np.float32] | None, splits: Splits
) -> NDArray[np.float64]:
    """The connected components of one image's truth, all maps ``(H, W)``.

    Returns:
        ``(n_objects, 4)``: class, area, pixels predicted right, mean of ``map`` (nan without one).
    """
    from scipy import ndimage

    rows = [np.empty((0, 4))]
    for of_class in np.unique(truth[truth != splits.ignore_index]):
        inside = truth == of_class
        labels, count = ndimage.label(inside, structure=np.ones((3, 3)))
        members = labels[inside] - 1
        area = np.bincount(members, minlength=count)
        hits = np.bincount(members, weights=prediction[inside] == of_class, minlength=count)
        sums = np.full(count, np.nan) if map is None else np.bincount(members, weights=map[inside], minlength=count)
        rows.append(np.column_stack([np.full(count, of_class), area, hits, sums / area]))
    return np.concatenate(rows)


def _middle(
    image: Tensor, mask: Tensor, prediction: Tensor, map: Tensor | None, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The middle of a whole picture, of the training images' size, so that fields are drawn to scale in it.

    A smaller picture is filled up at the bottom and on the right, with the mean colour and with -1 for no class.
    """

    def cut(part: Tensor, filling: int) -> Tensor:
        top, left = (max(0, (side - length) // 2) for side, length in zip(part.shape[-2:], size, strict=True))
        kept = part[..., top : top + size[0], left : left + size[1]]
        return functional.pad(kept, (0, size[1] - kept.shape[-1], 0, size[0] - kept.shape[-2]), value=filling)

    return cut(image, 0), cut(mask, -1), cut(prediction, -1), None if map is None else cut(map, 0)


def _sample(
    image: Tensor, mask: Tensor, prediction: Tensor, map: Tensor | None, normalisation: Normalisation
) -> tuple[Tensor, ...]:
    """Image ``(3, h, w)`` uint8, truth and prediction ``(h, w)`` int16, and the map ``(h, w)`` float16 if any."""
    height, width = image.shape[1:]
    shrink = min(1.0, SAMPLE_SIDE / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    colors = normalisation.shown(image)[None]
    smaller = functional.interpolate(colors, size, mode="bilinear", align_corners=False, antialias=True)[0]
    labels = torch.stack([mask, prediction])[None].float()
    truth, predicted = functional.interpolate(labels, size, mode="nearest-exact")[0].short()
    parts = ((smaller * 255).round().byte(), truth, predicted)
    if map is None:
        return parts
    reduced = functional.interpolate(map[None, None], size, mode="bilinear", align_corners=False, antialias=True)
    return *parts, reduced[0, 0].half()
