"""What a receptive field means for a user: which knobs to search, and which tiles make tiled inference exact."""

from autorf.advice.suggestion import Advice, Option, advise
from autorf.advice.tiling import Tiling, tiling

__all__ = ["Advice", "Option", "Tiling", "advise", "tiling"]
