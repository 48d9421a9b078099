"""A library's constructor: which arguments ``model.args`` may give it, and what they are without."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autorf.errors import InputError, in_one_line, near_names, shown
from autorf.networks.spec import ModelSpec

SET_BY = {
    "encoder_name": "model.name names it",
    "encoder_weights": "model.pretrained and model.encoder_weights set them",
    "encoder_output_stride": "model.output_stride sets it",
    "output_stride": "model.output_stride sets it",
    "classes": "the data set's classes set it",
    "num_classes": "the data set's classes set it",
    "num_labels": "the data set's classes set it",
    "pretrained": "model.pretrained sets it",
    "weights": "model.pretrained sets them",
    "weights_backbone": "model.pretrained sets them",
    "progress": "it prints and changes nothing",
    "activation": "losses and scores take the network's plain scores",
    "aux_params": "the network has one output, class scores of pixels",
    "features_only": "the study's networks give scores",
    "out_indices": "model.stage sets them",
}
"""Arguments that a study sets, and how."""


@dataclass(frozen=True)
class Constructor:
    """What makes a network.

    Attributes:
        name: for messages, such as ``smp's Unet``.
        defaults: what each argument is where it is not given.
        passes_on: whether other arguments go on to a constructor inside, whose own check is waited for.
    """

    name: str
    defaults: Mapping[str, Any]
    passes_on: bool = False

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise ``InputError`` for an argument that the constructor lacks, with near names, or that a study sets."""
        for name in arguments:
            if name in SET_BY:
                raise InputError(f"model.args.{name}: not an argument of a study: {SET_BY[name]}")
        self._check_known(arguments, _free(self))

    def check_behind_classes(self, arguments: Mapping[str, Any]) -> None:
        """The same of a function that takes the number of classes first, and of which a study sets nothing else."""
        self._check_known(arguments, list(self.defaults)[1:])

    def _check_known(self, arguments: Mapping[str, Any], names: Sequence[str]) -> None:
        for name in arguments:
            if name not in names and not self.passes_on:
                takes = f"; it takes {', '.join(names)}" if names else "; it takes none"
                hint = near_names(name, names) or takes
                raise InputError(f"model.args.{name}: {self.name} has no such argument{hint}")


def constructor_of(make: Callable[..., Any], name: str, *, passes_on: bool = False) -> Constructor:
    """The named arguments of ``make``, with their defaults; those it takes as ``**kwargs`` are not known."""
    named = inspect.signature(make).parameters.values()
    takes_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    defaults = {each.name: each.default for each in named if each.kind in takes_name and each.name != "self"}
    return Constructor(name, defaults, passes_on)


def constructor(spec: ModelSpec) -> Constructor | None:
    """What ``model.args`` are given to; None where only building the network says."""
    family, _, rest = spec.name.partition(":")
    if family == "smp":
        import segmentation_models_pytorch as smp

        architecture, _, encoder = rest.partition(":")
        # Of all encoders only timm's are handed what the architecture does not know.
        passes_on = encoder.startswith("tu-")
        return constructor_of(getattr(smp, architecture), f"smp's {architecture}", passes_on=passes_on)
    if family == "torchvision":
        return _torchvision(rest)
    if family == "paper":
        return Constructor(spec.name, {})
    return None


def _torchvision(name: str) -> Constructor:
    from torchvision.models import get_model_builder

    # What a builder takes beside its named arguments it passes to nobody, without a word.
    return constructor_of(get_model_builder(name), f"torchvision's {name}")


def check_arguments(spec: ModelSpec) -> None:
    """Raise ``InputError`` for ``model.args`` that the network's constructor lacks, or that the study sets itself."""
    if spec.args:
        made_by = constructor(spec) or Constructor(spec.name, {}, passes_on=True)
        made_by.check(spec.args)


def default_argument(spec: ModelSpec, name: str) -> Any:
    """What an argument is where ``model.args`` does not give it; :data:`UNKNOWN` where that is not known."""
    made_by = constructor(spec)
    default = inspect.Parameter.empty if made_by is None else made_by.defaults.get(name, inspect.Parameter.empty)
    if default is inspect.Parameter.empty:
        return UNKNOWN
    return list(default) if isinstance(default, tuple) else default


UNKNOWN = object()
"""Of a default: nothing known equals it."""


def refused(spec: ModelSpec, error: Exception, taken: Iterable[str] = ()) -> InputError:
    """What the constructor of a network with ``model.args`` said against them, in one line.

    Args:
        spec: of the network.
        error: that its constructor raised.
        taken: the arguments that are known to be taken, for near names.
    """
    reason = in_one_line(error, 160)
    unknown = next((name for name in spec.args if isinstance(error, TypeError) and f"'{name}'" in reason), None)
    if unknown is not None and "unexpected keyword" in reason:
        return InputError(f"model.args.{unknown}: {spec.name} has no such argument{near_names(unknown, taken)}")
    return InputError(f"model.args: {spec.name} does not take {shown(dict(spec.args))}: {reason}")


def timm_arguments(name: str) -> list[str]:
    """What the class of a timm model takes; the functions that name its models pass everything on to it."""
    import timm
    import torch

    with torch.device("meta"):
        model = timm.create_model(name)
    return _free(constructor_of(type(model), name))


def smp_arguments(spec: ModelSpec) -> list[str]:
    """What an architecture of SMP takes, and what its encoder does where that is timm's."""
    made_by, encoder = constructor(spec), spec.name.split(":")[2]
    own = [] if made_by is None else _free(made_by)
    return [*own, *(timm_arguments(encoder[3:]) if encoder.startswith("tu-") else ())]


def _free(made_by: Constructor) -> list[str]:
    return [name for name in made_by.defaults if name not in SET_BY]


def fitting_decoder(spec: ModelSpec) -> dict[str, Any]:
    """``model.args``, with SMP's decoder channels at the resolutions that ``encoder_depth`` leaves."""
    depth, channels = spec.args.get("encoder_depth"), default_argument(spec, "decoder_channels")
    if not isinstance(depth, int) or not isinstance(channels, list) or "decoder_channels" in spec.args:
        return dict(spec.args)
    # The last ones belong to the finest maps, which every depth has.
    return {**spec.args, "decoder_channels": channels[-depth:]} if 0 < depth < len(channels) else dict(spec.args)
