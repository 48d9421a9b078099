"""The page of ``real_networks.py``: tables of what is complete, and what is missing."""

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from autorf.comparison.rows import Row, rows_of
from autorf.comparison import results_of
from autorf.files import write_atomically
from autorf.statistics import half_width
from autorf.store.store import open_store
from autorf.study.spec import parse_study
from autorf.study.trial import grid

PAGE = Path(__file__).parent / "results" / "real_networks.md"
PAIRS = {
    "unet_camvid": "U-Net, CamVid",
    "unet_fasseg": "U-Net, FASSEG",
    "deeplab_camvid": "DeepLabV3+, CamVid",
}
MARGIN, LEAST_STEP = 0.01, 0.004

Groups = dict[str, list[Row]]
