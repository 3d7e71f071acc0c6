"""The decision log's table on SQLite or PostgreSQL: its transactions, and database errors in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlcore.errors import MissingExtra, RegistryError, UsageError, require

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, MetaData, Table

_PURPOSE: Final = "keep the decision log"
# One advisory lock ("mlcore" in ASCII) for all appenders; a table lock would need more rights than INSERT.
_LOCK: Final = f"SELECT pg_advisory_xact_lock({0x6D6C636F7265})"
_APPEND_ONLY: Final = {
    "sqlite": (
        "CREATE TRIGGER decisions_no_{op} BEFORE {OP} ON decisions "
        "BEGIN SELECT RAISE(ABORT, 'the decision log is append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION decisions_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the decision log is append-only'; END $$",
        "CREATE TRIGGER decisions_no_{op} BEFORE {OP} ON decisions "
        "FOR EACH STATEMENT EXECUTE FUNCTION decisions_append_only()",
    ),
}


class Collision(RegistryError):
    """Another appender took the same number; the transaction is to be repeated."""


class Database:
    """One decision log's database; a connection lives as long as its transaction, so forks are safe."""

    def __init__(self, url: str | Path, *, timeout: float) -> None:
        sqlalchemy = require("sqlalchemy", extra="mlops", purpose=_PURPOSE)
        self._url = _parse(url)
        self.name = _shown(self._url)
        self._file = _file(self._url)
        self._ready = False
        connect_args = {"timeout": timeout} if self._url.get_backend_name() == "sqlite" else {}
        try:
            self._engine: Engine = sqlalchemy.create_engine(
                self._url, poolclass=sqlalchemy.NullPool, connect_args=connect_args
            )
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"to keep the decision log at {self.name}, the package '{error.name}' is needed and not "
                f"installed; add it with: pip install {error.name}"
            ) from None
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise UsageError(
                f"decision log {self.name}: no such kind of database; use sqlite:// or postgresql://"
            ) from error
        if self._url.get_backend_name() == "sqlite":
            _begin_ourselves(self._engine)

    @contextmanager
    def read(self) -> Iterator[Connection | None]:
        """A read transaction, or None where no log has been written yet; nothing is created."""
        from sqlalchemy import inspect

        if self._file is not None and not self._file.exists():
            yield None
            return
        with self._plain_errors(), self._engine.connect() as connection, connection.begin():
            yield connection if inspect(connection).has_table("decisions") else None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that no other writer shares; the table is made where it is not there yet.

        Raises:
            Collision: the number of an entry was taken all the same.
            RegistryError: the database is locked, read-only, full, unreachable or no database.
        """
        if self._file is not None:
            self._make_folder(self._file.parent)
        with self._plain_errors(), self._engine.connect() as plain:
            connection = plain.execution_options(mlcore_write=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(_LOCK)
                if not self._ready:
                    _create(connection)
                yield connection
        self._ready = True

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(f"decision log {self.name}: cannot make its folder: {error.strerror}") from error

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        from sqlalchemy import exc

        try:
            yield
        except exc.IntegrityError as error:
            raise Collision(f"decision log {self.name}: {self._cause(error)}") from error
        except exc.SQLAlchemyError as error:
            cause = self._cause(error)
            raise RegistryError(f"decision log {self.name}: {cause}{_advice(cause)}") from error

    def _cause(self, error: Exception) -> str:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        secret = self._url.password
        return lines[0].replace(str(secret), "***") if secret else lines[0]


def _advice(cause: str) -> str:
    known = {
        "locked": "; another process holds it: try again when that is done",
        "readonly": "; make the file and its folder writable, or keep the log elsewhere",
        "not a database": "; this is another kind of file: move it away or name another",
        "malformed": "; the file is damaged: put back a copy",
        "unable to open": "; check that the folder exists and may be written",
        "is full": "; free some space and repeat, what was written before is safe",
        "no such column": "; its table 'decisions' is not mlcore's: name another database",
        "append-only": "; entries are never changed, append a new one",
    }
    return next((text for word, text in known.items() if word in cause), "")


def _parse(url: str | Path) -> URL:
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url))
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # The text may hold a password, so neither it nor the cause is shown.
        raise UsageError("the decision log's address is not a database URL such as sqlite:///log.db") from None


def _shown(url: URL) -> str:
    """What messages show: never the password, nor the query, which may hold one too."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.set(query={}).render_as_string(hide_password=True)


def _file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise UsageError("a decision log cannot live in memory; give it a file")
    return None if url.database.startswith("file:") else Path(url.database)


def _begin_ourselves(engine: Engine) -> None:
    """Take the lock when a write begins: pysqlite begins late, and of two readers one could not upgrade."""
    from sqlalchemy import event

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    def begun(connection: Connection) -> None:
        write = connection.get_execution_options().get("mlcore_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def _create(connection: Connection) -> None:
    from sqlalchemy import inspect

    if inspect(connection).has_table("decisions"):
        return
    metadata().create_all(connection)
    for text in _APPEND_ONLY.get(connection.dialect.name, ()):
        for op in ("update", "delete") if "{op}" in text else ("",):
            connection.exec_driver_sql(text.replace("{op}", op).replace("{OP}", op.upper()))


@cache
def metadata() -> MetaData:
    """Return the description of the log's one table."""
    from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

    described = MetaData()
    Table(
        "decisions",
        described,
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        Column("ts", String(32), nullable=False),
        *(Column(name, Text, nullable=False, index=name == "object") for name in ("actor", "action", "object")),
        *(Column(name, Text) for name in ("from", "to")),
        Column("reason", Text, nullable=False),
        Column("request_id", Text),
        *(Column(name, Text, nullable=False) for name in ("details", "prev_hash", "hash")),
    )
    return described


def table() -> Table:
    """Return the log's table."""
    return metadata().tables["decisions"]


def rows(
    connection: Connection,
    *,
    object: str | None = None,
    actions: tuple[str, ...] | None = None,
    after: int | None = None,
) -> Iterator[Mapping[str, Any]]:
    """The log's rows by ascending `seq`."""
    t = table()
    query = t.select().order_by(t.c.seq)
    if object is not None:
        query = query.where(t.c.object == object)
    if actions is not None:
        query = query.where(t.c.action.in_(actions))
    if after is not None:
        query = query.where(t.c.seq > after)
    for row in connection.execute(query):
        yield dict(row._mapping)
