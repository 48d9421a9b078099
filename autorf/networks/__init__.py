"""Models by name: ``largefov:BACKBONE``, ``smp:ARCH:ENCODER``, ``timm:NAME``, ``torchvision:NAME``, ``hf:NAME``,
``paper:NAME``."""

from autorf.networks.registry import build
from autorf.networks.spec import ModelSpec

__all__ = ["ModelSpec", "build"]
