"""A trial's network before its first step: what a dry run shows, and what searches order fields by."""

from collections.abc import Sequence
from dataclasses import dataclass

from autorf.running.runner import FieldMeter, trial_model
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of
from autorf.surgery import advance, describe
from autorf.training.results import Field


@dataclass(frozen=True)
class AtStart:
    """A trial's network before its first step.

    Attributes:
        field: its receptive field.
        parameters: how many it has, the method's among them.
        layers: what the method works on: names of layers, or of a region its first and last.
    """

    field: Field
    parameters: int
    layers: tuple[str, ...]


def at_start(spec: StudySpec, trial: Trial, classes: int | Sequence[str]) -> AtStart:
    """What a trial's network is before its first step."""
    own = spec_of(spec, trial)
    model = trial_model(own, trial, classes)
    advance(model, 0, 1)
    layers = tuple(change.name for change in describe(model).changes)
    return AtStart(FieldMeter(model, own.data.image_size)(), sum(each.numel() for each in model.parameters()), layers)


def field_at_start(spec: StudySpec, trial: Trial, classes: int | Sequence[str]) -> Field:
    """The receptive field of a trial's network before its first step."""
    return at_start(spec, trial, classes).field
