"""Dilated residual networks, arrangement D, and DeepLabV3+ on them.

Paper: Yu, Koltun, Funkhouser, *Dilated residual networks*, CVPR 2017.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (16, 32, 64, 128, 256, 512, 512, 512)
EXPANSION = 4
"""Output channels of a bottleneck over its width."""


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the 3x3 has the stride and the dilation."""

    def __init__(self, in_channels: int, width: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, input: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, 4 width, H / stride, W / stride)``."""
        value = functional.relu(self.bn1(self.conv1(input)))
        value = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(value)))))
        shortcut = input if self.downsample is None else self.downsample(input)
        return functional.relu(value + shortcut)


class DRN(nn.Module):
    """A residual network of stride 8 that ends without shortcuts, against the gridding of dilation.

    Keys are those of the published checkpoints (``layer0.0.weight``, ``layer3.0.conv1.weight``, ``fc.weight``).

    Args:
        blocks: how many of each of the eight layers; DRN-D-54 has ``(1, 1, 3, 4, 6, 3, 1, 1)``.
        classes: channels of the classifier.
    """

    receptive_field_layers = ("layer7.0", "layer8.0")

    def __init__(self, blocks: Sequence[int] = (1, 1, 3, 4, 6, 3, 1, 1), classes: int = 1000) -> None:
        super().__init__()
        wide = [EXPANSION * width for width in CHANNELS]
        self.layer0 = nn.Sequential(
            nn.Conv2d(3, CHANNELS[0], 7, padding=3, bias=False), nn.BatchNorm2d(CHANNELS[0]), nn.ReLU()
        )
        self.layer1 = _convolutions(CHANNELS[0], CHANNELS[0], blocks[0])
        self.layer2 = _convolutions(CHANNELS[0], CHANNELS[1], blocks[1], stride=2)
        self.layer3 = _bottlenecks(CHANNELS[1], CHANNELS[2], blocks[2], stride=2)
        self.layer4 = _bottlenecks(wide[2], CHANNELS[3], blocks[3], stride=2)
        self.layer5 = _bottlenecks(wide[3], CHANNELS[4], blocks[4], dilation=2)
        self.layer6 = _bottlenecks(wide[4], CHANNELS[5], blocks[5], dilation=4)
        self.layer7 = _convolutions(wide[5], CHANNELS[6], blocks[6], dilation=2)
        self.layer8 = _convolutions(CHANNELS[6], CHANNELS[7], blocks[7])
        self.fc = nn.Conv2d(CHANNELS[7], classes, 1)

    def features(self, image: Tensor) -> list[Tensor]:
        """The maps of stride 1, 2, 4 and 8; the last one is layer8's."""
        first = self.layer1(self.layer0(image))
        second = self.layer2(first)
        third = self.layer3(second)
        last = self.layer8(self.layer7(self.layer6(self.layer5(self.layer4(third)))))
        return [first, second, third, last]

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes)``."""
        scores: Tensor = self.fc(self.features(image)[-1].mean((2, 3), keepdim=True))
        return scores.flatten(1)


class DeepLabV3PlusDRN(nn.Module):
    """SMP's DeepLabV3+ decoder and head on a :class:`DRN`, whose stride is 8.

    Args:
        encoder: the network; its classifier is not used.
        classes: channels of the output.
    """

    receptive_field_layers = ("encoder.layer7.0", "encoder.layer8.0")

    def __init__(self, encoder: DRN, classes: int) -> None:
        super().__init__()
        from segmentation_models_pytorch.base import SegmentationHead
        from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

        self.encoder = encoder
        del encoder.fc
        self.decoder = DeepLabV3PlusDecoder(
            encoder_channels=(CHANNELS[0], CHANNELS[1], EXPANSION * CHANNELS[2], CHANNELS[7]),
            encoder_depth=3,
            out_channels=256,
            atrous_rates=(12, 24, 36),
            output_stride=8,
            aspp_separable=True,
            aspp_dropout=0.5,
        )
        self.segmentation_head = SegmentationHead(256, classes, kernel_size=1, upsampling=4)

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes, H, W)`` for ``image (N, 3, H, W)``, H and W divisible by 8."""
        scores: Tensor = self.segmentation_head(self.decoder(self.encoder.features(image)))
        return scores


def _convolutions(in_channels: int, channels: int, count: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(count):
        source, step = (in_channels, stride) if index == 0 else (channels, 1)
        convolution = nn.Conv2d(source, channels, 3, step, padding=dilation, dilation=dilation, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers)


def _bottlenecks(in_channels: int, width: int, count: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    first = Bottleneck(in_channels, width, stride=stride, dilation=dilation)
    others = (Bottleneck(EXPANSION * width, width, dilation=dilation) for _ in range(count - 1))
    return nn.Sequential(first, *others)
