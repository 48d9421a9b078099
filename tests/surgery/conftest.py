"""Small models that surgery is tried on."""

import pytest
import torch
from torch import nn


class Branching(nn.Module):
    """A stem, a residual block, a second path around the block's end, and two outputs' worth of ways out."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 5, 1)
        self.side = nn.Conv2d(8, 5, 1)

    def forward(self, image):
        stem = self.stem(image)
        first = self.first(stem)
        second = torch.relu(self.second(first))
        gated = second * torch.sigmoid(self.gate(self.pool(stem)))
        third = self.third(gated) + stem
        return self.head(third) + self.side(first)


@pytest.fixture
def branching():
    torch.manual_seed(0)
    return Branching().eval()


@pytest.fixture
def chain():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.Flatten()]
    return nn.Sequential(*layers[:-1], nn.Conv2d(6, 4, 1)).eval()


@pytest.fixture
def image():
    return torch.randn(2, 3, 33, 41, generator=torch.Generator().manual_seed(1))


def everything(model):
    """All that an error must leave as it was."""
    return {
        "modules": [(name, id(module)) for name, module in model.named_modules(remove_duplicate=False)],
        "attributes": [sorted(map(str, vars(module))) for module in model.modules()],
        "training": [module.training for module in model.modules()],
        "parameters": [(name, id(parameter), parameter._version) for name, parameter in model.named_parameters()],
        "buffers": [(name, id(buffer), buffer._version) for name, buffer in model.named_buffers()],
        "state": {key: value.clone().tolist() for key, value in model.state_dict().items()},
        "hooks": [
            [list(getattr(module, kind)) for kind in vars(module) if kind.endswith("hooks")]
            for module in model.modules()
        ],
    }
