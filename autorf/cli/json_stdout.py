"""Stdout that holds JSON and nothing else."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from autorf.errors import InputError
from autorf.streams import patient_stream, problem_of, unwritable


@contextmanager
def json_stdout() -> Iterator[TextIO]:
    """A stream to stdout; whatever else is printed meanwhile, by libraries and worker processes too, goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    stream = patient_stream(kept)
    try:
        yield stream
    finally:
        stream.flush()
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
    if problem := problem_of(stream):
        raise InputError(unwritable(problem))
