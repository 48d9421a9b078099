"""The Lightning module of a task."""

from torch import nn

from autorf.data import Splits
from autorf.tasks import CLASSIFICATION
from autorf.training.classification import ClassificationModule
from autorf.training.module import SegmentationModule
from autorf.training.spec import TrainingSpec


def module_for(model: nn.Module, spec: TrainingSpec, splits: Splits) -> SegmentationModule:
    """What trains and validates ``model`` on the data's task."""
    kind = ClassificationModule if splits.task == CLASSIFICATION else SegmentationModule
    return kind(model, spec, splits)
