"""Training as torchvision's references/segmentation do it (auxiliary loss, SGD, poly schedule), plus two lines."""

from typing import Any

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader

import autorf
from autorf.data import DigitsData, load

EPOCHS, LR = 1, 0.01
splits = load(DigitsData(image_size=(64, 64), object_size=(24,), n_train=16, n_val=8, n_test=0))
IGNORED = -100 if splits.ignore_index is None else splits.ignore_index


def criterion(inputs, target):
    losses = {name: nn.functional.cross_entropy(x, target, ignore_index=IGNORED) for name, x in inputs.items()}
    return losses["out"] + 0.5 * losses["aux"] if "aux" in losses else losses["out"]


def evaluate(model, loader):
    model.eval()
    right = total = 0
    with torch.inference_mode():
        for image, target in loader:
            hits = model(image)["out"].argmax(1) == target
            right, total = right + hits.sum().item(), total + hits.numel()
    return right / total


torch.manual_seed(0)
loader = DataLoader(splits.train, batch_size=4, shuffle=True, drop_last=True)
model = torchvision.models.get_model(
    "fcn_resnet50", weights=None, weights_backbone=None, num_classes=splits.n_classes, aux_loss=True
)
parameters: list[dict[str, Any]] = [
    {"params": [p for p in model.get_submodule("backbone").parameters() if p.requires_grad]},
    {"params": [p for p in model.get_submodule("classifier").parameters() if p.requires_grad]},
    {"params": [p for p in model.get_submodule("aux_classifier").parameters() if p.requires_grad], "lr": LR * 10},
]
optimizer = torch.optim.SGD(parameters, lr=LR, momentum=0.9, weight_decay=1e-4)
method = autorf.LearnedDilation(targets=r"backbone\.layer4\.\d\.conv2", rates=(1, 2, 4, 8))
handle = autorf.attach(model, optimizer, method, total_steps=EPOCHS * len(loader))  # added
schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=EPOCHS * len(loader), power=0.9)

for epoch in range(EPOCHS):
    model.train()
    for image, target in loader:
        loss = criterion(model(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        handle.step()  # added
        schedule.step()
    print(f"epoch {epoch}: pixel accuracy {evaluate(model, DataLoader(splits.val, 4)):.3f}")
print(handle.describe())
