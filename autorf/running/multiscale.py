"""A trained model over several sizes of the images: a callback of the last validation, on a copy of the model."""

import copy
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from autorf.data import Splits
from autorf.errors import InputError, in_one_line
from autorf.metrics import scores
from autorf.running.evidence import Evidence
from autorf.running.evidence_collector import EvidenceCollector, is_last
from autorf.study.evaluation_spec import EvaluationSpec
from autorf.surgery.dry_run import input_channels, of_shapes
from autorf.training.module import SegmentationModule
from autorf.training.multiscale import MultiScale
from autorf.training.outputs import class_scores
from autorf.training.results import METRICS, MultiScaleScores


class MultiScaleEvaluation(lightning.Callback):
    """Counts what the last validation predicts when class probabilities are averaged over sizes.

    Args:
        splits: the data.
        spec: over which sizes.
    """

    def __init__(self, splits: Splits, spec: EvaluationSpec) -> None:
        self.splits, self.spec = splits, spec
        self._collector = EvidenceCollector(splits)
        self._model: nn.Module | None = None

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Copy the model: what its layers noted of the images' own size is to stay."""
        self._collector.on_validation_start(trainer, pl_module)
        assert isinstance(pl_module, SegmentationModule)
        self._model = copy.deepcopy(pl_module.model).eval() if is_last(trainer) else None

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take a batch ``(image, mask)`` of the last validation."""
        if self._model is not None:
            image, mask = batch
            self._collector.add(image, mask, self._predicted(self._model, image, mask), nn.Identity())

    def _predicted(self, model: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
        fused = MultiScale(model, self.spec.all_scales, flip=self.spec.flip, multiple=self.spec.multiple)
        return class_scores(fused(image), mask[:, None]).max(1).indices

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Let go of the copy."""
        self._model = None

    def evidence(self) -> Evidence | None:
        """What was gathered; of several processes all must ask, and the first is answered."""
        return self._collector.evidence()


def multiscale_scores(evidence: Evidence, splits: Splits, spec: EvaluationSpec) -> MultiScaleScores:
    """The scores of what :class:`MultiScaleEvaluation` gathered."""
    measured = scores(evidence.confusion.sum(0), splits.class_names, splits.label_groups, splits.left_out)
    return MultiScaleScores(
        scales=spec.all_scales,
        flip=spec.flip,
        metrics={name: getattr(measured, name) for name in METRICS},
        groups=measured.known_groups,
        iou_per_class=measured.iou,
        f1_per_class=measured.f1_per_class,
    )


@torch.no_grad()
def check_scales(model: nn.Module, image_size: tuple[int, int], spec: EvaluationSpec) -> None:
    """Run the model once at every size that its evaluation would have, on shapes alone where it can.

    Raises:
        InputError: naming a scale that the model does not take, with what it said.
    """
    training = model.training
    model.eval()
    try:
        for scale in spec.all_scales if spec.asked else ():
            try:
                fused = MultiScale(model, (scale,), flip=False, multiple=spec.multiple)
                of_shapes(fused, torch.zeros(1, input_channels(model), *image_size))
            except (RuntimeError, ValueError, TypeError, AssertionError) as error:
                reason = in_one_line(error, 160)
                raise InputError(
                    f"evaluation.scales: {scale:g}: the model does not take images of that size ({reason}); set "
                    "evaluation.multiple, such as 32, or leave the scale out"
                ) from None
    finally:
        model.train(training)
