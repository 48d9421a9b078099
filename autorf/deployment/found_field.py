"""The field that a trial found, as a configuration that has it from the first step."""

from autorf.errors import InputError
from autorf.methods import Dilation, Inflation
from autorf.store.ranking import manual
from autorf.store.record import Record
from autorf.store.replicates import Replicate
from autorf.store.traces import parts
from autorf.study.trial import Trial


def with_found_field(record: Record) -> tuple[Trial, str | None]:
    """A trial whose field stays what a complete trial's ended at, and what is to be said where there is none.

    A learned dilation becomes a plain one of the rate that all its layers found. An inflation keeps the ``f`` it found:
    its bounds leave no other. Layers or axes that found different values, and methods whose field differs from pixel
    to pixel, learn theirs again; so does a replicate whose folds found different fields.

    Raises:
        InputError: for a trial that this process does not know.
    """
    if isinstance(record, Replicate):
        return _found_by_folds(record)
    trial = record.trial
    if trial is None or record.result is None:
        raise InputError(f"trial {record.key}: {record.reason or 'is of a method that is not installed here'}")
    if manual(record):
        return trial, None
    method, learned = trial.method, record.result.learned
    if method.settles and "dilation" in learned:
        rates = {learned[name] for name in [*parts(learned, "dilation"), "dilation"]}
        if len(rates) == 1 and (rate := rates.pop()) == int(rate):
            plain = Dilation(rate=int(rate), targets=getattr(method, "targets", None))
            return Trial(plain, trial.seed, trial.settings), None
        return trial, f"the layers of {record.label} found different dilations; they are searched again"
    if isinstance(method, Inflation) and "f" in learned:
        factors = {learned[name] for name in [*parts(learned, "f"), "f"]}
        if len(factors) > 1 or method.per_axis:
            return trial, f"the regions or axes of {record.label} found different f; they are learned again"
        factor = factors.pop()
        fixed = {"factor": factor, "low": factor, "high": factor, "search": 0.0, "hold": 0.0}
        return Trial(Inflation(**{**dict(method), **fixed}), trial.seed, trial.settings), None
    return trial, f"{record.method} has a field of its own at every pixel, which cannot be fixed; it is learned again"


def _found_by_folds(record: Replicate) -> tuple[Trial, str | None]:
    """The field that every fold found; learned anew on all images where they differ."""
    found = [with_found_field(fold) for fold in record.folds]
    trials = {trial.without_fold for trial, _ in found}
    trial, note = trials.pop(), found[0][1]
    if not trials:
        return trial, note
    assert record.trial is not None
    return record.trial, f"the folds of {record.label} found different fields; it is learned anew on all images"
