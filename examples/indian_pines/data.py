"""Indian Pines: one aerial picture of fields in 200 bands, 145 x 145 pixels, 16 crops; tensorly brings it along.

The picture is cut into 5 x 5 blocks, of which every row and column gives one to validation, one to the test and three
to training: no pixel that is trained on lies in a block that is scored.
Baumgardner, Biehl, Landgrebe, *220 band AVIRIS hyperspectral image data set* (2015), doi:10.4231/R7RX991C.
"""

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

BLOCKS, SIDE = 5, 29
SPLIT_OF = {1: "val", 2: "test"}

Item = tuple[NDArray[np.float32], NDArray[np.int64]]


class Blocks(Dataset[Item]):
    def __init__(self, image: NDArray[np.float32], labels: NDArray[np.int64], split: str) -> None:
        self.image, self.labels = image, labels
        places = [(row, column) for row in range(BLOCKS) for column in range(BLOCKS)]
        # Block (row, column) belongs to the split of (column - 2 row) mod 5: a knight's move apart.
        self.places = [(r, c) for r, c in places if SPLIT_OF.get((c - 2 * r) % BLOCKS, "train") == split]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Item:
        row, column = self.places[index]
        block = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        # Class 0 of the published labels means: not labelled.
        return self.image[block], self.labels[block] - 1


def build() -> tuple[Blocks, Blocks, Blocks]:
    from tensorly.datasets import load_indian_pines

    picture = load_indian_pines()
    # Its first tick is the map of labels.
    image, labels = np.asarray(picture.tensor, np.float32), np.asarray(picture.ticks[0], np.int64)
    return Blocks(image, labels, "train"), Blocks(image, labels, "val"), Blocks(image, labels, "test")
