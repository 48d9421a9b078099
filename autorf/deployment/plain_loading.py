"""What code without autorf needs to load a retrained model: the pattern, the weights, and five lines."""

import copy
import warnings
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from autorf.data import channels_of
from autorf.deployment.patterns import FILE, pattern_of
from autorf.errors import TrainingWarning
from autorf.files import write_atomically
from autorf.methods.modules import AdaptiveModule
from autorf.networks.arguments import fitting_decoder
from autorf.networks.spec import ModelSpec
from autorf.networks.torchvision_networks import segmenters
from autorf.study.spec import StudySpec
from autorf.surgery import adaptations, freeze, plain_state_dict
from autorf.surgery.dry_run import evaluation

PLAIN_WEIGHTS = "plain.safetensors"

_LINES = """\
import json, pathlib, {library}
from safetensors.torch import load_file
model = {call}
for name, rate in json.loads(pathlib.Path({folder!r}, "{pattern}").read_text())["rates"].items():
    layer = model.get_submodule(name)
    layer.dilation, layer.padding = tuple(rate), tuple(d * (side // 2) for d, side in zip(rate, layer.kernel_size))
model.load_state_dict(load_file(pathlib.Path({folder!r}, "{weights}")))
"""


def plain_lines(spec: ModelSpec, classes: int, channels: int, folder: str) -> str | None:
    """Python that loads the model from ``folder`` with its own library; None for a network that no library makes."""
    family, _, rest = spec.name.partition(":")
    if spec.paths is not None or spec.upsample > 1 or spec.added_channels:
        return None
    if family == "smp":
        architecture, _, encoder = rest.partition(":")
        given = {"encoder_weights": None, "in_channels": channels, "classes": classes, **fitting_decoder(spec)}
        if spec.output_stride is not None:
            given["encoder_output_stride"] = spec.output_stride
        library, call = "segmentation_models_pytorch as smp", f"smp.{architecture}({encoder!r}, {_arguments(given)})"
    elif family == "torchvision" and channels == 3:
        backbone = {"weights_backbone": None} if rest in segmenters() else {}
        given = {"weights": None, **backbone, "num_classes": classes, **spec.args}
        library, call = "torchvision", f"torchvision.models.get_model({rest!r}, {_arguments(given)})"
    elif family == "timm":
        given = {"in_chans": channels, "num_classes": classes, **spec.args}
        if spec.output_stride is not None:
            given["output_stride"] = spec.output_stride
        library, call = "timm", f"timm.create_model({rest!r}, {_arguments(given)})"
    else:
        return None
    return _LINES.format(library=library, call=call, folder=folder, pattern=FILE, weights=PLAIN_WEIGHTS)


def _arguments(given: dict[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in given.items())


def write_plain(folder: Path, model: nn.Module, spec: StudySpec, classes: int) -> bool:
    """Write the pattern of a trained model, and plain weights where :func:`plain_lines` give the same model back.

    The lines are run here and their model's output compared, so that they are never promised where they would compute
    something else, as for a class of convolutions that pads itself.

    Args:
        folder: of the retrained model.
        model: as it was trained.
        spec: the study as the trial has it.
        classes: channels of the output.

    Returns:
        Whether the lines give the same output.
    """
    if any(isinstance(module, AdaptiveModule) and module.frozen() is None for module in model.modules()):
        return False
    if not adaptations(model):
        return False
    frozen = copy.deepcopy(model).eval()
    with warnings.catch_warnings():
        # The training has said what there is to say.
        warnings.simplefilter("ignore", TrainingWarning)
        freeze(frozen)
        pattern = pattern_of(frozen, spec.data.image_size)
    pattern.model_copy(update={"model": spec.model.name}).save(folder / FILE)
    lines = plain_lines(spec.model, classes, channels_of(spec.data), str(folder))
    if lines is None or pattern.f or spec.training.threshold is not None:
        return False
    state = {name: value.detach().cpu().contiguous().clone() for name, value in plain_state_dict(frozen).items()}
    write_atomically(folder / PLAIN_WEIGHTS, save(state))
    if _same_output(frozen.cpu(), lines, spec):
        return True
    (folder / PLAIN_WEIGHTS).unlink()
    return False


def _same_output(model: nn.Module, lines: str, spec: StudySpec) -> bool:
    scope: dict[str, nn.Module] = {}
    try:
        exec(lines, scope)
    except (RuntimeError, AttributeError, TypeError):
        # Another layout of the layers: what the lines load is not this model.
        return False
    image = torch.rand(1, channels_of(spec.data), *spec.data.image_size)
    with torch.no_grad(), evaluation(scope["model"]):
        expected, loaded = (_scores(net(image)) for net in (model, scope["model"]))
    return expected.shape == loaded.shape and torch.allclose(expected, loaded, atol=1e-6, rtol=1e-5)


def _scores(output: object) -> torch.Tensor:
    scores = output["out"] if isinstance(output, dict) else output
    assert isinstance(scores, torch.Tensor)
    return scores
