"""What a receptive field means for a user: which knobs to search, and which tiles make tiled inference exact."""

from autorf.advice.knobs import Knob, Setting
from autorf.advice.model_check import ModelCheck
from autorf.advice.suggestion import Advice, Option, advise
from autorf.advice.tiling import Tiling, tiling

__all__ = ["Advice", "Knob", "ModelCheck", "Option", "Setting", "Tiling", "advise", "tiling"]
