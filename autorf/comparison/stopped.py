"""That trials were stopped early, and so were not trained equally."""

from collections.abc import Iterator, Sequence

from autorf.comparison.rows import Row


def stopped_notes(rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for every study with trials that ``training.stop`` ended; nothing without one."""
    for study in dict.fromkeys(row.study for row in rows):
        complete = [row for row in rows if row.study == study and row.state == "complete" and row.control is None]
        steps = [row.steps for row in complete if row.stopped_early and row.steps is not None]
        if steps:
            after = f"{min(steps)}" if len(set(steps)) == 1 else f"{min(steps)} to {max(steps)}"
            yield (
                f"{len(steps)} of {len(complete)} trials of {study} were stopped early (training.stop), after {after} "
                "steps: its configurations were trained by one rule, not for equally many steps."
            )
