"""Exact receptive fields of segmentation networks, effective receptive fields, and advice drawn from them.

``autorf.receptive_field`` is this package and, by design, also the function users call:
``autorf.receptive_field(model, image_size)``. Python gives a sub-package and an attribute of its parent one name, so
whichever was imported last would win; a package that can itself be called is right in either order.
"""

import sys
from types import ModuleType
from typing import Any

from autorf.receptive_field.advice import Advice, Option, advise
from autorf.receptive_field.drawing import figure
from autorf.receptive_field.effective import EffectiveField, effective_receptive_field
from autorf.receptive_field.field import LayerField, ReceptiveField, receptive_field
from autorf.receptive_field.inflated import inflated_field, inflated_kernel
from autorf.receptive_field.per_pixel import field_map
from autorf.receptive_field.tiling import Tiling, tiling

__all__ = [
    "Advice",
    "EffectiveField",
    "LayerField",
    "Option",
    "ReceptiveField",
    "Tiling",
    "advise",
    "effective_receptive_field",
    "field_map",
    "figure",
    "inflated_field",
    "inflated_kernel",
    "receptive_field",
    "tiling",
]


class _CallablePackage(ModuleType):
    """This package, calling :func:`receptive_field` when called."""

    def __call__(self, *args: Any, **kwargs: Any) -> ReceptiveField:
        return receptive_field(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
