"""A network of one's own: autorf search examples/own_code/study.yaml builds it."""

from torch import Tensor, nn


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


class Net(nn.Module):
    def __init__(self, n_classes: int, width: int) -> None:
        super().__init__()
        self.stem = block(4, width)
        self.body = nn.Sequential(block(width, width), block(width, width))
        self.head = nn.Conv2d(width, n_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(self.stem(image)))
        return scores


def build(n_classes: int, width: int = 8) -> Net:
    return Net(n_classes, width)
