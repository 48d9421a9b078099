"""A YOLO backbone with a segmentation head, for a study file: `model: {name: "python:./net.py:build"}`.

Needs `pip install ultralytics`, whose licence (AGPL-3.0) is its own. Not run by the tests, which do not install it.
"""

from torch import Tensor, nn
from torch.nn import functional


class YoloSegmentation(nn.Module):
    """The layers of a YOLO up to its stride-32 map, and a head whose first convolution, `head.0`, is searched."""

    def __init__(self, classes: int, layers: int = 9) -> None:
        from ultralytics.nn.tasks import DetectionModel

        super().__init__()
        self.backbone = DetectionModel("yolov8n.yaml", verbose=False).model[:layers]
        channels = self.backbone[-1].cv2.conv.out_channels
        self.head = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, classes, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        scores = self.head(self.backbone(image))
        return functional.interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)


def build(classes: int) -> nn.Module:
    return YoloSegmentation(classes)
