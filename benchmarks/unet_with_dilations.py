"""An ordinary U-Net, three layers of which have dilations of their own, for a study's ``model.name: python:...``."""

from collections.abc import Sequence

import segmentation_models_pytorch as smp
import torch
from torch import nn

LAYERS = ("layer2.0.conv2", "layer2.1.conv1", "layer2.1.conv2")


def build(n_classes: int, rates: Sequence[int] = (1, 1, 1), channels_last: bool = False) -> nn.Module:
    """SMP's U-Net of depth 3 on a ResNet-18, random weights.

    Args:
        n_classes: of its maps.
        rates: the dilations of ``LAYERS``.
        channels_last: whether its weights, and so its maps, lie in memory with the channels last.
    """
    network = smp.Unet(
        "resnet18", encoder_depth=3, encoder_weights=None, decoder_channels=(64, 32, 16), classes=n_classes
    )
    for name, rate in zip(LAYERS, rates, strict=True):
        layer = network.encoder.get_submodule(name)
        layer.dilation, layer.padding = (rate, rate), (rate, rate)
    return network.to(memory_format=torch.channels_last) if channels_last else network
