"""The papers' head on any timm backbone."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError


class LargeFOV(nn.Module):
    """A backbone, batch norm, conv6 (the receptive-field knob), conv7 1x1, output 1x1, bilinear to the input's size.

    Paper: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, Table 1.

    Args:
        backbone: maps ``(N, 3, H, W)`` to a list of maps; the last one is used.
        in_channels: channels of that map.
        classes: number of classes, the channels of the output.
        kernel: side of conv6.
        dilation: of conv6.
        channels: of conv6 and conv7.
        head_norm: whether batch norm follows conv6 and conv7; the papers have none there.
    """

    receptive_field_layers = ("head.conv6",)
    receptive_field_regions = (("head.conv6", "head.output"),)

    def __init__(
        self,
        backbone: nn.Module,
        in_channels: int,
        classes: int,
        *,
        kernel: int = 3,
        dilation: int = 1,
        channels: tuple[int, int] = (256, 256),
        head_norm: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        layers = large_fov_head(in_channels, classes, kernel, dilation, channels, head_norm)
        self.head = nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(in_channels), **layers))

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes, H, W)`` for ``image (N, 3, H, W)``."""
        scores = self.head(last_map(self.backbone, image))
        return functional.interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)


def last_map(backbone: nn.Module, image: Tensor) -> Tensor:
    """The last of the maps that ``backbone`` gives, ``(N, C, h, w)``; some of timm's give ``(N, h, w, C)``."""
    last: Tensor = backbone(image)[-1]
    return last.permute(0, 3, 1, 2) if getattr(backbone, "output_fmt", "NCHW") == "NHWC" else last


def large_fov_head(
    in_channels: int, classes: int, kernel: int, dilation: int, channels: tuple[int, int], norm: bool
) -> dict[str, nn.Module]:
    """conv6 (the knob), conv7 1x1 and output 1x1 with their activations, by name."""
    return {
        "conv6": same_convolution(in_channels, channels[0], kernel, dilation),
        "relu6": _activation(channels[0], norm),
        "conv7": nn.Conv2d(channels[0], channels[1], 1),
        "relu7": _activation(channels[1], norm),
        "output": nn.Conv2d(channels[1], classes, 1),
    }


def _activation(channels: int, norm: bool) -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()) if norm else nn.ReLU()


def same_convolution(in_channels: int, out_channels: int, kernel: int, dilation: int) -> nn.Conv2d:
    """A dilated convolution that keeps the map's size; an even kernel pads one pixel more at the end where it must."""
    if kernel % 2:
        return nn.Conv2d(in_channels, out_channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    from timm.layers.conv2d_same import Conv2dSame

    layer = Conv2dSame(in_channels, out_channels, kernel, dilation=dilation)
    assert isinstance(layer, nn.Conv2d)
    return layer


def feature_stage(stage: int | None, available: int, backbone: str) -> int:
    """The stage to cut at, the last where none is given.

    Raises:
        InputError: when the backbone has no such stage.
    """
    if stage is None:
        return available - 1
    if stage >= available:
        raise InputError(f"model.stage: {backbone} has stages 0..{available - 1}, got {stage}")
    return stage
