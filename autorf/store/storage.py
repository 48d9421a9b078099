"""Opening the database that a study lives in: SQLite for one machine, PostgreSQL for many."""

import hashlib
import os
import sqlite3
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from autorf.errors import InputError, StorageLostError, hide_passwords, shown, shown_place
from autorf.files import lock, write_atomically
from autorf.store.damage import study_values
from autorf.study.storage_spec import StorageSpec

FORMAT = 1
"""Version of what is stored; a newer one is refused."""

POINTER = "storage.url"
"""Beside the trials of a study in PostgreSQL: where it is, without the password."""

FULL = "disk is full"
"""What SQLite says then."""

_REPAIR = "restore it from a backup, or remove {folder} to begin the study anew"
_SERVER_OPTIONS = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
_POSTGRES: dict[str, Any] = {
    "pool_pre_ping": True,
    "connect_args": {
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        # A driver that vanishes without a word must not hold its lock for the two hours of TCP's own default.
        "options": _SERVER_OPTIONS,
    },
}


class Storage:
    """One study in an Optuna storage.

    Args:
        folder: of the study; made if it is missing. Without a URL the database is ``study.db`` in it.
        name: of the study.
        url: ``postgresql+psycopg://...``, or None.
        exists: whether there must be such a study already; it is made otherwise.

    Attributes:
        one_machine: whether only drivers on one machine can share it.
        read_only: whether the folder of a study in SQLite may be read only; nothing is made there then.
        label: names the storage to people; without passwords.

    Raises:
        InputError: when it cannot be reached, holds another study, or was written by a newer version.
    """

    def __init__(self, folder: Path, name: str, url: str | None = None, *, exists: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.one_machine = url is None
        self.read_only = url is None and (folder / "study.db").is_file() and not _may_write(folder)
        self.name, self._folder, self._made, self._exists = name, folder, False, exists
        self._lock = folder / "study.lock"
        self._url = url or sqlite_url(folder / "study.db", read_only=self.read_only)
        self.label = hide_passwords(url) if url else str(folder / "study.db")
        self._settings = {"connect_args": {"timeout": 60}} if url is None else _POSTGRES
        _check_place(folder, name, url)
        if url is None:
            _make_folder(folder)
            _check_whole(folder)
        try:
            self._engine = sqlalchemy.create_engine(self._url, pool_size=2, **self._settings)
        except ModuleNotFoundError:
            message = "storage.url: PostgreSQL needs psycopg; run: pip install 'autorf-torch[postgres]'"
            raise InputError(message) from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # Two drivers that begin together must not both make the tables or the study.
                with self.exclusive():
                    self.rdb, self.study = self._open()
            self._made = True
        except (InputError, OSError):
            self._engine.dispose()
            raise
        # A database that was damaged or edited makes Optuna and SQLAlchemy raise whatever there is.
        except Exception as error:
            self._engine.dispose()
            raise InputError(_opening_problem(self.label, url, error)) from None
        weakref.finalize(self, _dispose, self.rdb.engine, self._engine)
        if url is not None:
            # Only now: a server that does not answer leaves nothing here.
            _make_folder(folder)
            _leave_pointer(folder, url)

    def now(self) -> float:
        """The storage's clock in seconds: one for all drivers, however wrong their own are."""
        if self.one_machine:
            return time.time()
        with self._engine.connect() as connection:
            return float(connection.scalar(sqlalchemy.text("SELECT extract(epoch FROM clock_timestamp())")) or 0)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other driver of this study out; ends with the process, however it dies."""
        if self.read_only:
            yield
            return
        if self.one_machine:
            self.check_there()
            with self._lock.open("a") as file:
                lock(file.fileno(), wait=True)
                yield
            return
        number = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big", signed=True)
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
            yield

    def check_there(self) -> None:
        """Raise ``StorageLostError`` where somebody has removed the study, or its database."""
        if self.one_machine and self._made and not (self._folder / "study.db").is_file():
            raise StorageLostError(
                f"{self.label} was removed while the search ran; remove {self._folder} to begin the study anew"
            )

    def _open(self) -> tuple[optuna.storages.RDBStorage, optuna.Study]:
        rdb = optuna.storages.RDBStorage(self._url, engine_kwargs=self._settings)
        try:
            with rdb.engine.connect() as connection:
                # Not by Optuna, which reads all that studies know of themselves, damaged or not.
                study_names = list(connection.scalars(sqlalchemy.text("SELECT study_name FROM studies")))
            if self.one_machine and study_names and self.name not in study_names:
                raise InputError(
                    f"{self.label}: holds study {study_names[0]!r}, not {self.name!r}; use another name or --root"
                )
            if self._exists and self.name not in study_names:
                raise InputError(
                    f"{self.label}: holds no study {self.name!r}; restore it from a backup, or run it anew"
                )
            if self.read_only:
                study = optuna.load_study(study_name=self.name, storage=rdb)
            else:
                study = optuna.create_study(
                    study_name=self.name, storage=rdb, direction="maximize", load_if_exists=True
                )
            _check_ours(self.label, study)
        except BaseException:
            rdb.engine.dispose()
            raise
        return rdb, study


def sqlite_url(path: Path, *, read_only: bool = False) -> str:
    """The URL of a database, for SQLAlchemy, whatever signs its path has.

    >>> sqlalchemy.engine.make_url(sqlite_url(Path("/data/a?b/study.db"))).database
    'file:///data/a%3Fb/study.db'
    """
    # SQLAlchemy itself ends a path at ?, and Optuna fills {...} in: neither is left in a file's URI.
    uri = path.resolve().as_uri()
    if sqlalchemy.engine.make_url(f"sqlite:///{uri}%20").database != f"{uri}%20":
        # SQLAlchemy from 2.1 on decodes what SQLite is to decode.
        uri = quote(uri, safe="/:")
    return f"sqlite:///{uri}?{'mode=ro&' if read_only else ''}uri=true"


def _may_write(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    files = (folder / "study.db", folder / "study.lock")
    return all(os.access(file, os.W_OK) for file in files if file.exists())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); use another name or --root") from None


def attributes_at(url: str, name: str) -> dict[str, Any]:
    """The user attributes of a study in PostgreSQL; empty where there is none of that name, or no server answers."""
    try:
        rdb = optuna.storages.RDBStorage(
            url, engine_kwargs=_POSTGRES, skip_compatibility_check=True, skip_table_creation=True
        )
    except (ImportError, OptunaError, SQLAlchemyError):
        return {}
    try:
        return rdb.get_study_user_attrs(rdb.get_study_id_from_name(name))
    except (KeyError, OptunaError, SQLAlchemyError):
        return {}
    finally:
        rdb.engine.dispose()


def _dispose(*engines: sqlalchemy.Engine) -> None:
    for engine in engines:
        engine.dispose()


def _check_ours(label: str, study: optuna.Study) -> None:
    name, held = study.study_name, study._storage
    rdb: Any = getattr(held, "_backend", held)
    stored, _ = study_values(rdb, study._study_id)
    number = stored.get("format")
    if number is None and not stored.keys() & {"identity", "spec"} and _is_foreign(study):
        raise InputError(f"{label}: study {name!r} there is another program's; give yours another name")
    if number is not None and not isinstance(number, int):
        raise InputError(f"{label}: its format {shown(number)} is none of autorf's; restore it from a backup")
    if number is not None and number > FORMAT:
        raise InputError(f"{label}: was written by a newer autorf (format {shown(number)}); upgrade autorf")


def _is_foreign(study: optuna.Study) -> bool:
    try:
        return any("key" not in trial.user_attrs for trial in study.get_trials(deepcopy=False))
    except (AssertionError, ValueError, LookupError, TypeError):
        # Damaged rows are told when they are read.
        return False


def _check_place(folder: Path, name: str, url: str | None) -> None:
    """Raise ``InputError`` where a study that began in one storage is asked for in another."""
    pointer = folder / POINTER
    if url is None and pointer.is_file() and not (folder / "study.db").is_file():
        raise InputError(
            f"study {name!r} lives in {shown_place(_pointed(folder) or '')}: set storage.url, or give it another name"
        )
    if url is not None and (folder / "study.db").is_file():
        raise InputError(
            f"{folder / 'study.db'} already holds study {name!r}: leave storage.url out, or give the study another name"
        )


def _check_whole(folder: Path) -> None:
    """Raise ``InputError`` where SQLite would begin anew, or read on until it comes to a page that is gone."""
    path = folder / "study.db"
    if not path.is_file() or (folder / "study.db-journal").exists():
        return
    size = path.stat().st_size
    if size == 0 and not any((folder / "trials").glob("*")):
        # Made by a search that was killed before it wrote anything.
        return
    with path.open("rb") as file:
        header = file.read(100)
    if header and not header.startswith(b"SQLite format 3\0"[: len(header)]):
        raise InputError(f"{path}: is no SQLite database; {_REPAIR.format(folder=folder)}")
    page = int.from_bytes(header[16:18], "big")
    whole = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
    if size < max(whole, 100):
        raise InputError(
            f"{path}: is cut: {size} bytes are left of {whole or 'a database'}; {_REPAIR.format(folder=folder)}"
        )
    _check_kind(path)


_TABLES = {"trials", "trial_user_attributes", "study_user_attributes", "trial_values", "trial_intermediate_values"}
"""What a study's database has, once there is a study in it."""


def _check_kind(path: Path) -> None:
    """Raise ``InputError`` where a database cannot be read, or is another program's."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            lost = sorted(_TABLES - {name for (name,) in tables}) if ("studies",) in tables else []
            if lost and database.execute("SELECT 1 FROM studies").fetchone():
                # Optuna would make them anew, empty.
                repair = _REPAIR.format(folder=path.parent)
                raise InputError(f"{path}: has lost its table {lost[0]}; {repair}")
    except sqlite3.OperationalError:
        # Opening it for good says what is wrong.
        return
    # Python cannot read a message that quotes a damaged name.
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {problem(error)}; {_REPAIR.format(folder=path.parent)}") from None
    if tables and not {"studies", "version_info"} & {name for (name,) in tables}:
        raise InputError(f"{path}: is another program's database; use another name or --root")


def stored_url(folder: Path) -> str | None:
    """The URL of the storage that the study of ``folder`` was last opened in.

    Without a password, unless this process was told the whole URL, see :func:`remember`.
    """
    plain = _pointed(folder)
    return None if plain is None else _remembered.get(plain, plain)


def _pointed(folder: Path) -> str | None:
    """What the pointer says; None where there is none.

    Raises:
        InputError: where that is no address of a database.
    """
    pointer = folder / POINTER
    if not pointer.is_file():
        return None
    plain = pointer.read_bytes()[:2000].decode("utf-8", "replace").strip()
    try:
        return str(StorageSpec(url=plain).url)
    except InputError:
        raise InputError(
            f"{shown_place(str(pointer))}: holds {shown(plain)}, no address of a database; restore it from a backup, "
            "or set storage.url"
        ) from None


_remembered: dict[str, str] = {}


def remember(url: str) -> None:
    """Know the password of ``url`` for as long as this process lives."""
    _remembered[_plain(url)] = url


def _leave_pointer(folder: Path, url: str) -> None:
    remember(url)
    if stored_url(folder) != url:
        write_atomically(folder / POINTER, _plain(url) + "\n")


def _plain(url: str) -> str:
    """``url`` without its password."""
    parts = sqlalchemy.engine.make_url(url)
    query = {name: value for name, value in parts.query.items() if name not in ("password", "sslpassword")}
    bare = sqlalchemy.URL.create(parts.drivername, parts.username, None, parts.host, parts.port, parts.database, query)
    return bare.render_as_string(hide_password=False)


def _opening_problem(label: str, url: str | None, error: Exception) -> str:
    line = problem(error)
    if FULL in line:
        return f"{label}: {line}; make room, the same command continues"
    if url is None:
        return f"{label}: cannot be used: {line}; {_REPAIR.format(folder=Path(label).parent)}"
    if isinstance(error, RuntimeError) and "version" in line:
        return f"storage {label}: {line}"
    return f"storage {label}: cannot be used: {line}; start the server or correct storage.url"


def problem(error: BaseException) -> str:
    """What a database said, in one line without passwords and without the layers that passed it on."""
    while isinstance(error, OptunaError) and error.__cause__ is not None:
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    if isinstance(original, UnicodeDecodeError):
        return "it is damaged"
    line = next(iter(str(original).strip().splitlines()), type(original).__name__)
    return hide_passwords(line)
