"""Saying so where every field is far beyond the image: then no dilation matters, and another knob might."""

from collections.abc import Callable

from autorf.advice.knobs import model_axes
from autorf.advice.suggestion import SEES_ALL
from autorf.driver.listeners import Listener
from autorf.methods import is_manual
from autorf.store.record import Record
from autorf.study.spec import StudySpec
from autorf.training.results import EpochReport


def beyond_the_image(least: float, spec: StudySpec) -> str | None:
    """What to do instead, where the least rnorm of a study's networks is ``least``; None where dilation matters."""
    if least < SEES_ALL:
        return None
    keys = [key for key, _, _ in model_axes(spec.model)]
    others = f" ({', '.join(keys)})" if keys else ""
    height, width = spec.data.image_size
    return (
        f"Every field is {least:.1f} times the image or more: each output sees all of it whatever the dilation. "
        f"autorf suggest {spec.model.name} --image-size {height}x{width} --object-size PIXELS measures what brings the "
        f"field nearer to the objects{others}."
    )


class BeyondTheImage(Listener):
    """Says it once, in the first epoch of the first manual trial: that is the unmodified network, the least of all.

    Args:
        spec: the study.
        note: takes the sentence.
    """

    def __init__(self, spec: StudySpec, note: Callable[[str], None]) -> None:
        self._spec, self._note = spec, note
        self._judged = False

    def epoch(self, record: Record, measured: EpochReport) -> None:
        """A trial finished an epoch."""
        if self._judged or measured.rnorm is None or not is_manual(record.method):
            return
        self._judged = True
        if sentence := beyond_the_image(measured.rnorm, self._spec):
            self._note(sentence)
