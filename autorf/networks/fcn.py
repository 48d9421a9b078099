"""Fully convolutional networks of the per-pixel papers: on a dilated ResNet, and FCN-32s and FCN-8s on VGG-16."""

from torch import Tensor, nn
from torch.nn import functional


class DilatedFCN(nn.Module):
    """A backbone whose last map a 3x3 classifier turns into scores, bilinear to the image's size.

    With timm's ResNet-101 at stride 8 it is the baseline of Zhang et al., *Scale-adaptive convolutions for scene
    parsing*, ICCV 2017, section 4.1; the classifier is the layer that its SAC-single changes.

    Args:
        backbone: maps ``(N, 3, H, W)`` to a list of maps; the last one is used.
        in_channels: channels of that map.
        classes: channels of the output.
    """

    receptive_field_layers = ("classifier",)

    def __init__(self, backbone: nn.Module, in_channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Conv2d(in_channels, classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes, H, W)`` for ``image (N, 3, H, W)``."""
        scores = self.classifier(self.backbone(image)[-1])
        return functional.interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)


class SkipFCN(nn.Module):
    """FCN-32s, or FCN-8s with the maps of pool3 and pool4 added, on a VGG whose classifier became convolutions.

    Keys of ``features`` and ``pre_logits`` are those of timm's checkpoints. fc6 keeps the map's size, where the
    original padded the image by 100 pixels; sums are resized bilinearly, where the original began its transposed
    convolutions so. Papers: Long et al., *Fully convolutional networks for semantic segmentation*, CVPR 2015; PAD-Nets
    2020 changes the three convolutions of conv5.

    Args:
        vgg: a model of timm's VGG family.
        classes: channels of the output.
        skips: whether to add the scores of pool4 and pool3 (FCN-8s).
    """

    def __init__(self, vgg: nn.Module, classes: int, *, skips: bool) -> None:
        super().__init__()
        features, classifier = vgg.features, vgg.pre_logits
        assert isinstance(features, nn.Sequential)
        assert isinstance(classifier, nn.Module)
        self.features = features
        self.pools = [index for index, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
        self.pre_logits = nn.Sequential()
        for name, layer in classifier.named_children():
            self.pre_logits.add_module(name, layer)
        first = self.pre_logits.fc1
        assert isinstance(first, nn.Conv2d)
        first.padding = (first.kernel_size[0] // 2, first.kernel_size[1] // 2)
        convolutions = [index for index, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
        self.receptive_field_layers = tuple(f"features.{i}" for i in convolutions if i > self.pools[3])
        last = self.pre_logits.fc2
        assert isinstance(last, nn.Conv2d)
        self.score = nn.Conv2d(last.out_channels, classes, 1)
        self.skip_scores = nn.ModuleDict()
        if skips:
            before = {"pool4": convolutions[-4], "pool3": max(i for i in convolutions if i < self.pools[2])}
            for name, index in before.items():
                layer = features[index]
                assert isinstance(layer, nn.Conv2d)
                self.skip_scores[name] = nn.Conv2d(layer.out_channels, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, classes, H, W)`` for ``image (N, 3, H, W)``."""
        maps = self._pooled(image)
        scores = self.score(self.pre_logits(maps["pool5"]))
        for name, layer in self.skip_scores.items():
            scores = _resized(scores, maps[name]) + layer(maps[name])
        return _resized(scores, image)

    def _pooled(self, image: Tensor) -> dict[str, Tensor]:
        maps, value = {}, image
        for index, layer in enumerate(self.features):
            value = layer(value)
            if index in self.pools:
                maps[f"pool{self.pools.index(index) + 1}"] = value
        return maps


def _resized(scores: Tensor, like: Tensor) -> Tensor:
    resized: Tensor = functional.interpolate(scores, size=like.shape[2:], mode="bilinear", align_corners=False)
    return resized
