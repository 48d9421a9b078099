"""How a study names its model."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from autorf import plugins
from autorf.errors import near_names
from autorf.networks.place import Place
from autorf.own_code.reference import parse_reference
from autorf.specification import (
    Before,
    ClassNumber,
    NoBool,
    PositiveFloat,
    PositiveInt,
    Several,
    Specification,
    WholeNumber,
)

FAMILIES = ("largefov", "smp", "timm", "torchvision", "hf", "paper", "python")

MODELS: plugins.Registry[Callable[[str, "ModelSpec", int], Any]] = plugins.Registry(
    plugins.MODELS, "model family", FAMILIES, lambda _, build: None if callable(build) else "cannot be called"
)
"""Families of models that packages add: ``(REST, spec, n_classes) -> nn.Module`` for the name ``FAMILY:REST``.

The module returns class scores ``(N, n_classes, H, W)``; ``spec`` is the study's, whose fields it may heed. A module
that offers layers or regions to methods without ``targets`` says so in its attributes ``receptive_field_layers`` and
``receptive_field_regions``.
"""


class ModelSpec(Specification):
    """A model by name, and how its head is cut.

    Attributes:
        name: ``largefov:BACKBONE`` (a timm backbone with the papers' head), ``smp:ARCH:ENCODER``, ``timm:NAME``,
            ``torchvision:NAME``, ``hf:NAME`` or ``paper:NAME`` (the papers' networks);
            ``python:./net.py:build`` or ``python:package.module:build`` for a network of your own, called as
            ``build(n_classes, **args)``; or a family that an installed package adds, such as ``theirs:SIZE`` or just
            ``theirs``.
        pretrained: load the backbone's published weights; needs a network the first time.
        weights: a checkpoint of the whole model to begin with, such as a trained baseline; what trainers
            put in front of names (``module.``, ``_orig_mod.``, ``model.``) is taken off; see
            :func:`autorf.networks.checkpoint.load_weights`.
        encoder_weights: a file of the encoder's weights, such as a classifier of pictures, safetensors or what
            ``torch.save`` wrote without code in it; see
            :func:`autorf.networks.encoder_weights.load_encoder_weights`.
        args: further arguments of the network's constructor by name, such as SMP's ``encoder_depth`` or timm's
            ``drop_path_rate``; as ``model.args.NAME`` they may be axes of a search space. SMP's ``encoder_depth`` cuts
            ``decoder_channels`` to the resolutions that are left, where these are not given.
        stage: ``largefov``: the backbone's feature stage to cut at, from 0; None for the last.
        output_stride: limit the backbone's stride to 8 or 16 by dilating later stages, where the backbone can.
        kernel: ``largefov``: side of conv6's kernel; the papers use 4 (Helen) and 3 (VOC).
        dilation: ``largefov``: conv6's dilation before any method changes it; with ``paths``, one for all or one each.
        channels: ``largefov``: channels of conv6 and conv7.
        head_norm: ``largefov``: batch norm behind conv6 and conv7 too, which trains faster from random weights.
        paths: ``largefov``: for each of several parallel heads the classes, by name or number, whose gradient it
            weights; an empty list for a head without preference. None for a single head.
        path_weight: the weight of the gradient at those pixels; 1.2 in the paper.
        path_init: ``paths``: whether the heads begin with ``equal`` weights, as the paper's copies do, so that their
            label sets alone make them differ, or with weights ``drawn`` for each.
        added_channels: how many of the images' channels, the last ones, have weights of their own that begin at 0 and
            learn by 100 times the rate, while the others have the weights that there are: 1 for a map of landmarks
            (``data.landmarks.heat_map``), as in Wei et al. 2019, section III-B.
        upsample: ``largefov``: enlarge the map in front of the backbone's last stage so many times, each pixel
            repeated: from there on the field grows so many times less, where dilation 1 sees too much already. The
            paper's networks for Helen have 2 (Wei et al., *Accurate facial image parsing at real-time speed*, 2019,
            sections III-A and VI-B).
        places: what methods without ``targets`` of their own change, by network; a search writes down here what
            ``suggest`` names where the network offers nothing itself, and keeps to it. Leave it out.

    Examples:
        >>> import autorf
        >>> spec = autorf.ModelSpec(name="largefov:resnet18", stage=1, dilation=4)
        >>> type(autorf.build(spec, classes=5)).__name__
        'LargeFOV'
    """

    name: str
    pretrained: bool = False
    weights: Path | None = None
    encoder_weights: Path | None = None
    args: dict[str, Any] = {}
    stage: Annotated[WholeNumber, Field(ge=0, le=8)] | None = None
    output_stride: Literal[2, 4, 8, 16, 32] | None = None
    kernel: Literal[3, 4, 5, 7] = 3
    dilation: PositiveInt | Several[PositiveInt] = 1
    channels: tuple[PositiveInt, PositiveInt] = (256, 256)
    head_norm: bool = False
    paths: Annotated[tuple[tuple[str | ClassNumber, ...], ...], Field(min_length=2, max_length=64)] | None = None
    path_weight: PositiveFloat = 1.2
    path_init: Annotated[Literal["equal", "drawn"], Before("drawn")] = "equal"
    upsample: Annotated[Literal[1, 2, 4], NoBool] = 1
    added_channels: Annotated[WholeNumber, Field(ge=0, le=64)] = 0
    places: tuple[Place, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        family, _, rest = self.name.partition(":")
        if not MODELS.knows(family) or (family in FAMILIES and not rest):
            if problem := MODELS.problem(family):
                raise ValueError(f"not {self.name!r}{problem}")
            added = "".join(f", or {name} of another package" for name in MODELS)
            raise ValueError(
                f"a model is largefov:BACKBONE, smp:ARCH:ENCODER, timm:NAME, torchvision:NAME, hf:NAME, paper:NAME or "
                f"python:FILE.py:NAME"
                f"{added}{near_names(family, MODELS.names)}, not {self.name!r}"
            )
        each = 1 if isinstance(self.dilation, int) else len(self.dilation)
        if each not in (1, len(self.paths or ())):
            raise ValueError(f"dilation lists {each} values for {len(self.paths or (1,))} paths; give one, or one each")
        if self.paths is not None and family != "largefov":
            raise ValueError(f"paths are heads of largefov models; {self.name} has a head of its own")
        if self.upsample > 1 and family != "largefov":
            raise ValueError(f"upsample is for largefov models, whose last stage is known; {self.name} takes none")
        if family == "python" and self.added_channels:
            raise ValueError(
                "added_channels: a network of your own is built for the channels that it says; leave it out"
            )
        if family == "python":
            parse_reference(self.name)
        if family == "smp" and ":" not in rest:
            raise ValueError(f"an smp model is smp:ARCH:ENCODER, such as smp:Unet:resnet34, not {self.name!r}")
        return self

    @property
    def network(self) -> dict[str, Any]:
        """Plain values of what makes the network, whatever its weights are and wherever methods work in it."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude=set(NOT_THE_NETWORK))


NOT_THE_NETWORK = ("pretrained", "weights", "encoder_weights", "places")
"""Keys of a model that leave its layers as they are."""
