"""Training: the Lightning module, its spec, and the callback that existing pipelines plug in."""

from autorf.training.spec import TrainingSpec

__all__ = ["TrainingSpec"]
