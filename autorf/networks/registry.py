"""Build a model from its name."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from autorf.errors import InputError, a_type, near_names, shown
from autorf.networks.added_channels import with_added_channels
from autorf.networks.arguments import check_arguments, fitting_decoder, refused, smp_arguments, timm_arguments
from autorf.networks.checkpoint import load_weights
from autorf.networks.encoder_weights import load_encoder_weights
from autorf.networks.first_convolution import for_channels
from autorf.networks.given import given, with_weights
from autorf.networks.largefov import LargeFOV, feature_stage
from autorf.networks.multipath import MultiPath, numbered_paths
from autorf.networks.own import own_network
from autorf.networks.papers import check_paper_name, paper_network
from autorf.networks.place import place_of
from autorf.networks.spec import MODELS, ModelSpec
from autorf.networks.torchvision_networks import check_torchvision_name, torchvision_network
from autorf.networks.upsampling import upsample_last_stage
from autorf.networks.vgg import DilatedVGG
from autorf.networks.weights import fetching, one_line
from autorf.ops._arguments import kind_of, whole_number
from autorf.surgery.dry_run import CHANNELS

MOST_CLASSES, MOST_CHANNELS = 2**16, 4096


def build(spec: ModelSpec | str, classes: int | Sequence[str] = 21, channels: int | None = None) -> nn.Module:
    """The model that ``spec`` names, with random weights unless ``pretrained``.

    Args:
        spec: a :class:`ModelSpec` or just its name.
        classes: channels of the output, or the classes' names, by which ``paths`` may choose; ``timm:NAME``
            classifiers have as many classes.
        channels: of the images; None for 3. Of a library's network the first convolution is made for them, its
            published kernel repeated and scaled as timm does it; a ``python:`` network is built as ``args`` say.

    Raises:
        InputError: for an unknown name (with near names), options or arguments the model does not take, or weights
            that cannot be loaded.

    Examples:
        >>> import autorf, torch
        >>> model = autorf.build("largefov:resnet18", classes=5).eval()
        >>> model(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 5, 64, 64])
    """
    spec = ModelSpec(name=spec) if isinstance(spec, str) else spec
    if not isinstance(spec, ModelSpec):
        raise InputError(f"build takes a model's name or a ModelSpec, got {kind_of(spec)}")
    classes = _checked_classes(classes)
    if channels is not None:
        whole_number("build", "channels", channels, most=MOST_CHANNELS)
    family, _, rest = spec.name.partition(":")
    if spec.paths is not None:
        names = [] if isinstance(classes, int) else list(classes)
        spec = spec.model_copy(update={"paths": numbered_paths(spec.paths, names)})
    # Without a study, such as in autorf inspect, they may be given as the library calls them.
    channels = next((spec.args[name] for name in ("in_channels", "in_chans") if name in spec.args), channels)
    n_classes = classes if isinstance(classes, int) else len(classes)
    seen = (3 if channels is None else channels) - spec.added_channels
    if seen < 1:
        raise InputError(
            f"model.added_channels: {spec.added_channels} of the images' {seen + spec.added_channels} channels leave "
            "none with weights of the network's; give fewer"
        )
    if family in _BUILDERS:
        model = _BUILDERS[family](rest, spec, n_classes, seen)
    else:
        model = MODELS[family](rest, spec, n_classes)
    if not isinstance(model, nn.Module):
        raise InputError(f"model.name: {spec.name} built {a_type(model)}; a model is a torch.nn.Module")
    if spec.encoder_weights is not None:
        load_encoder_weights(model, spec.encoder_weights)
    if spec.added_channels:
        with_added_channels(model, spec.added_channels, spec.name)
    if spec.weights is not None:
        load_weights(model, spec.weights)
    _offer(model, spec)
    if channels is not None:
        vars(model)[CHANNELS] = channels
    return model


def _offer(model: nn.Module, spec: ModelSpec) -> None:
    """Have ``model`` offer the place that is written down for it, where it offers none of its own."""
    place = place_of(spec.network, spec.places or ())
    if place is None:
        return
    if place.targets and not hasattr(model, "receptive_field_layers"):
        vars(model)["receptive_field_layers"] = place.targets
    if place.region and not hasattr(model, "receptive_field_regions"):
        vars(model)["receptive_field_regions"] = (place.region,)


def _checked_classes(classes: Any) -> int | list[str]:
    """The number of classes, or their names.

    Raises:
        InputError: for anything else.
    """
    names = isinstance(classes, Sequence) and not isinstance(classes, str | bytes)
    if names and classes and all(isinstance(name, str) for name in classes):
        return list(classes)
    if names:
        raise InputError(f"build: classes must be a number or names, got {shown(classes)}")
    return whole_number("build", "classes", classes, most=MOST_CLASSES)


def check_name(spec: ModelSpec) -> None:
    """Raise ``InputError`` for a name that no model has, without building one."""
    family, _, rest = spec.name.partition(":")
    if family in ("largefov", "timm"):
        _check_timm_name(rest, spec)
    elif family == "smp":
        _smp_parts(rest)
    elif family == "torchvision":
        check_torchvision_name(rest)
    elif family == "paper":
        check_paper_name(rest)
    check_arguments(spec)


def _largefov(backbone: str, spec: ModelSpec, classes: int, image_channels: int) -> nn.Module:
    _check_timm_name(backbone, spec)
    features, channels = _backbone(backbone, spec, image_channels)
    dilations = spec.dilation if isinstance(spec.dilation, tuple) else (spec.dilation,)
    if spec.paths is not None:
        return MultiPath(
            features,
            channels,
            classes,
            [list(map(int, path)) for path in spec.paths],
            weight=spec.path_weight,
            dilations=dilations,
            kernel=spec.kernel,
            channels=spec.channels,
            head_norm=spec.head_norm,
            equal=spec.path_init == "equal",
        )
    return LargeFOV(
        features,
        channels,
        classes,
        kernel=spec.kernel,
        dilation=dilations[0],
        channels=spec.channels,
        head_norm=spec.head_norm,
    )


def _backbone(name: str, spec: ModelSpec, image_channels: int) -> tuple[nn.Module, int]:
    """The feature extractor for images of so many channels, and the channels of its last map."""
    if name.startswith("vgg") and spec.output_stride == 8:
        import timm

        if spec.stage is not None:
            raise InputError(
                f"model.stage: {name} at output_stride 8 is cut behind pool5, as in the paper; leave it out"
            )
        options = {"pretrained": spec.pretrained, "in_chans": image_channels, **spec.args}
        vgg = DilatedVGG(with_weights(lambda: timm.create_model(name, **options), spec), spec.upsample)
        return vgg, vgg.channels
    stages = len(_timm_features(name, spec, None, image_channels).feature_info)
    stage = feature_stage(spec.stage, stages, name)
    features = _timm_features(name, spec, (stage,), image_channels, pretrained=spec.pretrained)
    channels: int = features.feature_info.channels()[-1]
    if spec.upsample > 1:
        upsample_last_stage(features, stage, spec.upsample, name)
    return features, channels


def _timm_features(
    name: str, spec: ModelSpec, stages: tuple[int, ...] | None, image_channels: int, *, pretrained: bool = False
) -> Any:
    import timm
    import torch

    check_arguments(spec)
    options: dict[str, Any] = {"in_chans": image_channels, **spec.args}
    if stages is not None:
        options["out_indices"] = stages
    if spec.output_stride is not None:
        options["output_stride"] = spec.output_stride
    try:
        if stages is None:
            with torch.device("meta"):
                return timm.create_model(name, features_only=True, **options)
        return with_weights(lambda: timm.create_model(name, pretrained=pretrained, features_only=True, **options), spec)
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, NotImplementedError) as error:
        if spec.args:
            raise refused(spec, error, timm_arguments(name)) from None
        raise InputError(f"model.name: timm's {name} cannot be cut into feature stages: {one_line(error)}") from None


def _timm(name: str, spec: ModelSpec, classes: int, channels: int) -> nn.Module:
    import timm

    _check_timm_name(name, spec)
    check_arguments(spec)
    options: dict[str, Any] = {"in_chans": channels, **spec.args}
    if spec.output_stride is not None:
        options["output_stride"] = spec.output_stride
    return given(
        lambda: timm.create_model(name, pretrained=spec.pretrained, num_classes=classes, **options),
        spec,
        lambda: timm_arguments(name),
    )


def _smp(rest: str, spec: ModelSpec, classes: int, channels: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    architecture, encoder = _smp_parts(rest)
    check_arguments(spec)
    options = {"in_channels": channels, **fitting_decoder(spec)}
    if spec.output_stride is not None:
        if architecture not in ("DeepLabV3", "DeepLabV3Plus", "PAN"):
            raise InputError(f"model.output_stride: smp's {architecture} has none; DeepLabV3, DeepLabV3Plus and PAN do")
        options["encoder_output_stride"] = spec.output_stride
    weights = _smp_weights(encoder) if spec.pretrained else None
    make = getattr(smp, architecture)
    try:
        return given(
            lambda: make(encoder, encoder_weights=weights, classes=classes, **options),
            spec,
            lambda: smp_arguments(spec),
        )
    except (KeyError, ValueError, RuntimeError, NotImplementedError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"model.name: smp's {architecture} does not take the encoder {encoder}: {one_line(error)}"
        ) from None


def _smp_weights(encoder: str) -> str | bool:
    """Which of the encoder's published weights to take: ImageNet's, where there are some."""
    from segmentation_models_pytorch.encoders import encoders

    if encoder.startswith("tu-"):
        return True
    published = list(encoders[encoder]["pretrained_settings"])
    return "imagenet" if "imagenet" in published else str(published[0])


def _hf(name: str, spec: ModelSpec, classes: int, channels: int) -> nn.Module:
    try:
        from transformers import AutoConfig, AutoModelForSemanticSegmentation
    except ImportError:
        raise InputError("model.name: hf: models need the extra: pip install 'autorf-torch[hf]'") from None

    check_arguments(spec)

    def make() -> nn.Module:
        config, unknown = AutoConfig.from_pretrained(name, num_labels=classes, return_unused_kwargs=True, **spec.args)
        for argument in unknown:
            near = near_names(argument, config.to_dict())
            raise InputError(f"model.args.{argument}: the configuration of {spec.name} has no such key{near}")
        _set_channels(config, channels, spec.name)
        if spec.pretrained:
            model = AutoModelForSemanticSegmentation.from_pretrained(
                name, config=config, ignore_mismatched_sizes=True, use_safetensors=True
            )
        else:
            model = AutoModelForSemanticSegmentation.from_config(config)
        assert isinstance(model, nn.Module)
        return model

    what = f"{'weights' if spec.pretrained else 'configuration'} of {spec.name}"
    return fetching(make, what, field="model.name", repair="give the folder of a saved model")


def _set_channels(config: Any, channels: int, name: str) -> None:
    """Have a configuration of transformers, or that of its backbone, say how many channels images have."""
    for part in (config, getattr(config, "backbone_config", None)):
        if part is not None and hasattr(part, "num_channels"):
            part.num_channels = channels
            return
    if channels != 3:
        raise InputError(f"data.channels: the configuration of {name} has no num_channels; it sees 3 channels")


def _paper(name: str, spec: ModelSpec, classes: int, channels: int) -> nn.Module:
    if spec.output_stride is not None:
        raise InputError(f"model.output_stride: {spec.name} has the paper's own; leave it out")
    check_arguments(spec)
    model = with_weights(lambda: paper_network(name, classes, pretrained=spec.pretrained), spec)
    return for_channels(model, channels, published=spec.pretrained)


def _own(_: str, spec: ModelSpec, classes: int, __: int) -> nn.Module:
    return own_network(spec, classes)


_BUILDERS: dict[str, Callable[[str, ModelSpec, int, int], nn.Module]] = {
    "largefov": _largefov,
    "timm": _timm,
    "smp": _smp,
    "torchvision": torchvision_network,
    "hf": _hf,
    "paper": _paper,
    "python": _own,
}


def _check_timm_name(name: str, spec: ModelSpec) -> None:
    import timm

    if not timm.is_model(name.partition(".")[0]):
        raise InputError(f"model.name: timm has no model {name!r}{near_names(name, timm.list_models())}")
    if spec.pretrained and not timm.models.is_model_pretrained(name.partition(".")[0]):
        raise InputError(f"model.pretrained: timm publishes no weights for {name}; set pretrained: false")


def _smp_parts(rest: str) -> tuple[str, str]:
    import segmentation_models_pytorch as smp
    import timm

    architecture, _, encoder = rest.partition(":")
    architectures = {model.__name__ for model in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    if architecture not in architectures:
        raise InputError(
            f"model.name: smp has no architecture {architecture!r}{near_names(architecture, architectures)}"
        )
    encoders = smp.encoders.get_encoder_names()
    if encoder.startswith("tu-"):
        if not timm.is_model(encoder[3:].partition(".")[0]):
            raise InputError(
                f"model.name: timm has no model {encoder[3:]!r}{near_names(encoder[3:], timm.list_models())}"
            )
    elif encoder not in encoders:
        raise InputError(f"model.name: smp has no encoder {encoder!r}{near_names(encoder, encoders)}")
    return architecture, encoder
