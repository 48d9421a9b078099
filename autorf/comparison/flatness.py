"""How flat what a search saw was: the options that it could not tell apart, for people."""

from collections.abc import Iterator, Sequence

from autorf.comparison.rows import Row
from autorf.methods import method_class
from autorf.study.trial import fold_words


def flat_notes(rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for every configuration of whose complete trials a search could not tell some options apart."""
    together: dict[str, list[Row]] = {}
    for row in rows:
        if row.counts and row.control is None and any(len(options) > 1 for options in row.alike):
            together.setdefault(row.configuration, []).append(row)
    for trials in together.values():
        first = trials[0]
        quantity = method_class(first.method).quantity.name
        seeds = "; ".join(f"{_ranges(row)} (seed {row.seed}{fold_words(row.fold)})" for row in trials)
        yield (
            f"{first.method} ({first.setting}): its search could not tell some options apart, their losses being "
            f"within two standard errors: {quantity} {seeds}."
        )


def _ranges(row: Row) -> str:
    """The options of a trial's searches: of one layer, or of several with their numbers."""
    several = len(row.alike) > 1
    return ", ".join(
        f"{options[0]:g} to {options[-1]:g}{f' in layer {number}' if several else ''}"
        for number, options in enumerate(row.alike, 1)
        if len(options) > 1
    )
