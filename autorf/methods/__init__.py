"""The ways to set or learn a receptive field, by name."""

from autorf.methods.base import LayerMethod, Method, RegionMethod
from autorf.methods.baseline import Baseline
from autorf.methods.dilation import Dilation
from autorf.methods.inflation import Inflation
from autorf.methods.learned_dilation import LearnedDilation
from autorf.methods.modules import AdaptiveModule, AdaptiveRegion, LearningRule
from autorf.methods.pixel_adaptive import PixelAdaptive
from autorf.methods.quantity import Quantity
from autorf.methods.registry import Methods
from autorf.methods.scale_adaptive import ScaleAdaptive

METHODS = Methods(
    {
        "baseline": Baseline,
        "dilation": Dilation,
        "inflation": Inflation,
        "learned_dilation": LearnedDilation,
        "pixel_adaptive": PixelAdaptive,
        "scale_adaptive": ScaleAdaptive,
    }
)
"""Every method by its name, those of installed packages (entry points ``autorf.methods``) included."""


def method_class(name: str) -> type[Method]:
    """The class of a method by its name; of one that is not installed here, the base class with its defaults.

    >>> method_class("inflation").quantity.label
    'inflation factor f'
    >>> method_class("of a package that is gone").manual
    False
    """
    return METHODS.get(name, Method)


def is_manual(name: str) -> bool:
    """Whether the method of that name sets the receptive field by hand; one that is not known learns it."""
    return method_class(name).manual


def is_learned(name: str) -> bool:
    """Whether the method of that name learns the receptive field; one that is not known does."""
    kind = method_class(name)
    return kind.trained and not kind.manual


__all__ = [
    "METHODS",
    "AdaptiveModule",
    "AdaptiveRegion",
    "Baseline",
    "Dilation",
    "Inflation",
    "LayerMethod",
    "LearnedDilation",
    "LearningRule",
    "Method",
    "PixelAdaptive",
    "Quantity",
    "RegionMethod",
    "ScaleAdaptive",
    "is_learned",
    "is_manual",
    "method_class",
]
