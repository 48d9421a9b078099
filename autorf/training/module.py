"""The Lightning module of a trial: its loss, pooled metrics, an optimizer with the methods' own groups."""

import json
import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from autorf.accuracy import Accuracies
from autorf.data import Splits
from autorf.errors import InputError
from autorf.losses.criterion import Criterion, Features
from autorf.losses.layer_inputs import inputs_of, width_into
from autorf.methods.held_statistics import hold_batch_norm
from autorf.methods.labels import labels
from autorf.metrics import Scores, confusion, scores
from autorf.surgery import learned_values, parameter_groups
from autorf.training.class_weights import class_weights_of
from autorf.training.device import compiled, is_fused, unread_steps
from autorf.training.native_scale import TilePlan, scores_at_scale, tile_plan
from autorf.training.one_channel import single_score
from autorf.training.outputs import class_scores, predicted_classes
from autorf.training.parallel import own_shard, summed, whole_batch
from autorf.training.pixel_maps import PixelMap
from autorf.training.schedule import constant, schedule
from autorf.training.spec import TrainingSpec


class SegmentationModule(lightning.LightningModule):
    """Trains ``model`` on ``(image (N, C, H, W), mask (N, H, W))`` batches; validates on one pooled confusion matrix.

    A trainer gives it batches as they are stored, which become numbers on the device; steps are given those numbers.

    Args:
        model: returns class scores ``(N, n_classes, H, W)``, or a mapping or object that holds them as ``out`` or
            ``logits``; scores of another size are resized bilinearly to the mask's.
        spec: how to train.
        splits: the data, for its classes and ignored label.
    """

    def __init__(self, model: nn.Module, spec: TrainingSpec, splits: Splits) -> None:
        super().__init__()
        self.model, self.spec, self.splits = model, spec, splits
        if spec.freeze_batch_norm:
            hold_batch_norm(model)
        self.ignored = -100 if splits.ignore_index is None else splits.ignore_index
        weights = class_weights_of(spec, splits)
        self.layers = [term.layer for term in spec.loss.listed if term.layer is not None]
        widths = {name: width_into(model, name) for name in self.layers}
        self.criterion = Criterion(spec.loss, splits.n_classes, self.ignored, weights, widths)
        self._stand_in = _stand_in(splits.n_classes, self.ignored, weights)
        self.validation_scores: Scores | Accuracies | None = None
        self.validation_confusion: Tensor | None = None
        self.train_loss = math.nan
        self._losses: list[Tensor] = []
        self._had_labels: list[Tensor] = []
        self._confusion: Tensor | None = None
        self.picture_map: PixelMap | None = None
        self._tiles: TilePlan | None = None
        self._tiles_of = ""
        # In a tuple no module takes it for a part of its own.
        self._compiled = (compiled(model),) if spec.compile else ()
        self._unread = 0

    def forward(self, image: Tensor) -> Tensor:
        """Class scores at the image's size."""
        return self.scores_of(self.model(image), image)

    def scores_of(self, output: Any, image: Tensor) -> Tensor:
        """Class scores at the image's size in what the model made of it."""
        return class_scores(output, image)

    def on_after_batch_transfer(self, batch: tuple[Tensor, ...], dataloader_idx: int) -> tuple[Tensor, ...]:
        """Make numbers of a stored batch, which is on the device now: images normalised, masks int64."""
        image, mask, *kept = batch
        images = self.splits.train if self.trainer.training else self.splits.val
        return (*images.numbers(image, mask), *kept)

    def on_train_epoch_start(self) -> None:
        """Begin a new mean of the loss."""
        self._losses, self._had_labels, self._unread = [], [], 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch; of several processes' parts of one, what averages to the whole batch's.

        A batch without a labelled pixel has the loss 0 and moves nothing; the epoch's mean leaves it out.

        Raises:
            FloatingPointError: when the loss is no longer finite; on a GPU some steps later.
        """
        image, mask = batch
        network = self._compiled[0] if self._compiled else self.model
        with labels(self.model, mask), inputs_of(self.model, self.layers) as features:
            output = self.scores_of(network(image), image)
        if self.spec.threshold is not None:
            output = single_score(output, self.spec.threshold)
        loss, had_labels = self._batch_loss(output, mask, features)
        self._losses.append(loss.detach())
        self._had_labels.append(had_labels)
        self._unread += 1
        if self._unread >= unread_steps(loss.device):
            self._look_at_losses(self.global_step)
        self.criterion.update(output, mask, features)
        return loss

    def _look_at_losses(self, last_step: int) -> None:
        """Raise ``FloatingPointError`` for the first loss since the last look, up to a step's, that is not finite."""
        losses = torch.stack(self._losses[len(self._losses) - self._unread :]).tolist()
        self._unread = 0
        for step, loss in enumerate(losses, last_step - len(losses) + 1):
            if not math.isfinite(loss):
                raise FloatingPointError(f"the training loss became {loss} at step {step}")

    def _batch_loss(self, output: Tensor, mask: Tensor, features: Features) -> tuple[Tensor, Tensor]:
        """The loss, and whether there was a pixel that counts in any process."""
        processes = own_shard().processes
        if processes == 1:
            return self._whole_loss(output, mask, features)
        if not self.criterion.is_mean_of_pixels:
            # A loss of regions is no sum over the processes' parts: each computes the whole, with its part's gradient.
            whole = {name: whole_batch(value) for name, value in features.items()}
            loss, had_labels = self._whole_loss(whole_batch(output), whole_batch(mask), whole)
            # Gradients are averaged over processes.
            return loss.detach() + processes * (loss - loss.detach()), had_labels
        # Each process has other shares of labelled pixels and of classes.
        sums, counts = self.criterion.pixel_sums(output, mask, features)
        counts = summed(counts)
        return (sums * processes / torch.where(counts > 0, counts, 1)).sum(), (counts > 0).any()

    def _whole_loss(self, output: Tensor, mask: Tensor, features: Features) -> tuple[Tensor, Tensor]:
        """The loss of a batch that is all here."""
        had_labels = (self.criterion.counted(mask) > 0).any()
        # The mean over no pixel is nan, and its gradient too: all are taken as one class then, and weigh nothing.
        target = torch.where(had_labels, mask, self._stand_in)
        return self.criterion(output, target, features) * had_labels, had_labels

    def on_train_epoch_end(self) -> None:
        """Take the epoch's mean loss."""
        if self._unread:
            # That step has been counted.
            self._look_at_losses(self.global_step - 1)
        processes = own_shard().processes
        losses = torch.stack(self._losses)[torch.stack(self._had_labels)]
        self.train_loss = (summed(losses.mean()) / processes).item()

    def on_validation_epoch_start(self) -> None:
        """Begin a new confusion matrix; plan the tiles of whole pictures by the field that the model has now."""
        self._confusion = None
        learned = json.dumps(learned_values(self.model), sort_keys=True)
        if self.splits.val.whole and (self._tiles is None or learned != self._tiles_of):
            channels = len(self.splits.val.normalisation.mean)
            self._tiles, self._tiles_of = tile_plan(self.model, self.splits.image_size, channels), learned

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Add a batch to the confusion matrix; returns the predicted classes ``(N, H, W)`` for callbacks.

        They are of the masks' size, which may be another than the images'.
        """
        image, mask = batch
        if self.splits.val.whole:
            prediction = self._of_picture(image, mask)
        else:
            prediction = predicted_classes(self.model(image), mask)
        matrix = confusion(prediction, mask, self.splits.n_classes, self.splits.ignore_index)
        self._confusion = matrix if self._confusion is None else self._confusion + matrix
        return prediction

    def _of_picture(self, image: Tensor, mask: Tensor) -> Tensor:
        """The classes ``(1, H, W)`` of a whole picture; notes the map of its pixels' own fields."""
        assert self._tiles is not None
        size = mask.shape[1], mask.shape[2]
        seen = scores_at_scale(self.model, image, self._tiles, with_map=True)
        map = seen.map_at(size)
        self.picture_map = None if seen.map is None or map is None else PixelMap(seen.map.name, map)
        return seen.classes(size).long()[None]

    def on_validation_epoch_end(self) -> None:
        """Turn the confusion matrix into scores."""
        assert self._confusion is not None
        splits = self.splits
        self.validation_confusion = summed(self._confusion)
        self.validation_scores = scores(
            self.validation_confusion, splits.class_names, splits.label_groups, splits.left_out
        )

    def configure_optimizers(self) -> Any:
        """The optimizer, and the learning-rate schedule for every group that follows it."""
        groups = [
            *parameter_groups(self.model, self.spec.lr, weight_decay=self.spec.weight_decay),
            *self._loss_groups(),
        ]
        optimizer = self._optimizer(groups)
        steps = self.spec.steps or int(self.trainer.estimated_stepping_batches)
        followed = schedule(self.spec, steps)
        rules = [followed if group["scheduled"] else constant for group in optimizer.param_groups]
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rules)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _loss_groups(self) -> list[dict[str, Any]]:
        """What the loss itself has to learn; it is no part of the network, which weight decay keeps small."""
        own = [parameter for parameter in self.criterion.parameters() if parameter.requires_grad]
        if own and own_shard().processes > 1:
            raise InputError(
                "training.loss: has parameters of its own, whose gradient several processes would add up; train it in "
                "one process (executor.resources)"
            )
        return [{"params": own, "lr": self.spec.lr, "weight_decay": 0.0, "scheduled": True}] if own else []

    def _optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        lr = self.spec.lr
        match self.spec.optimizer:
            case "adamw":
                return torch.optim.AdamW(groups, lr=lr, fused=is_fused(groups))
            case "adam":
                return torch.optim.Adam(groups, lr=lr, fused=is_fused(groups))
            case "sgd":
                return torch.optim.SGD(groups, lr=lr, momentum=self.spec.momentum)


def _stand_in(n_classes: int, ignored: int, weights: Tensor | None) -> int:
    """A class with which every pixel of a batch without labels is filled: the loss is a number then."""
    counted = (c for c in range(n_classes) if c != ignored and (weights is None or weights[c] > 0))
    return next(counted, 0)
