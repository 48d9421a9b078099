"""A small study that classifies pictures."""

from typing import Any

CLASSIFIED: dict[str, Any] = {
    "name": "classified",
    "task": "classification",
    "data": {
        "name": "digit_classes",
        "image_size": 32,
        "object_size": [10, 24],
        "n_train": 24,
        "n_val": 12,
        "n_test": 8,
    },
    "model": {"name": "timm:test_resnet", "output_stride": 8},
    "search_space": [
        {"method": "dilation", "rate": [1, 2]},
        {"method": "pixel_adaptive", "rates": [[1, 2, 4]]},
    ],
    "training": {"epochs": 1, "batch_size": 12, "lr": 3e-3},
    "search": {"controls": False},
    "executor": {"workers": 1},
}
