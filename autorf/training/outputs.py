"""What segmentation models of different libraries return."""

from typing import Any

from torch import Tensor
from torch.nn import functional


def class_scores(output: Any, image: Tensor) -> Tensor:
    """Class scores ``(N, n_classes, H, W)`` at the size of ``image (N, 3, H, W)``.

    Args:
        output: the scores themselves, a mapping that holds them as ``out`` or ``logits``, or an object with
            ``logits``; another size is resized bilinearly.
        image: whose size counts.
    """
    if isinstance(output, dict):
        output = output["out"] if "out" in output else output["logits"]
    elif not isinstance(output, Tensor):
        output = output.logits
    assert isinstance(output, Tensor)
    if output.shape[2:] != image.shape[2:]:
        output = functional.interpolate(output, size=image.shape[2:], mode="bilinear", align_corners=False)
    return output
