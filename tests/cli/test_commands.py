"""The command line: help that fits, one JSON document where programs read, exit codes, messages without tracebacks."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mlcore as package
from mlcore.cli.parser import build

COMMANDS = [
    ("demo",), ("run",), ("ingest",), ("validate",), ("train",), ("evaluate",), ("register",), ("watch",), ("score",),
    ("data", "list"), ("data", "show"), ("data", "diff"), ("data", "verify"),
    ("models", "list"), ("models", "show"), ("models", "promote"), ("models", "rollback"),
    ("audit", "verify"), ("audit", "list"), ("doctor",),
]  # fmt: skip


def test_the_list_above_is_complete() -> None:
    found = set()
    for name, parser in next(a for a in build()._actions if a.dest == "command").choices.items():
        groups = [a for a in parser._actions if a.dest == "action"]
        found |= {(name, action) for group in groups for action in group.choices} or {(name,)}
    assert found == set(COMMANDS)


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_help_fits_a_screen(words: tuple[str, ...], mlcore: Any) -> None:
    ended = mlcore(*words, "--help")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100


def test_the_version_is_said(mlcore: Any) -> None:
    assert mlcore("--version").out == f"mlcore {package.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [("run",), ("run", "--dry-run"), ("evaluate",), ("watch",), ("data", "list"), ("data", "show"), ("data", "verify"),
     ("models", "list"), ("models", "show", "flights@champion"), ("audit", "verify"), ("audit", "list"), ("doctor",)],
    ids=" ".join,
)  # fmt: skip
def test_json_is_one_document(words: tuple[str, ...], project: Path, mlcore: Any) -> None:
    ended = mlcore(*words, "--json", "--project", project)
    assert ended.code == 0, ended.err
    assert ended.json is not None
    assert ended.err == ""


@pytest.mark.parametrize("words", [("nothing",), ("run", "--nothing"), ("models", "promote", "m", "1")])
def test_unknown_words_are_usage_errors(words: tuple[str, ...], mlcore: Any) -> None:
    ended = mlcore(*words)
    assert ended.code == 2
    assert "error" in ended.err


@pytest.mark.parametrize("words", [("score", "model.ubj"), ("data", "list")], ids=" ".join)
def test_an_unknown_option_shows_the_usage_of_its_command(words: tuple[str, ...], mlcore: Any) -> None:
    ended = mlcore(*words, "--nothing")
    assert ended.code == 2
    assert ended.err.startswith(f"usage: mlcore {words[0]}")
    assert "error: unrecognized arguments: --nothing" in ended.err


def test_an_error_is_json_too_when_asked_for(tmp_path: Path, mlcore: Any) -> None:
    ended = mlcore("run", "--json", "--project", tmp_path)
    assert ended.code == 2
    assert ended.json["error"]["type"] == "ConfigError"
    assert "mlcore demo" in ended.json["error"]["message"]


def test_a_bug_is_called_so_and_has_its_own_code(project: Path, mlcore: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlcore.cli.doctor.examine", lambda: 1 / 0)
    ended = mlcore("doctor")
    assert ended.code == 70
    assert "bug of mlcore" in ended.err


def test_off_a_terminal_nothing_is_coloured_and_no_bar_is_drawn(project: Path) -> None:
    (project / ".mlcore" / "steps" / "score.json").unlink()
    command = [sys.executable, "-m", "mlcore.cli", "run", "--project", str(project)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\r" not in ended.stdout
    assert "score" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_has_colours_unless_no_color_is_set(extra: dict[str, str], coloured: bool, project: Path) -> None:
    (project / ".mlcore" / "steps" / "watch.json").unlink()  # a step that runs has a green mark
    command = f"{sys.executable} -m mlcore.cli run --project {project}"
    environment = {**os.environ, "TERM": "xterm", **extra}
    words = ["script", "-qec", command, "/dev/null"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert bool(re.search(r"\x1b\[[0-9;]*3[1-7]m", ended.stdout)) is coloured


def test_doctor_says_what_runs_and_what_is_missing(mlcore: Any) -> None:
    found = mlcore("doctor", "--json").json
    assert found["backends"]["cpu"]["missing"] == ""
    assert found["backends"]["cpu"]["isa"]
    missing = {p["package"]: p["add"] for p in found["packages"] if not p["version"]}
    assert all(re.fullmatch(r"pip install 'mlcore\[\w+\]'", add) for add in missing.values())
    assert {"catboost", "onnx"} <= {p["package"] for p in found["packages"]}
    assert found["in_use"].startswith(("cpu", "numba"))


def test_snapshots_are_listed_shown_compared_and_verified(project: Path, mlcore: Any) -> None:
    first = mlcore("data", "list", "--json", "--project", project).json[0]
    lines = (project / "raw" / "flights.csv").read_text().splitlines()
    (project / "raw" / "flights.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert mlcore("ingest", "--project", project).code == 0
    difference = mlcore("data", "diff", first["id"][:8], "--json", "--project", project).json
    assert difference["rows"] == -1
    assert len(difference["changed"]) == 1
    assert "12 files are as they were" in mlcore("data", "verify", "--project", project).out
    path = next((project / "data").glob("2013-03.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    ended = mlcore("data", "verify", "--project", project)
    assert ended.code == 2
    assert "2013-03.parquet was altered" in ended.err


def test_a_version_is_promoted_rolled_back_and_the_way_back_is_said(project: Path, mlcore: Any) -> None:
    toml = project / "mlcore.toml"
    toml.write_text(toml.read_text().replace("max_depth = 6", "max_depth = 3"))
    assert mlcore("run", "--quiet", "--project", project).code == 0
    versions = mlcore("models", "list", "--json", "--project", project).json
    assert [v["champion"] for v in versions] == [False, True]
    back = mlcore("models", "rollback", "flights", "--reason", "worse in the evening", "--project", project)
    assert "version 2 → version 1" in back.out
    assert "undo: mlcore models promote flights 2" in back.out
    assert mlcore("models", "promote", "flights", "2", "--reason", "no, better", "--project", project).code == 0
    reasons = [entry["reason"] for entry in mlcore("audit", "list", "--json", "--project", project).json]
    assert reasons[-2:] == ["worse in the evening", "no, better"]
    again = mlcore("models", "promote", "flights", "9", "--reason", "x", "--project", project)
    assert again.code == 2
    assert "9" in again.err


def test_a_tampered_log_is_found_with_its_entry(project: Path, mlcore: Any) -> None:
    assert mlcore("audit", "verify", "--project", project).code == 0
    head = mlcore("audit", "verify", "--json", "--project", project).json["head"]
    database = next(path for path in (project / ".mlcore").glob("*.db") if _holds_decisions(path))
    with sqlite3.connect(database) as connection:
        table = _holds_decisions(database)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute(f"UPDATE {table} SET reason = 'nothing to see' WHERE seq = 2")
    ended = mlcore("audit", "verify", "--project", project)
    assert ended.code == 1
    assert "entry 2" in ended.err
    with sqlite3.connect(database) as connection:
        connection.execute(f"DELETE FROM {table} WHERE seq >= 2")
    shortened = mlcore("audit", "verify", "--head", head, "--project", project)
    assert shortened.code == 1


def _holds_decisions(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in tables:
            columns = {row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')}
            if {"seq", "prev_hash", "hash", "reason"} <= columns:
                return name
    return ""


def test_files_are_scored_with_the_champion_by_name(project: Path, mlcore: Any) -> None:
    ended = mlcore(
        "score", "flights@champion", project / "data" / "2013-12.parquet", "--out", project / "out", "--keep",
        "flight,dest", "--json", "--project", project,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    import pyarrow.parquet as pq

    mine, before = (pq.read_table(project / folder / "2013-12.parquet") for folder in ("out", "scores"))
    assert mine.column_names == ["flight", "dest", "score"]
    assert mine["score"].equals(before["score"])
    assert ended.json["rows"] == len(mine)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("score", "flights@champion"), "give a model, the files and --out"),
        (("score", "gone.ubj", "x", "--out", "y"), "gone.ubj does not exist"),
        (("score", "nobody@champion", "x", "--out", "y"), "nobody"),
        (("models", "show", "flights:99"), "99"),
        (("data", "show", "zz"), "no snapshot"),
        (("demo", "--rows", "10"), "at least 2000"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], message: str, project: Path, mlcore: Any) -> None:
    ended = mlcore(*words, "--project", project)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.startswith("mlcore: ")


def test_the_demo_does_not_write_into_a_folder_that_holds_something_else(tmp_path: Path, mlcore: Any) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ended = mlcore("demo", "--dir", tmp_path)
    assert ended.code == 2
    assert "holds something else" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_drift_can_fail_a_pipeline(project: Path, mlcore: Any) -> None:
    assert mlcore("watch", "--project", project).code == 0
    assert mlcore("watch", "--fail-on-drift", "--project", project).code == 1


def test_steps_say_which_step_they_need(tmp_path: Path, finished: Path, mlcore: Any) -> None:
    (tmp_path / "mlcore.toml").write_text((finished / "mlcore.toml").read_text())
    for step in ("validate", "train", "score"):
        ended = mlcore(step, "--project", tmp_path)
        assert ended.code == 2
        assert "run: mlcore" in ended.err
    assert json.loads((finished / ".mlcore" / "steps" / "ingest.json").read_text())
