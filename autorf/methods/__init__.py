"""The ways to set or learn a receptive field, by name."""

from autorf.methods.base import AdaptiveModule, LayerMethod, LearningRule, Method
from autorf.methods.dilation import Dilation
from autorf.methods.inflation import Inflation
from autorf.methods.learned_dilation import LearnedDilation
from autorf.methods.pixel_adaptive import PixelAdaptive
from autorf.methods.scale_adaptive import ScaleAdaptive

METHODS: dict[str, type[Method]] = {
    "dilation": Dilation,
    "inflation": Inflation,
    "learned_dilation": LearnedDilation,
    "pixel_adaptive": PixelAdaptive,
    "scale_adaptive": ScaleAdaptive,
}

MANUAL = frozenset({"dilation"})
"""The methods that set a receptive field by hand; all others learn it."""

__all__ = [
    "MANUAL",
    "METHODS",
    "AdaptiveModule",
    "Dilation",
    "Inflation",
    "LayerMethod",
    "LearnedDilation",
    "LearningRule",
    "Method",
    "PixelAdaptive",
    "ScaleAdaptive",
]
