"""A training loop of someone's own, which worker processes can import: a tiny network and images by one generator.

As a script: ``python own_training.py ROOT SECONDS``, which waits so long behind every report.
"""

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import autorf

LEARNED = {"method": "learned_dilation", "targets": "2", "search": 0.5, "rates": [[1, 2, 3]]}
BY_HAND = {"method": "dilation", "targets": "2", "rate": [1, 2, 3]}
EVERY = 40


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)
    )


def labelled(images: Tensor) -> Tensor:
    return (nn.functional.avg_pool2d(images.mean(1, keepdim=True), 5, 1, 2)[:, 0] > 0.5).long()


def confusions(model: nn.Module) -> Tensor:
    """``(4, 2, 2)``: of four images that are the same for all trials."""
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    truth = labelled(images)
    model.eval()
    with torch.no_grad():
        pairs = truth * 2 + model(images).argmax(1)
    model.train()
    return torch.stack([torch.bincount(pair.flatten(), minlength=4).view(2, 2) for pair in pairs])


def train(trial: autorf.LoopTrial, pause: float = 0.0) -> None:
    model = trial.adapt(network())
    optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-2))
    first = 0
    if (state := trial.restore()) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    with (trial.folder / "begun").open("a") as log:
        log.write(f"{first}\n")
    for step in range(first, trial.steps):
        autorf.advance(model, step, trial.steps)
        images = torch.rand(2, 3, 16, 16)
        loss = cross_entropy(model(images), labelled(images))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done = step + 1
        if trial.due(done, EVERY):
            autorf.advance(model, done, trial.steps)
            trial.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": done})
            if not trial.report(done, confusions=confusions(model), loss=loss):
                return
            time.sleep(pause)


def train_slowly(trial: autorf.LoopTrial) -> None:
    train(trial, float(sys.argv[2]))


if __name__ == "__main__":
    autorf.search(
        train_slowly, [BY_HAND, LEARNED], name="own", steps=120, image_size=16, root=Path(sys.argv[1]),
        search={"controls": False}, quiet=True,
    )  # fmt: skip
