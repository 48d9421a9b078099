"""A data set of one's own: squares in four channels, whose class only a small mark in their middle tells."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

SIDE, SQUARE = 48, 20


class Squares(Dataset[tuple[NDArray[np.float32], NDArray[np.int64]]]):
    def __init__(self, n: int, seed: int, *, flips: bool = False) -> None:
        self.n, self.seed, self.flips = n, seed, flips

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        rng = np.random.default_rng([self.seed, index])
        image = rng.normal(size=(4, SIDE, SIDE)).astype(np.float32)
        mask = np.zeros((SIDE, SIDE), np.int64)
        top, left = rng.integers(0, SIDE - SQUARE, 2)
        inside = (slice(top, top + SQUARE), slice(left, left + SQUARE))
        middle = (slice(top + 8, top + 12), slice(left + 8, left + 12))
        mask[inside] = 1 + index % 2
        image[0][inside] += 2
        image[1][middle] += 4 * (index % 2)
        # Drawn anew for every epoch, and the same again when the search is resumed.
        if self.flips and torch.rand(()) < 0.5:
            return image[:, :, ::-1].copy(), mask[:, ::-1].copy()
        return image, mask


def build(n_train: int = 48, n_val: int = 16, n_test: int = 16) -> tuple[Squares, Squares, Squares]:
    return Squares(n_train, 0, flips=True), Squares(n_val, 1), Squares(n_test, 2)
