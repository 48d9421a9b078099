"""The Lightning module of a student that learns from a teacher."""

import torch
from torch import Tensor, nn

from autorf.data import Splits
from autorf.distillation.teacher_scores import teacher_scores
from autorf.losses.criterion import Features
from autorf.losses.distillation import distillation_sum, estimated_labels
from autorf.study.distill_spec import DistillSpec
from autorf.training.module import SegmentationModule
from autorf.training.outputs import resized
from autorf.training.parallel import own_shard, summed
from autorf.training.spec import TrainingSpec


class StudentModule(SegmentationModule):
    """Trains ``model`` by the study's loss and its divergence from the teacher.

    Batches are ``(image, mask)``, or ``(image, mask, scores)`` where the teacher's scores were kept. Of a mask without
    labels nothing is read but which pixels augmentation has filled: the teacher's predictions are the labels then.

    Args:
        model, spec, splits: see :class:`autorf.training.module.SegmentationModule`.
        distill: temperature, weight and the like.
        teacher: computes the scores of batches that hold none; None where all do. It is no part of this module: it is
            neither trained nor saved with it.
        labelled: whether masks hold labels.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: TrainingSpec,
        splits: Splits,
        distill: DistillSpec,
        teacher: nn.Module | None,
        *,
        labelled: bool,
    ) -> None:
        super().__init__(model, spec, splits)
        self.distill, self.labelled = distill, labelled
        # In a tuple no module takes it for a part of its own.
        self._teachers: tuple[nn.Module, ...] = () if teacher is None else (teacher.eval().requires_grad_(False),)
        weights = distill.class_weights
        self._gradient_weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self._known: Tensor | None = None

    def on_fit_start(self) -> None:
        """Have the teacher compute where the student does."""
        for teacher in self._teachers:
            teacher.to(self.device)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """The loss of a batch, see :class:`autorf.training.module.SegmentationModule`."""
        image, mask, *kept = batch
        scores = kept[0] if kept else teacher_scores(self._teachers[0], image)
        self._known = resized(scores, image.shape[2:])
        if not self.labelled:
            mask = estimated_labels(self._known[:, : self.splits.n_classes], mask, self.ignored)
        return super().training_step((image, mask), batch_idx)

    def _batch_loss(self, output: Tensor, mask: Tensor, features: Features) -> tuple[Tensor, Tensor]:
        loss, had_labels = super()._batch_loss(output, mask, features)
        return loss + self.distill.weight * self._divergence(output, mask), had_labels

    def _divergence(self, output: Tensor, mask: Tensor) -> Tensor:
        """The mean over the pixels of all processes' parts of a batch, so that gradients average to the whole's."""
        assert self._known is not None, "every step knows the teacher's scores"
        total, count = distillation_sum(
            output,
            self._known,
            mask,
            self.ignored,
            temperature=self.distill.temperature,
            top_k=self.distill.top_k,
            class_weights=self._weights_on(output.device),
        )
        self._known = None
        return own_shard().processes * total / summed(count).clamp(min=1)

    def _weights_on(self, device: torch.device) -> Tensor | None:
        if self._gradient_weights is not None:
            self._gradient_weights = self._gradient_weights.to(device)
        return self._gradient_weights
