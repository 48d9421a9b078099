"""Saying so where fields are far beyond the image: then no dilation matters, and another knob might."""

from collections.abc import Callable

from autorf.advice.knobs import model_axes
from autorf.advice.suggestion import SEES_ALL
from autorf.driver.listeners import Listener
from autorf.store.record import Record
from autorf.study.spec import StudySpec
from autorf.training.results import EpochReport


def beyond_the_image(who: str, rnorm: float, spec: StudySpec) -> str | None:
    """What to do instead, where ``who`` sees ``rnorm`` times the image; None where dilation matters."""
    if rnorm < SEES_ALL:
        return None
    keys = [key for key, _, _ in model_axes(spec.model)]
    others = f" ({', '.join(keys)})" if keys else ""
    height, width = spec.data.image_size
    return (
        f"{who} sees {rnorm:.1f} times the image: each output sees all of it, and a larger dilation shows it nothing "
        f"more. autorf suggest {spec.model.name} --image-size {height}x{width} --object-size PIXELS measures what "
        f"brings the field nearer to the objects{others}."
    )


class BeyondTheImage(Listener):
    """Says it once, in the first epoch of the unmodified network: what another trial sees tells nothing of the rest.

    Args:
        spec: the study.
        note: takes the sentence.
    """

    def __init__(self, spec: StudySpec, note: Callable[[str], None]) -> None:
        self._spec, self._note = spec, note
        self._judged = False

    def epoch(self, record: Record, measured: EpochReport) -> None:
        """A trial finished an epoch."""
        if self._judged or measured.rnorm is None or not _is_unmodified(record):
            return
        self._judged = True
        if sentence := beyond_the_image("The unmodified network", measured.rnorm, self._spec):
            self._note(sentence)


def _is_unmodified(record: Record) -> bool:
    """Whether a trial leaves the network as it was built, but for layers whose dilation is set to 1."""
    own = record.configuration
    at_one = own.get("method") == "dilation" and own.get("rate") in (None, 1)
    return at_one and not set(own) - {"method", "rate", "targets"}
