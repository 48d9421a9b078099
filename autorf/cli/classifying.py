"""What ``autorf predict`` does with a model that classifies whole pictures: one CSV."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from autorf.cli.exit_codes import DONE, FAILED_TRIALS
from autorf.deployment.classifying import Classifier, classify_files, table_of
from autorf.deployment.predicting import picture_files
from autorf.errors import InputError, in_short
from autorf.files import check_output, write_atomically

TABLE = "classes.csv"

_MOST_CLASSES = 6
"""That are told with their numbers of pictures."""


def check_options(given: dict[str, Any]) -> None:
    """Raise ``InputError`` for an option that is for masks.

    Args:
        given: by the option's name its value; what was not given is None or False.
    """
    for option, value in given.items():
        if value:
            raise InputError(
                f"--{option}: is for models that give every pixel a class; this one gives each picture one, and "
                f"{TABLE} has them; leave it out"
            )


def classify_pictures(
    classifier: Classifier,
    pictures: Sequence[Path],
    output: Path,
    *,
    force: bool,
    progress: Callable[[int], AbstractContextManager[Callable[[], None]]],
) -> int:
    """Write the table of the pictures' classes into the folder ``output``, and say what it holds."""
    files = list(picture_files(pictures))
    path = output / TABLE
    check_output(path, "--output", replace=force)
    with progress(len(files)) as told:
        classified, problems = classify_files(classifier, files, told)
    for problem in problems:
        print(f"autorf: {in_short(problem)}", file=sys.stderr)
    write_atomically(path, table_of(classified, classifier.recipe.class_names))
    print(path)
    print(f"  pictures   {len(classified)} classified{f', {len(problems)} not' if problems else ''}")
    counts = Counter(seen.name for seen in classified).most_common()
    named = ", ".join(f"{name} {count}" for name, count in counts[:_MOST_CLASSES])
    more = f" and {len(counts) - _MOST_CLASSES} more classes" if len(counts) > _MOST_CLASSES else ""
    print(f"  classes    {named or 'none'}{more}")
    return FAILED_TRIALS if problems else DONE
