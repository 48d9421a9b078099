"""Tests that need a GPU are collected always, and run only where ``-m gpu`` asks for them."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "gpu" in config.option.markexpr:
        return
    on_gpu = [item for item in items if item.get_closest_marker("gpu") is not None]
    config.hook.pytest_deselected(items=on_gpu)
    items[:] = [item for item in items if item not in on_gpu]
