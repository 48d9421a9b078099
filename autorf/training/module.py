"""The Lightning module of a trial: cross-entropy, pooled metrics, an optimizer with the methods' own groups."""

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.data import Splits
from autorf.errors import InputError
from autorf.methods.labels import labels
from autorf.metrics import Scores, confusion, scores
from autorf.surgery import parameter_groups
from autorf.training.outputs import class_scores, predicted_classes
from autorf.training.parallel import own_shard, summed
from autorf.training.schedule import constant, schedule
from autorf.training.spec import TrainingSpec


class SegmentationModule(lightning.LightningModule):
    """Trains ``model`` on ``(image (N, 3, H, W), mask (N, H, W))`` batches; validates on one pooled confusion matrix.

    Args:
        model: returns class scores ``(N, n_classes, H, W)``, or a mapping or object that holds them as ``out`` or
            ``logits``; scores of another size are resized bilinearly to the mask's.
        spec: how to train.
        splits: the data, for its classes and ignored label.
    """

    def __init__(self, model: nn.Module, spec: TrainingSpec, splits: Splits) -> None:
        super().__init__()
        self.model, self.spec, self.splits = model, spec, splits
        self.ignored = -100 if splits.ignore_index is None else splits.ignore_index
        self.class_weights = class_weights(splits) if spec.class_weights == "balanced" else None
        self.validation_scores: Scores | None = None
        self.train_loss = math.nan
        self._losses: list[Tensor] = []
        self._confusion: Tensor | None = None

    def forward(self, image: Tensor) -> Tensor:
        """Class scores at the image's size."""
        return class_scores(self.model(image), image)

    def on_train_epoch_start(self) -> None:
        """Begin a new mean of the loss."""
        self._losses = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of a batch; of several processes' parts of one, what averages to the whole batch's.

        Raises:
            FloatingPointError: when the loss is no longer finite.
        """
        image, mask = batch
        weight = None if self.class_weights is None else self.class_weights.to(image.device)
        with labels(self.model, mask):
            output = self(image)
        loss = self._mean_loss(output, mask, weight)
        self._losses.append(loss.detach())
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the training loss became {loss.item()} at step {self.global_step}")
        return loss

    def _mean_loss(self, output: Tensor, mask: Tensor, weight: Tensor | None) -> Tensor:
        processes = own_shard().processes
        if processes == 1:
            return functional.cross_entropy(output, mask, weight=weight, ignore_index=self.ignored)
        # Each process has other shares of labelled pixels and of classes; gradients are averaged over processes.
        labelled = mask[mask != self.ignored]
        total = labelled.numel() if weight is None else weight[labelled].sum()
        loss = functional.cross_entropy(output, mask, weight=weight, ignore_index=self.ignored, reduction="sum")
        return loss * processes / summed(torch.as_tensor(total, dtype=loss.dtype, device=loss.device))

    def on_train_epoch_end(self) -> None:
        """Take the epoch's mean loss."""
        processes = own_shard().processes
        self.train_loss = (summed(torch.stack(self._losses).mean()) / processes).item()

    def on_validation_epoch_start(self) -> None:
        """Begin a new confusion matrix."""
        self._confusion = None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Add a batch to the confusion matrix; returns the predicted classes ``(N, H, W)`` for callbacks.

        They are of the masks' size, which may be another than the images'.
        """
        image, mask = batch
        prediction = predicted_classes(self.model(image), mask)
        matrix = confusion(prediction, mask, self.splits.n_classes, self.splits.ignore_index)
        self._confusion = matrix if self._confusion is None else self._confusion + matrix
        return prediction

    def on_validation_epoch_end(self) -> None:
        """Turn the confusion matrix into scores."""
        assert self._confusion is not None
        self.validation_scores = scores(summed(self._confusion), self.splits.class_names, self.splits.label_groups)

    def configure_optimizers(self) -> Any:
        """AdamW or SGD; the learning-rate schedule for every group that follows it."""
        groups = parameter_groups(self.model, self.spec.lr, weight_decay=self.spec.weight_decay)
        optimizer: torch.optim.Optimizer = (
            torch.optim.AdamW(groups, lr=self.spec.lr)
            if self.spec.optimizer == "adamw"
            else torch.optim.SGD(groups, lr=self.spec.lr, momentum=self.spec.momentum)
        )
        steps = self.spec.steps or int(self.trainer.estimated_stepping_batches)
        followed = schedule(self.spec, steps)
        rules = [followed if group["scheduled"] else constant for group in optimizer.param_groups]
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rules)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def class_weights(splits: Splits) -> Tensor:
    """``1 / sqrt(pixels of the class)`` over the training split, mean 1 over the classes that occur.

    Raises:
        InputError: when no training pixel has a label.
    """
    counts = torch.zeros(splits.n_classes, dtype=torch.float64)
    for index in range(len(splits.train)):
        _, mask = splits.train[index]
        counts += torch.bincount(mask[(mask >= 0) & (mask < splits.n_classes)], minlength=splits.n_classes)
    if not counts.any():
        raise InputError("training.class_weights: no training pixel has a label")
    weights = torch.where(counts > 0, counts.clamp(min=1).rsqrt(), 0.0)
    return (weights * (counts > 0).sum() / weights.sum()).float()
