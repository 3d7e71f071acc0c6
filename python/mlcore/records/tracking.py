"""MLflow, imported late and quietly, its embedded database made once and whole, its errors in plain words."""

from __future__ import annotations

import logging
import os
import sqlite3
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from mlcore.errors import RegistryError, require
from mlcore.records.secrets import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

ABSENT: Final = "RESOURCE_DOES_NOT_EXIST"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
_ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own 7 are minutes of waiting for a server that is down
    "GIT_PYTHON_REFRESH": "quiet",
}
_SCHEME: Final = "sqlite:///"
_BUSY_SECONDS: Final = 10.0


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of the server or database at `tracking_uri`; a SQLite file that is not there is made.

    The import takes about 1.6 s and a new database about 2 s more (MLflow replays 67 migrations), so this is
    called when it is needed and not before.

    Raises:
        RegistryError: the file is no database, is locked or cannot be made, or the server does not answer.
        MissingExtra: MLflow is not installed.
    """
    _import()
    from mlflow import MlflowClient

    prepare(tracking_uri)
    with plain_errors(tracking_uri), _quiet():
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def prepare(tracking_uri: str) -> None:
    """Make the SQLite database of `tracking_uri`, whole or not at all; leave what is there, and servers.

    The migrations are not one transaction, so they run on a file of their own that gets its name at the end.
    Any number of processes may do this at once: the first to finish wins.

    Raises:
        RegistryError: the file is no database, is locked, or cannot be made.
    """
    if not tracking_uri.startswith(_SCHEME):
        return
    file = Path(tracking_uri.removeprefix(_SCHEME).partition("?")[0])
    if file.exists():
        _check(file)
        return
    _import()
    from mlflow.db import upgrade

    part = file.with_name(f".{file.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with plain_errors(tracking_uri), _quiet():
            cast(Any, upgrade).callback(f"{_SCHEME}{part}")  # what `mlflow db upgrade` runs
        _claim(part, file)
    except OSError as error:
        raise RegistryError(f"model registry {file}: cannot be made: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def plain_errors(tracking_uri: str) -> Iterator[None]:
    """Turn what MLflow and SQLAlchemy raise into RegistryError, without their SQL and without passwords."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        raise RegistryError(f"model registry {shown(tracking_uri)}: {redact(lines[0])}") from error


def shown(tracking_uri: str) -> str:
    """Return the address as messages may show it."""
    return redact(tracking_uri.removeprefix(_SCHEME))


@contextmanager
def allowing(code: str) -> Iterator[None]:
    """Pass over MLflow's error of that code."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


def _import() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _quiet():
        require("mlflow", extra="mlops", purpose="record runs and model versions")
        require("mlflow.tracking", extra="mlops", purpose="record runs and model versions")
        require("sqlalchemy", extra="mlops", purpose="record runs and model versions")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow calls what its own dependencies have deprecated; that is not the user's to mend."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield


def _claim(part: Path, file: Path) -> None:
    """Give the file its name unless another process was faster: a link fails then, a rename overwrites."""
    try:
        os.link(part, file)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not file.exists():
            part.replace(file)


def _check(file: Path) -> None:
    """MLflow would try again for long, and not say which file it was."""
    try:
        with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise RegistryError(
            f"model registry {file}: {error}; put back a copy, or move the file away to begin a new one"
        ) from error
