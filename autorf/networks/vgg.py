"""VGG as the papers use it: stride 8, with the weights of the usual VGG."""

from torch import Tensor, nn

from autorf.errors import InputError, a_type


class DilatedVGG(nn.Module):
    """timm's VGG up to pool5 at stride 8: pool4 and pool5 do not stride, conv5 is dilated by 2.

    With VGG-16 the receptive field is 212 pixels, as of the original up to pool5. ``state_dict`` keys are those of
    timm's checkpoints (``features.0.weight``, ...).
    Paper: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, Table 1. Its pools
    pad by one pixel on all sides; here pool1 to pool3 do not pad, so that the map stays aligned with the image.

    Args:
        vgg: a model of timm's VGG family; its classifier is dropped.
        upsample: how many times the map in front of conv5_1 is enlarged, each pixel repeated; 2 in the networks for
            Helen of Wei et al., *Accurate facial image parsing at real-time speed*, 2019, section VI-B.
    """

    def __init__(self, vgg: nn.Module, upsample: int = 1) -> None:
        super().__init__()
        features = getattr(vgg, "features", None)
        if not isinstance(features, nn.Sequential):
            raise InputError(f"DilatedVGG needs a VGG with its layers in 'features', got {a_type(vgg)}")
        self.features = features
        self.channels = [layer.out_channels for layer in features if isinstance(layer, nn.Conv2d)][-1]
        pools = [index for index, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
        fourth, fifth = pools[3], pools[4]
        # A window of two reads one pixel beyond the end; zero never wins behind a ReLU.
        enlarged = [nn.Upsample(scale_factor=float(upsample), mode="nearest")] if upsample > 1 else []
        features[fourth] = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, stride=1), *enlarged)
        self.reduction = 8 // upsample
        features[fifth] = nn.MaxPool2d(3, stride=1, padding=1)
        for layer in features[fourth + 1 : fifth]:
            if isinstance(layer, nn.Conv2d):
                layer.dilation = layer.padding = (2, 2)

    def forward(self, image: Tensor) -> list[Tensor]:
        """The map behind pool5, ``(N, 512, H / reduction, W / reduction)``, alone in a list as timm's extractors do."""
        return [self.features(image)]
