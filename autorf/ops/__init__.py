"""Receptive-field operators: pure functions on maps ``(N, C, H, W)``, stride 1, output as large as the input."""

from autorf.ops.blended_dilation import blended_dilated_conv2d
from autorf.ops.inflation import inflate, interpolate
from autorf.ops.pixel_adaptive import pixel_adaptive_conv2d
from autorf.ops.scale_adaptive import scale_adaptive_conv2d
from autorf.ops.windowed_dilation import windowed_dilated_conv2d

__all__ = [
    "blended_dilated_conv2d",
    "inflate",
    "interpolate",
    "pixel_adaptive_conv2d",
    "scale_adaptive_conv2d",
    "windowed_dilated_conv2d",
]
