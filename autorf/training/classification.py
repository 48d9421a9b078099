"""The Lightning module of a trial that classifies whole pictures."""

from typing import Any

import torch
from torch import Tensor

from autorf.accuracy import accuracies, ranks, tally
from autorf.training.module import SegmentationModule
from autorf.training.outputs import raw_scores
from autorf.training.parallel import summed


class ClassificationModule(SegmentationModule):
    """Trains ``model`` on ``(image (N, 3, H, W), mask (N, 1, 1))`` batches, the mask being the picture's class.

    The model returns class scores ``(N, n_classes)``, alone, first in a tuple, or as ``logits``; to loss and metrics
    they are those of one pixel, ``(N, n_classes, 1, 1)``.

    Attributes:
        last_ranks: ``(N,)`` of the last validation batch, see :func:`autorf.accuracy.ranks`.
        validation_tally: of the last whole validation, see :func:`autorf.accuracy.tally`.
    """

    last_ranks: Tensor | None = None
    validation_tally: Tensor | None = None

    def scores_of(self, output: Any, image: Tensor) -> Tensor:
        """Class scores ``(N, n_classes, 1, 1)``."""
        return raw_scores(output)[:, :, None, None]

    def on_validation_epoch_start(self) -> None:
        """Begin to count anew."""
        self._counts: Tensor | None = None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Count what becomes of a batch; returns the predicted classes ``(N, 1, 1)`` for callbacks."""
        image, mask = batch
        scores, labels = raw_scores(self.model(image)).float(), mask[:, 0, 0]
        self.last_ranks = ranks(scores, labels)
        counts = tally(labels, self.last_ranks, self.splits.n_classes)
        self._counts = counts if self._counts is None else self._counts + counts
        others = scores.scatter(1, labels[:, None], -torch.inf).nan_to_num(torch.inf)
        # Of equal scores the rank decides, so that the prediction never contradicts the accuracy.
        return torch.where(self.last_ranks == 0, labels, others.max(1).indices)[:, None, None]

    def on_validation_epoch_end(self) -> None:
        """Turn the counts of all processes into scores."""
        assert self._counts is not None
        self.validation_tally = summed(self._counts)
        self.validation_scores = accuracies(self.validation_tally, self.splits.class_names)
