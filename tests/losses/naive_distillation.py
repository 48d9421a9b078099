"""Distillation pixel by pixel, in plain Python loops over autograd's scalars."""

import math

import torch
from torch import Tensor


def left_out(teacher: Tensor, labels: Tensor, ignored: int, top_k: int) -> set[tuple[int, int, int]]:
    """The pixels ``(n, y, x)`` of each image with the ``top_k`` highest losses of the teacher."""
    chosen: set[tuple[int, int, int]] = set()
    n_images, _, height, width = teacher.shape
    for n in range(n_images):
        losses = []
        for y in range(height):
            for x in range(width):
                label = int(labels[n, y, x])
                if label != ignored:
                    scores = teacher[n, :, y, x].tolist()
                    losses.append((math.log(sum(map(math.exp, scores))) - scores[label], (n, y, x)))
        losses.sort(reverse=True)
        chosen |= {place for _, place in losses[:top_k]}
    return chosen


def distillation(
    student: Tensor, teacher: Tensor, labels: Tensor, ignored: int, temperature: float, top_k: int
) -> tuple[Tensor, int]:
    """The sum over pixels and their number."""
    skipped = left_out(teacher, labels, ignored, top_k)
    total, count = student.new_zeros(()), 0
    n_images, n_classes, height, width = teacher.shape
    for n in range(n_images):
        for y in range(height):
            for x in range(width):
                if int(labels[n, y, x]) == ignored or (n, y, x) in skipped:
                    continue
                p = [math.exp(value / temperature) for value in teacher[n, :, y, x].tolist()]
                p = [value / sum(p) for value in p]
                q = [torch.exp(student[n, c, y, x] / temperature) for c in range(n_classes)]
                q_sum = torch.stack(q).sum()
                for c in range(n_classes):
                    total = total + temperature**2 * p[c] * (math.log(p[c]) - torch.log(q[c] / q_sum))
                count += 1
    return total, count
