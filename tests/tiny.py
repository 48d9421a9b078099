"""The smallest study that trains: seconds a trial."""

from typing import Any

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "image_size": 48, "object_size": 20, "n_train": 48, "n_val": 12, "n_test": 0},
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [
        {"method": "dilation", "rate": [1, 3]},
        {"method": "inflation", "dilation": 3},
        {"method": "learned_dilation", "start": 4},
    ],
    "training": {"epochs": 2, "batch_size": 16},
    "executor": {"workers": 2},
}
