"""What segmentation models of different libraries return."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def class_scores(output: Any, image: Tensor) -> Tensor:
    """Class scores ``(N, n_classes, H, W)`` at the size of ``image (N, 3, H, W)``.

    Args:
        output: the scores themselves, a tuple that begins with them, before those of auxiliary heads, a mapping that
            holds them as ``out`` or ``logits``, or an object with ``logits``; another size is resized bilinearly.
        image: whose size counts.
    """
    return resized(raw_scores(output), image.shape[-2:])


def raw_scores(output: Any) -> Tensor:
    """Class scores ``(N, n_classes, h, w)`` as the model left them."""
    if isinstance(output, dict):
        output = output["out"] if "out" in output else output["logits"]
    elif type(output) is tuple and output:
        # What follows are the scores of heads that only help in training. A list is refused: of feature maps, mostly.
        output = output[0]
    elif not isinstance(output, Tensor):
        output = output.logits
    assert isinstance(output, Tensor)
    return output


def resized(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Scores ``(N, n_classes, h, w)`` at another height and width, bilinearly."""
    if tuple(scores.shape[2:]) == tuple(size):
        return scores
    return functional.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)


def predicted_classes(output: Any, mask: Tensor) -> Tensor:
    """The class of every pixel of ``mask (N, H, W)``: ``(N, H, W)`` int64.

    Scores of another size are enlarged one image after the other: those of a whole batch at the masks' own size may
    take many times the memory of its training.
    """
    scores, size = raw_scores(output), mask.shape[-2:]
    # On the CPU argmax over a dimension that is not the last takes five times as long.
    if scores.shape[2:] == size:
        return scores.max(1).indices
    return torch.cat([resized(image, size).max(1).indices for image in scores.split(1)])


def classes_at(scores: Tensor, size: Sequence[int]) -> Tensor:
    """The class of the highest of scores ``(1, n_classes, h, w)`` at every pixel of a picture: ``(H, W)`` int32.

    One class after the other: all of them at a large picture's size may take many times the memory of the picture.

    Args:
        scores: of the picture.
        size: its height and width in pixels.
    """
    best = resized(scores[:, :1], size)[0, 0].clone()
    chosen = torch.zeros(tuple(size), dtype=torch.int32, device=scores.device)
    for number in range(1, scores.shape[1]):
        score = resized(scores[:, number : number + 1], size)[0, 0]
        higher = score > best
        chosen.masked_fill_(higher, number)
        torch.where(higher, score, best, out=best)
    return chosen
