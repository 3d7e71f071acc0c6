"""Logs on real databases: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlcore.records.decisions import DecisionLog

BINARIES = ["", *sorted(str(p) for p in Path("/usr/lib/postgresql").glob("*/bin"))]


def _binary(name: str) -> str | None:
    return next((found for place in BINARIES if (found := shutil.which(name, path=place or None))), None)


def _missing(what: str) -> None:
    if "postgres" in os.environ.get("MLCORE_REQUIRE", "").split(","):
        pytest.fail(f"PostgreSQL is required and {what}")
    pytest.skip(f"PostgreSQL: {what}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A server of our own on a unix socket; each call gives the URL of a fresh database."""
    initdb, control = _binary("initdb"), _binary("pg_ctl")
    if initdb is None or control is None:
        _missing("initdb is not installed")
    if importlib.util.find_spec("psycopg") is None:
        _missing("the driver psycopg is not installed")
    user: dict[str, object] = {}
    folder = Path(tempfile.mkdtemp(prefix="mlcore-pg-"))
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            _missing("it does not run as root and there is no user postgres")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        os.chown(folder, account.pw_uid, account.pw_gid)

    def call(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, cwd=folder, **user)  # type: ignore[call-overload]

    data = str(folder / "data")
    call(str(initdb), "-D", data, "-U", "mlcore", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    call(str(control), "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
    made = 0

    def fresh() -> str:
        nonlocal made
        made += 1
        call(str(_binary("createdb")), "-h", str(folder), "-U", "mlcore", f"d{made}")
        return f"postgresql+psycopg://mlcore:s3cret-word@/d{made}?host={folder}"

    yield fresh
    call(str(control), "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    made: str = request.getfixturevalue("postgres")()
    return made


@pytest.fixture
def log(url: str) -> DecisionLog:
    return DecisionLog(url, actor="ann")
