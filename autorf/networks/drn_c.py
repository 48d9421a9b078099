"""Dilated residual networks, arrangement C: residual blocks throughout, and two without shortcuts at the end.

Paper: Yu, Koltun, Funkhouser, *Dilated residual networks*, CVPR 2017.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from autorf.networks.drn import CHANNELS


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the first has the stride.

    Args:
        in_channels: of the input.
        channels: of the output.
        stride: of the first convolution.
        dilation: of both convolutions.
        residual: whether the input is added to the output. The last blocks of the network have no shortcut, against the
            gridding of dilation.
    """

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, dilation: int = 1, residual: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.residual = residual
        self.downsample: nn.Sequential | None = None
        if residual and (stride != 1 or in_channels != channels):
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, input: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, channels, H / stride, W / stride)``."""
        value = functional.relu(self.bn1(self.conv1(input)))
        value = self.bn2(self.conv2(value))
        if self.residual:
            value = value + (input if self.downsample is None else self.downsample(input))
        return functional.relu(value)


class DRNC(nn.Module):
    """A residual network of stride 8 that classifies pictures: a stem of 7x7, eight layers, the mean over positions.

    Keys are those of the published checkpoints (``conv1.weight``, ``layer3.0.conv1.weight``, ``fc.weight``).

    Args:
        blocks: how many each of the eight layers has; DRN-C-26 has ``(1, 1, 2, 2, 2, 2, 1, 1)``.
        classes: channels of the classifier.

    Examples:
        >>> import torch
        >>> network = DRNC(classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        21126584
    """

    receptive_field_layers = ("layer8.0.conv1", "layer8.0.conv2")

    def __init__(self, blocks: Sequence[int] = (1, 1, 2, 2, 2, 2, 1, 1), classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.layer1 = _layer(CHANNELS[0], CHANNELS[0], blocks[0])
        self.layer2 = _layer(CHANNELS[0], CHANNELS[1], blocks[1], stride=2)
        self.layer3 = _layer(CHANNELS[1], CHANNELS[2], blocks[2], stride=2)
        self.layer4 = _layer(CHANNELS[2], CHANNELS[3], blocks[3], stride=2)
        self.layer5 = _layer(CHANNELS[3], CHANNELS[4], blocks[4], dilation=2)
        self.layer6 = _layer(CHANNELS[4], CHANNELS[5], blocks[5], dilation=4)
        self.layer7 = _layer(CHANNELS[5], CHANNELS[6], blocks[6], dilation=2, residual=False)
        self.layer8 = _layer(CHANNELS[6], CHANNELS[7], blocks[7], residual=False)
        self.fc = nn.Conv2d(CHANNELS[7], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes)`` of ``image (N, 3, H, W)``."""
        value = functional.relu(self.bn1(self.conv1(image)))
        value = self.layer4(self.layer3(self.layer2(self.layer1(value))))
        value = self.layer8(self.layer7(self.layer6(self.layer5(value))))
        scores: Tensor = self.fc(value.mean((2, 3), keepdim=True))
        return scores.flatten(1)


def _layer(
    in_channels: int, channels: int, count: int, *, stride: int = 1, dilation: int = 1, residual: bool = True
) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride=stride, dilation=dilation, residual=residual)
    others = (BasicBlock(channels, channels, dilation=dilation, residual=residual) for _ in range(count - 1))
    return nn.Sequential(first, *others)
