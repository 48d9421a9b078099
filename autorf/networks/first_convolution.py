"""The first convolution of a network, made for images of other channels."""

from torch import nn

from autorf.networks.encoder_weights import adapted_to


def for_channels(model: nn.Module, channels: int, *, published: bool) -> nn.Module:
    """``model``, its first convolution for images of so many channels.

    Args:
        model: that sees three channels; changed in place.
        channels: of the images.
        published: whether its weights are; the kernel is then repeated and scaled as timm does it, else drawn anew.
    """
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    if channels != first.in_channels:
        first.in_channels = channels
        first.weight = nn.Parameter(adapted_to(first.weight.detach(), channels).contiguous())
        if not published:
            first.reset_parameters()
    return model
