"""The evidence of trials that classify whole pictures, and which collector gathers a task's."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from autorf.data import Splits
from autorf.running.evidence import Evidence
from autorf.running.evidence_collector import EvidenceCollector
from autorf.tasks import CLASSIFICATION
from autorf.training.classification import ClassificationModule
from autorf.training.parallel import joined


class ClassEvidenceCollector(EvidenceCollector):
    """Counts what the last validation predicts of whole pictures: one cell a picture, and the right class's rank."""

    def _begin(self) -> None:
        super()._begin()
        self._ranks: list[int] = []

    def add(self, image: Tensor, mask: Tensor, prediction: Tensor, model: nn.Module) -> None:
        """Count a batch, right after ``model`` has run on it.

        Args:
            image: ``(N, 3, H, W)``, normalised.
            mask: ``(N, 1, 1)``, the classes.
            prediction: ``(N, 1, 1)``, classes.
            model: that was validated, which knows the ranks; its per-pixel layers, if any, hold the maps of this batch.
        """
        assert isinstance(model, ClassificationModule)
        assert model.last_ranks is not None
        self._ranks += model.last_ranks.tolist()
        size = image.shape[2], image.shape[3]
        # Samples show the classes over the whole picture.
        super().add(image, mask.expand(-1, *size), prediction.expand(-1, *size), model)

    def _count(self, mask: Tensor, prediction: Tensor, map: Tensor | None) -> None:
        """A picture has one class, and no objects."""
        self._cells.append(torch.tensor([[self._seen, int(mask[0, 0]), int(prediction[0, 0]), 1]]))
        self._objects.append(np.empty((0, 5)))

    def evidence(self) -> Evidence | None:
        """What was gathered; None before the last validation.

        Of several processes all must ask, and the first is answered.
        """
        of_all = joined(self._ranks)
        gathered = super().evidence()
        return None if gathered is None else replace(gathered, ranks=torch.tensor(of_all, dtype=torch.int32))


def collector_for(splits: Splits) -> EvidenceCollector:
    """What gathers the evidence of the data's task."""
    return ClassEvidenceCollector(splits) if splits.task == CLASSIFICATION else EvidenceCollector(splits)
