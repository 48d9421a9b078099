import math
from pathlib import Path

import pytest
import torch

from autorf.methods import free_memory as module
from autorf.methods.free_memory import free_memory, left_in_container


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "1000\n", "memory.current": "700\n", "memory.stat": "anon 5\ninactive_file 200\n"}, 500),
        ({"memory.max": "1000\n", "memory.current": "1300\n", "memory.stat": "inactive_file 0\n"}, 0),
        ({"memory.max": "max\n", "memory.current": "700\n", "memory.stat": "inactive_file 200\n"}, math.inf),
        (
            {
                "memory/memory.limit_in_bytes": "1000\n",
                "memory/memory.usage_in_bytes": "900\n",
                "memory/memory.stat": "cache 5\ntotal_inactive_file 50\n",
            },
            150,
        ),
        ({}, math.inf),
    ],
)
def test_the_limit_of_a_container_less_what_is_used_but_cached_files(
    tmp_path: Path, files: dict[str, str], left: float
) -> None:
    assert left_in_container(write(tmp_path, files)) == left


def test_no_more_is_free_than_the_container_has(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert free_memory(cpu) > 2**20
    monkeypatch.setattr(module, "left_in_container", lambda groups: 12.0)
    assert free_memory(cpu) == 12.0
