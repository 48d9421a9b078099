"""The unmodified network as a configuration: the manual default that every study begins with, and the baseline."""

from collections.abc import Iterable, Sequence

from torch import nn

from autorf.errors import InputError
from autorf.methods import Baseline, Dilation
from autorf.methods.base import Targets, square_dilation
from autorf.methods.convolutions import check_convolution
from autorf.networks.arguments import default_argument
from autorf.study.search_space import Space
from autorf.study.settings import IMAGE_SIZE, Settings, thawed
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of
from autorf.surgery.targets import checked_layers, target_names


def default_first(
    configurations: Sequence[Trial], spaces: Iterable[Space], model: nn.Module, seed: int, spec: StudySpec | None = None
) -> list[Trial]:
    """The configurations with the manual default first: the model as it is, trained as the study says.

    The default sets every target to its own dilation. A grid that has it already only changes its order; otherwise it
    is one configuration more. Where targets have different dilations of their own it is ``rate: null``, which keeps
    them. Where no configuration has the study's own image size, it has that of the first one.

    Args:
        configurations: the study's, under one seed.
        spaces: the study's; the default has the targets of the first one whose default is listed, else of the first.
        model: not adapted.
        seed: of the configurations.
        spec: the study; where an axis over ``model.args`` has the constructor's own value, or ``rate: null``, the
            configuration that is the network as built is the default.
    """
    if spec is not None and (as_built := next((t for t in configurations if _is_as_built(t, spec, model)), None)):
        return [as_built, *(trial for trial in configurations if trial != as_built)]
    settings = _first_size(configurations)
    defaults = [Trial(method, seed, settings) for space in spaces for method in _defaults(model, _targets(space))]
    if not defaults:
        defaults = [Trial(method, seed, settings) for method in _defaults(model, _first_convolution(model))]
    if not defaults:
        return list(configurations)
    default = next((trial for trial in defaults if trial in configurations), defaults[0])
    return [default, *(trial for trial in configurations if trial != default)]


def _is_as_built(trial: Trial, spec: StudySpec, model: nn.Module) -> bool:
    """Whether a dilation on ``model.args`` of its own leaves the study's network as its constructor makes it."""
    arguments = {key.removeprefix(_ARGUMENTS): value for key, value in trial.settings if key.startswith(_ARGUMENTS)}
    if not arguments or len(arguments) < len(trial.settings) or not isinstance(trial.method, Dilation):
        return False
    own = {**{name: default_argument(spec.model, name) for name in arguments}, **spec.model.args}
    if any(thawed(value) != own[name] for name, value in arguments.items()):
        return False
    return trial.method.rate is None or trial.method in _defaults(model, trial.method.targets)


_ARGUMENTS = "model.args."


def _first_size(configurations: Sequence[Trial]) -> Settings:
    """The image size of the first configuration where none has the study's own; else nothing."""
    sizes = [tuple(pair for pair in trial.settings if pair[0] == IMAGE_SIZE) for trial in configurations]
    return sizes[0] if sizes and all(sizes) else ()


def _targets(space: Space) -> Targets:
    for name in ("targets", "start"):
        value = space.axes[name].ends()[0] if name in space.axes else None
        if isinstance(value, str):
            return value if name == "targets" else (value,)
        if isinstance(value, list):
            return tuple(value)
    return None


def _defaults(model: nn.Module, targets: Targets) -> list[Dilation]:
    """The default on these targets; none where they cannot be dilated by hand."""
    kept = Dilation(rate=None, targets=targets)
    try:
        layers = checked_layers(model, kept, target_names(model, kept))
        rates = {square_dilation(name, layer) for name, layer in layers.items()}
    except InputError:
        return []
    return [Dilation(rate=rates.pop(), targets=targets) if len(rates) == 1 else kept]


def _first_convolution(model: nn.Module) -> Targets:
    for name, module in model.named_modules():
        try:
            check_convolution(name, module, even_kernels=True, any_padding=True)
        except InputError:
            continue
        return (name,)
    return ()


def baseline_of(spec: StudySpec, source: str, trials: Iterable[Trial]) -> Trial | None:
    """The checkpoint of a study as a trial of its own, where some of ``trials`` train ``only`` their own on it.

    Raises:
        InputError: where there is no checkpoint.
    """
    needing = [trial for trial in trials if trial.method.needs_weights]
    for trial in needing:
        if spec_of(spec, trial).model.weights is None:
            raise InputError(
                f"{source}: {trial.method.method} ({trial.setting}): needs model.weights, the checkpoint of a trained "
                "baseline, which it leaves as it is"
            )
    return Trial(Baseline(), spec.training.seeds[0]) if needing else None
