"""Search and learn the receptive field of segmentation networks.

``adapt`` makes a model's receptive field adjustable, ``receptive_field`` measures it, and the command line
(``autorf search STUDY``) finds out which one the data wants. Everything is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autorf import ops
    from autorf.advice.checking import check
    from autorf.deployment.applying import apply
    from autorf.deployment.patterns import Pattern, pattern_of
    from autorf.deployment.predictor import predict
    from autorf.driver.objective import Objective
    from autorf.driver.own_configurations import tune_space, tuned_method
    from autorf.driver.own_search import search
    from autorf.errors import InputError, SearchWarning, TrainingWarning
    from autorf.fields import receptive_field
    from autorf.methods import Dilation, Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive
    from autorf.methods.labels import labels
    from autorf.networks import ModelSpec, build
    from autorf.reporting.functions import compare, report
    from autorf.running.loop_trial import LoopTrial
    from autorf.store.recorded import record
    from autorf.surgery import (
        adapt,
        adaptations,
        advance,
        describe,
        freeze,
        learned_values,
        load,
        parameter_groups,
        plain_state_dict,
        save,
        search_again,
        verify,
    )
    from autorf.training.callback import ReceptiveFieldCallback
    from autorf.training.handle import Handle, attach
    from autorf.training.multiscale import MultiScale
    from autorf.training.transformers_callback import TransformersCallback

__version__ = "0.1.0"

_HOMES = {
    "InputError": "autorf.errors",
    "SearchWarning": "autorf.errors",
    "TrainingWarning": "autorf.errors",
    "Dilation": "autorf.methods",
    "Inflation": "autorf.methods",
    "Handle": "autorf.training.handle",
    "LearnedDilation": "autorf.methods",
    "LoopTrial": "autorf.running.loop_trial",
    "PixelAdaptive": "autorf.methods",
    "ScaleAdaptive": "autorf.methods",
    "labels": "autorf.methods.labels",
    "ModelSpec": "autorf.networks",
    "MultiScale": "autorf.training.multiscale",
    "Objective": "autorf.driver.objective",
    "TransformersCallback": "autorf.training.transformers_callback",
    "attach": "autorf.training.handle",
    "build": "autorf.networks",
    "check": "autorf.advice.checking",
    "compare": "autorf.reporting.functions",
    "record": "autorf.store.recorded",
    "report": "autorf.reporting.functions",
    "Pattern": "autorf.deployment.patterns",
    "adapt": "autorf.surgery",
    "apply": "autorf.deployment.applying",
    "pattern_of": "autorf.deployment.patterns",
    "adaptations": "autorf.surgery",
    "advance": "autorf.surgery",
    "describe": "autorf.surgery",
    "freeze": "autorf.surgery",
    "learned_values": "autorf.surgery",
    "load": "autorf.surgery",
    "parameter_groups": "autorf.surgery",
    "plain_state_dict": "autorf.surgery",
    "predict": "autorf.deployment.predictor",
    "receptive_field": "autorf.fields",
    "save": "autorf.surgery",
    "search": "autorf.driver.own_search",
    "search_again": "autorf.surgery",
    "tune_space": "autorf.driver.own_configurations",
    "tuned_method": "autorf.driver.own_configurations",
    "verify": "autorf.surgery",
    "ReceptiveFieldCallback": "autorf.training.callback",
}
_PACKAGES = ("ops",)

__all__ = [
    "Dilation",
    "Handle",
    "Inflation",
    "InputError",
    "LearnedDilation",
    "LoopTrial",
    "ModelSpec",
    "MultiScale",
    "Objective",
    "Pattern",
    "PixelAdaptive",
    "ReceptiveFieldCallback",
    "ScaleAdaptive",
    "SearchWarning",
    "TrainingWarning",
    "TransformersCallback",
    "adapt",
    "adaptations",
    "advance",
    "apply",
    "attach",
    "build",
    "check",
    "compare",
    "describe",
    "freeze",
    "labels",
    "learned_values",
    "load",
    "ops",
    "parameter_groups",
    "pattern_of",
    "plain_state_dict",
    "predict",
    "receptive_field",
    "record",
    "report",
    "save",
    "search",
    "search_again",
    "tune_space",
    "tuned_method",
    "verify",
]


if not TYPE_CHECKING:
    # Type checkers read the imports above; with this they would take any misspelt name for something.
    def __getattr__(name: str) -> Any:
        if name in _PACKAGES:
            return import_module(f"autorf.{name}")
        if name in _HOMES:
            try:
                return getattr(import_module(_HOMES[name]), name)
            except ModuleNotFoundError as error:
                from autorf.errors import missing_library

                raise missing_library(error, f"autorf.{name}") or error from error
        raise AttributeError(f"module 'autorf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
