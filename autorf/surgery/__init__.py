"""Change a model's receptive field in place: match, check everything, then swap."""

from autorf.surgery.adaptation import adapt, adaptations
from autorf.surgery.description import Change, Description, describe
from autorf.surgery.freezing import Frozen, freeze
from autorf.surgery.frozen_state import plain_state_dict
from autorf.surgery.learning import (
    advance,
    alike_options,
    learned_values,
    parameter_groups,
    search_again,
    search_states,
)
from autorf.surgery.record import Adaptation
from autorf.surgery.storage import load, save
from autorf.surgery.verification import verify

__all__ = [
    "Adaptation",
    "Change",
    "Description",
    "Frozen",
    "adapt",
    "adaptations",
    "advance",
    "alike_options",
    "describe",
    "freeze",
    "learned_values",
    "load",
    "parameter_groups",
    "plain_state_dict",
    "save",
    "search_again",
    "search_states",
    "verify",
]
