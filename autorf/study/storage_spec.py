"""Where a study remembers its trials."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from autorf.specification import Number, PositiveFloat, Specification, Url


def _postgresql(url: str) -> str:
    parts = urlsplit(url)
    try:
        whole = parts.port != 0 and "@" not in parts.path and not any(sign.isspace() for sign in url)
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("PORT must be a number, and signs such as / @ and spaces in a password written as %2F %40 %20")
    if parts.scheme != "postgresql+psycopg" or len(parts.path) < 2:
        raise ValueError(
            "must be postgresql+psycopg://USER@HOST:PORT/DATABASE; leave it out for SQLite in the study's folder"
        )
    return url


class StorageSpec(Specification):
    """Where the study remembers what is wanted, running and done.

    Attributes:
        url: ``postgresql+psycopg://USER@HOST:PORT/DATABASE`` for drivers on many machines, or None for SQLite in the
            study's folder, for any number of drivers on one machine. A password is better left to ``PGPASSWORD`` or
            ``~/.pgpass``; one in the URL is never printed or stored.
        lease_seconds: a driver that was silent for so long has its trials taken over by another.
        patience_minutes: how long a search waits for a storage that cannot be reached before it stops, resumable.
    """

    url: Annotated[Annotated[Url, AfterValidator(_postgresql)] | None, Field(repr=False)] = None
    lease_seconds: PositiveFloat = 120.0
    patience_minutes: Annotated[Number, Field(ge=0)] = 10.0
