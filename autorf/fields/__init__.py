"""Exact and effective receptive fields of any traced model; the function itself is ``autorf.receptive_field``."""

from autorf.fields.drawing import figure
from autorf.fields.effective import EffectiveField, effective_receptive_field
from autorf.fields.field import LayerField, ReceptiveField, receptive_field
from autorf.fields.inflated import inflated_field, inflated_kernel
from autorf.fields.per_pixel import field_map

__all__ = [
    "EffectiveField",
    "LayerField",
    "ReceptiveField",
    "effective_receptive_field",
    "field_map",
    "figure",
    "inflated_field",
    "inflated_kernel",
    "receptive_field",
]
