"""A fixed up-sampling in front of a backbone's last stage, for images on which dilation 1 sees too much."""

from torch import nn

from autorf.errors import InputError


def upsample_last_stage(features: nn.Module, stage: int, factor: int, backbone: str) -> None:
    """Enlarge the map in front of the last stage of a timm feature extractor, each pixel repeated; in place.

    What follows reaches ``factor`` times less far in the image, so that the receptive field grows so many times less
    from there on. Keys of the state stay what they are. Paper: Wei et al., *Accurate facial image parsing at real-time
    speed*, 2019, section III-A: the map in front of conv5_1, twice.

    Args:
        features: cut at ``stage``.
        stage: of the backbone, from 0; the last one that runs.
        factor: by which both sides of the map grow.
        backbone: its name, for messages.

    Raises:
        InputError: where no stage precedes the last one, or its place is not known.
    """
    place = f"model.upsample: {backbone}"
    if stage == 0:
        raise InputError(f"{place} at stage 0 has no earlier stage whose map could be enlarged; leave upsample out")
    before = str(features.feature_info.info[stage - 1]["module"])  # type: ignore[union-attr,index]
    names = [
        name for name in (before, before.replace(".", "_")) if isinstance(features, nn.ModuleDict) and name in features
    ]
    if not names:
        raise InputError(
            f"{place}: where its last stage begins is not known; leave upsample out, or take a resnet or vgg"
        )
    assert isinstance(features, nn.ModuleDict)
    # The stages run in the order in which they are held.
    stages = list(features.items())
    features.clear()
    for name, module in stages:
        features[name] = module
        if name == names[0]:
            features["upsample"] = nn.Upsample(scale_factor=float(factor), mode="nearest")
