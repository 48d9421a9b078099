"""Reaching MLflow: where it is, and how long its client may wait for an answer."""

import atexit
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autorf.executors.scratch import Scratch

if TYPE_CHECKING:
    from mlflow import MlflowClient

SETTINGS = {
    # MLflow's own patience with a server that does not answer is minutes for every request.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow sets its own logging up when it is imported, and reads its level from here.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
"""Of the environment while the mirror talks to MLflow, where the user has not set them."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def tracking_uri(uri: str | None, root: Path) -> str:
    """The given URI, or the SQLite file under ``root``."""
    if uri is not None:
        return uri
    folder = root.resolve()
    if not re.fullmatch(r"[\w/.~-]+", str(folder), re.ASCII):
        folder = _plainly_named(folder)
    return f"sqlite:///{folder / 'mlflow.db'}"


@cache
def _plainly_named(folder: Path) -> Path:
    """Another name of a folder, for this process: MLflow and SQLAlchemy read a URI's ``?`` and ``%`` in their ways."""
    scratch = Scratch(Path(tempfile.gettempdir()), "autorf-mlflow-")
    atexit.register(scratch.remove)
    link = scratch.path / "root"
    link.symlink_to(folder, target_is_directory=True)
    return link


def shown_uri(uri: str) -> str:
    """The URI without a password, for messages."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}").geturl()


def insecure(uri: str) -> str | None:
    """A warning for a URI over which anyone on the way can read and change what is sent; None where there is none."""
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.hostname in LOOPBACK:
        return None
    return f"tracking.uri {shown_uri(uri)} is plain http to another host: anyone on the way can read it; use https"


@contextmanager
def own_settings() -> Iterator[None]:
    """Short patience and silence for the calls inside; the environment is as before afterwards."""
    added = [name for name in SETTINGS if name not in os.environ]
    os.environ.update({name: SETTINGS[name] for name in added})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def connect(uri: str) -> "MlflowClient":
    """A client of the MLflow at ``uri``; call it, and what it returns, inside :func:`own_settings`."""
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Each failed attempt would be a line; the mirror says it once.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)
    _make_whole(uri)
    return MlflowClient(tracking_uri=uri)


def _make_whole(uri: str) -> None:
    """Make the tables of a new SQLite file under another name.

    MLflow makes them in many steps and cannot go on from the middle: a process killed there would leave a file that no
    later one can use.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or path.exists():
        return
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables

    path.parent.mkdir(parents=True, exist_ok=True)
    # Of a process that was killed here, the next one removes it.
    scratch = Scratch(path.parent, ".mlflow-", resolved=False)
    try:
        fresh = scratch.path / path.name
        engine = sqlalchemy.create_engine(f"sqlite:///{fresh}")
        _initialize_tables(engine)
        engine.dispose()
        # Another driver may have been faster; its file stays.
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        scratch.remove()
