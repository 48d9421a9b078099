"""Search the receptive field of a U-Net that a loop of your own trains, and see which side won."""

from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch.nn.functional import cross_entropy

import autorf
from autorf.data import DigitsData, load

STEPS, EVERY, BATCH = 12, 6, 8
LAYERS = r"encoder\.layer4\..*\.conv2"
SPACE = [
    {"method": "dilation", "targets": LAYERS, "rate": [1, 3]},
    {"method": "learned_dilation", "targets": LAYERS, "search": 0.5},
]
DATA = DigitsData(image_size=(64, 64), object_size=(24,), n_train=48, n_val=8, n_test=0)


def confusions(model, images, n):
    """One matrix for each validation image: [image, truth, predicted]."""
    pictures, masks = images.tensors(range(len(images)))
    model.eval()
    with torch.no_grad():
        pairs = masks * n + model(pictures).argmax(1)
    model.train()
    return torch.stack([torch.bincount(pair.flatten(), minlength=n * n).view(n, n) for pair in pairs])


def train(trial: autorf.LoopTrial) -> None:
    splits = load(DATA)
    model = smp.Unet("resnet18", encoder_weights=None, classes=splits.n_classes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    handle = trial.attach(model, optimizer)  # the trial's method, and its group in the optimizer
    first = 0
    if (state := trial.restore()) is not None:  # of an attempt that was killed
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        handle.load_state_dict(state["handle"])
        first = handle.done
    for step in range(first + 1, trial.steps + 1):
        images, masks = splits.train.tensors(torch.randint(len(splits.train), (BATCH,)))
        loss = cross_entropy(model(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        handle.step()
        if trial.due(step, EVERY):
            parts = {"model": model, "optimizer": optimizer, "handle": handle}
            trial.save({name: part.state_dict() for name, part in parts.items()})
            if not trial.report(step, confusions=confusions(model, splits.val, splits.n_classes)):
                return


if __name__ == "__main__":
    comparison = autorf.search(
        train, SPACE, name="own_loop", steps=STEPS, seeds=(0,), image_size=DATA.image_size, search={"controls": False}
    )
    print(comparison.answer)
    print(comparison.frame()[["method", "setting", "n", "mean", "steps"]].to_string())
    print(f"report: {autorf.report('own_loop', force=True)}; also: autorf compare own_loop")
    assert Path("runs/own_loop/report.html").is_file()
