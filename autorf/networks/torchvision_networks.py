"""Networks of torchvision: those that segment, and those that classify whole pictures."""

from typing import Any

from torch import Tensor, nn

from autorf.errors import InputError, near_names
from autorf.networks.arguments import check_arguments
from autorf.networks.first_convolution import for_channels
from autorf.networks.given import given
from autorf.networks.spec import ModelSpec


def torchvision_network(name: str, spec: ModelSpec, classes: int, channels: int) -> nn.Module:
    """The network ``torchvision:NAME``.

    Of published weights a segmentation network takes its backbone's, and a classifier all but those of its last layer,
    where that has other classes than ImageNet's.

    Raises:
        InputError: for another name, arguments that it does not take, or weights that cannot be had.
    """
    from torchvision.models import get_model

    check_torchvision_name(name)
    check_arguments(spec)
    if name in segmenters():
        weights = "DEFAULT" if spec.pretrained else None
        model = given(
            lambda: get_model(name, weights=None, weights_backbone=weights, num_classes=classes, **spec.args), spec
        )
    else:
        model = given(lambda: _classifier(name, spec, classes), spec)
    return for_channels(model, channels, published=spec.pretrained)


def _classifier(name: str, spec: ModelSpec, classes: int) -> nn.Module:
    from torchvision.models import get_model, get_model_weights

    options: dict[str, Any] = dict(spec.args)
    if name in ("googlenet", "inception_v3"):
        # Otherwise they warn that their way of drawing weights will change.
        options.setdefault("init_weights", False)
    model: nn.Module = get_model(name, weights=None, num_classes=classes, **options)
    if spec.pretrained:
        _load(model, get_model_weights(name).DEFAULT.get_state_dict(progress=False), name)
    return model


def _load(model: nn.Module, published: dict[str, Tensor], name: str) -> None:
    """Published weights, but those of a layer that has other classes.

    Raises:
        InputError: where more than the layer of the classes does not fit.
    """
    own = model.state_dict()
    fitting = {key: value for key, value in published.items() if key in own and own[key].shape == value.shape}
    lacking = {key.rpartition(".")[0] for key in own if key not in fitting}
    heads = {layer for layer in lacking if not layer.startswith(("aux", "AuxLogits"))}
    if len(heads) > 1:
        raise InputError(
            f"model.args: the published weights of torchvision:{name} do not fit {', '.join(sorted(heads)[:3])}; leave "
            "the arguments out, or set pretrained: false"
        )
    model.load_state_dict(fitting, strict=False)


def check_torchvision_name(name: str) -> None:
    """Raise ``InputError`` for a name that none of these networks has, with near names."""
    from torchvision import models
    from torchvision.models import list_models

    of_pixels = segmenters()
    names = [*of_pixels, *list_models(models)]
    if name not in names:
        raise InputError(
            f"model.name: torchvision has no model {name!r} that segments or classifies{near_names(name, names)}; "
            f"{', '.join(of_pixels)} segment"
        )


def segmenters() -> list[str]:
    """The names of those that segment."""
    from torchvision.models import list_models, segmentation

    return list_models(segmentation)
