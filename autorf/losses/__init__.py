"""Losses of segmentation by name, alone or as a weighted sum, and the weights of classes."""

from autorf.losses.spec import LOSSES, LossSpec, LossTerm

__all__ = ["LOSSES", "LossSpec", "LossTerm"]
