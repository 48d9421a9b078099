"""How much memory a tensor may still take."""

import math
from pathlib import Path

import torch

_CONTROL_GROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Files of a container's limit, versions 2 and 1: the limit, what is used, and which of that are cached files."""


def free_memory(device: torch.device) -> float:
    """Bytes that a new tensor on ``device`` may take; within a container, no more than its limit leaves."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + unused)
    import psutil

    return min(float(psutil.virtual_memory().available), left_in_container(Path("/sys/fs/cgroup")))


def left_in_container(groups: Path) -> float:
    """Bytes that the limit under ``groups`` leaves, cached files counted as free; infinite without a limit."""
    for limit, used, statistics, cached in _CONTROL_GROUPS:
        try:
            lines = (groups / statistics).read_text().splitlines()
            files = int(dict(line.split(maxsplit=1) for line in lines)[cached])
            return float(max(0, int((groups / limit).read_text()) - int((groups / used).read_text()) + files))
        except (OSError, ValueError, KeyError):
            # Another version, no control groups at all, or "max", which is no limit.
            continue
    return math.inf
