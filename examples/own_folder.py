"""A study of a folder of your own pictures and masks, from Python: search, what to use, and a prediction.

The pictures are drawn here; with your own, only `root`, `classes` and `image_size` change.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

STUDY = """
name: photos
data: {name: folder, root: photos, classes: [background, square], image_size: [48, 48]}
model: {name: "largefov:test_byobnet", stage: 1, channels: [8, 8], head_norm: true}
search_space:
  - {method: dilation, rate: [1, 4]}
training: {epochs: 2, batch_size: 4, lr: 3.0e-3}
"""

rng = np.random.default_rng(0)
for number in range(8):
    folder = Path("photos") / ("train" if number < 6 else "val")
    mask = np.zeros((48, 48), np.uint8)
    top, left = rng.integers(4, 24, 2)
    mask[top : top + 16, left : left + 16] = 1
    picture = np.repeat((mask * 120 + rng.integers(0, 60, mask.shape))[..., None], 3, 2).astype(np.uint8)
    for kind, pixels in (("images", picture), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{number}.png")
Path("photos.yaml").write_text(STUDY)


def autorf(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "autorf", *arguments], check=True)


if __name__ == "__main__":
    autorf("search", "photos.yaml", "--quiet")
    autorf("retrain", "photos", "--quiet")
    autorf("predict", "photos", "photos/val/images", "--output", "masks", "--overlay", "--quiet")
    print("masks:", sorted(path.name for path in Path("masks").glob("*.png")))
