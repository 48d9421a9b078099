"""Change a model's receptive field in place: match, check everything, then swap."""

from autorf.surgery.adaptation import Adaptation, adapt, adaptations
from autorf.surgery.description import Change, Description, describe
from autorf.surgery.freezing import Frozen, freeze
from autorf.surgery.learning import advance, learned_values, parameter_groups, search_again, search_states
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
    "describe",
    "freeze",
    "learned_values",
    "load",
    "parameter_groups",
    "save",
    "search_again",
    "search_states",
    "verify",
]
