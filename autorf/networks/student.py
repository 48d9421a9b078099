"""The student of Wei et al. 2019: a light network that keeps the receptive field of a VGG-16 teacher."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

FIRST_CHANNELS = 64
"""Of conv1_1 and conv1_2."""

CHANNELS = (64, 96, 192, 256, 480, 480)
"""Of conv2 to conv7."""

DILATIONS = (1, 1, 1, 2, 3, 1)
"""Of the same; 1, 2, 3 in conv4 to conv6 leave no position out (hybrid dilated convolution)."""

LAST_CHANNELS = 720
"""Of conv8, which has dropout."""


class Student(nn.Module):
    """A single path: the first two convolutions of VGG-16, six with batch norm and PReLU, and two 1x1.

    ``encoder_weights`` of any VGG-16, and a trained teacher's file too, fill the first two convolutions, which the
    paper copies from the teacher; all other weights are drawn. Every convolution but the last two is followed by a 3x3
    max pooling with padding 1, so any input size is taken.

    Table IX and section V-A of the paper differ in the second pooling: the text has strides at pool1 and pool3 alone,
    the table at pool2 too. With the text's the field is 111 pixels of its input, 0.434 of 256 pixels, which is the
    0.445 of the paper's teacher (228 pixels, halved by an up-sampling), and the speed fits; the table's has 207.

    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, Table IX.

    Args:
        classes: channels of the output.
        pool2_stride: 1 as in section V-A, or 2 as in Table IX.
    """

    receptive_field_layers = ("conv4.conv", "conv5.conv", "conv6.conv")
    receptive_field_regions = (("conv4.conv", "output"),)

    def __init__(self, classes: int, *, pool2_stride: int = 1) -> None:
        super().__init__()
        # conv1_1 and conv1_2, named as in files of VGG-16.
        self.features = nn.Sequential(
            nn.Conv2d(3, FIRST_CHANNELS, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(FIRST_CHANNELS, FIRST_CHANNELS, 3, padding=1),
            nn.ReLU(),
        )
        self.pool1 = _pool(2)
        strides = (pool2_stride, 2, 1, 1, 1, 1)
        before = FIRST_CHANNELS
        for number, (width, dilation, stride) in enumerate(zip(CHANNELS, DILATIONS, strides, strict=True), 2):
            self.add_module(f"conv{number}", _convolution(before, width, dilation))
            self.add_module(f"pool{number}", _pool(stride))
            before = width
        self.conv8 = nn.Sequential(nn.Conv2d(before, LAST_CHANNELS, 1), nn.ReLU(), nn.Dropout())
        self.output = nn.Conv2d(LAST_CHANNELS, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes, H, W)`` for ``image (N, 3, H, W)``."""
        scores = image
        for layer in self.children():
            scores = layer(scores)
        return functional.interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)


def _pool(stride: int) -> nn.Module:
    return nn.MaxPool2d(3, stride, padding=1)


def _convolution(in_channels: int, out_channels: int, dilation: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False),
            norm=nn.BatchNorm2d(out_channels),
            act=nn.PReLU(out_channels),
        )
    )
