"""Bad input through the command line: one clear message, the right exit code, nothing complete lost or half-written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

STEPS = ("ingest", "validate", "train", "evaluate", "register", "score", "watch")


def kept(project: Path) -> dict[str, bytes]:
    """Every file of the project that a finished run leaves for people and later steps."""
    folders = ("data", "scores", "report", ".mlcore/bundles", ".mlcore/snapshots")
    files = [path for folder in folders for path in sorted((project / folder).rglob("*")) if path.is_file()]
    return {str(path.relative_to(project)): path.read_bytes() for path in files}


def one_message(text: str) -> str:
    """Return standard error, which must be a single message of mlcore's and no traceback."""
    assert text.startswith("mlcore: ")
    assert "Traceback" not in text
    assert "bug of mlcore" not in text
    return text


# Raw data: what is done to raw/flights.csv, and what the message must say.


def _csv(project: Path) -> Path:
    return project / "raw" / "flights.csv"


def _parquet(project: Path, **changed: pa.Array) -> Path:
    """Replace the CSV by the ingested months as raw Parquet, the last with changed columns."""
    _csv(project).unlink()
    months = sorted((project / "data").glob("*.parquet"))
    for path in months:
        shutil.copy(path, project / "raw" / path.name)
    last = project / "raw" / months[-1].name
    table = pq.read_table(last)
    for name, values in changed.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, last)
    toml = project / "mlcore.toml"
    toml.write_text(toml.read_text().replace('"raw/flights.csv"', '"raw"'))
    return last


def cut_parquet(project: Path) -> str:
    path = _parquet(project)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return f"{path} is not a whole Parquet file"


def ragged_row(project: Path) -> str:
    lines = _csv(project).read_text().splitlines()
    lines[100] += ",one too many"
    _csv(project).write_text("\n".join(lines) + "\n")
    return "row 101: expected 35 columns, found 36"


def column_that_changed_type(project: Path) -> str:
    rows = pq.read_metadata(sorted((project / "data").glob("*.parquet"))[-1]).num_rows
    path = _parquet(project, distance=pa.array(["far"] * rows))
    return f"column 'distance' in {path}: expected"


def empty_file(project: Path) -> str:
    _csv(project).write_bytes(b"")
    return f"{_csv(project)} is empty"


def zero_rows(project: Path) -> str:
    _csv(project).write_text(_csv(project).read_text().splitlines()[0] + "\n")
    return "zero rows"


def folder_without_data(project: Path) -> str:
    _csv(project).unlink()
    toml = project / "mlcore.toml"
    toml.write_text(toml.read_text().replace('"raw/flights.csv"', '"raw"'))
    return "holds no data"


def path_that_is_not_there(project: Path) -> str:
    _csv(project).unlink()
    return "flights.csv does not exist"


def path_that_cannot_be_read(project: Path) -> str:
    _csv(project).unlink()
    _csv(project).symlink_to("/proc/self/mem")  # opens for root too, and every read fails
    return "flights.csv"


@pytest.mark.parametrize(
    "spoil",
    [
        cut_parquet,
        ragged_row,
        column_that_changed_type,
        empty_file,
        zero_rows,
        folder_without_data,
        path_that_is_not_there,
        path_that_cannot_be_read,
    ],
)
def test_bad_raw_data_stops_the_run_and_keeps_what_was_made(
    spoil: Callable[[Path], str], project: Path, mlcore: Any
) -> None:
    expected = spoil(project)
    before = kept(project)
    ended = mlcore("run", "--project", project)
    assert ended.code == 2
    assert expected in one_message(ended.err)
    assert kept(project) == before


def test_data_that_breaks_its_schema_stops_the_run_with_column_and_count(project: Path, mlcore: Any) -> None:
    lines = _csv(project).read_text().splitlines()
    at = lines[0].replace('"', "").split(",").index("distance")
    for row in (10, 20, 30):
        cells = lines[row].split(",")
        cells[at] = "99999"
        lines[row] = ",".join(cells)
    _csv(project).write_text("\n".join(lines) + "\n")
    ended = mlcore("run", "--project", project)
    assert ended.code == 1
    assert "column 'distance'" in one_message(ended.err)
    assert "3 " in ended.err
    assert mlcore("models", "list", "--project", project, "--json").json[0]["champion"]


def test_debug_shows_the_traceback(project: Path, mlcore: Any) -> None:
    _csv(project).write_bytes(b"")
    with pytest.raises(Exception, match="is empty"):
        mlcore("run", "--project", project, "--debug")


# Models and Bundles.


@pytest.fixture
def bundle(project: Path) -> Path:
    facts = json.loads((project / ".mlcore" / "steps" / "train.json").read_text())["result"]
    return project / facts["bundle"]


def _score(mlcore: Any, project: Path, model: object) -> Any:
    return mlcore("score", model, project / "data" / "2013-07.parquet", "--out", project / "out", "--project", project)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_model_file_cut_short_is_named(share: float, project: Path, bundle: Path, mlcore: Any) -> None:
    whole = next(bundle.glob("*.ubj")).read_bytes()
    path = project / "cut.ubj"
    path.write_bytes(whole[: int(share * len(whole))])
    ended = _score(mlcore, project, path)
    assert ended.code == 2
    assert "cut.ubj" in one_message(ended.err)
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    "content", [b"\x80\x04\x95\x10\x00\x00\x00", b"tree\nversion=v4\n", b'{"a": 1}', b"\x89PNG\r\n\x1a\n" + b"\0" * 64]
)
def test_a_model_file_of_another_kind_is_named(content: bytes, project: Path, mlcore: Any) -> None:
    path = project / "other.model"
    path.write_bytes(content)
    ended = _score(mlcore, project, path)
    assert ended.code == 2
    assert "other.model" in one_message(ended.err)
    if content[:1] not in b"{t":
        assert "begin no model that is read; XGBoost's JSON" in ended.err


def test_a_file_to_score_whose_column_changed_type_is_named(project: Path, bundle: Path, mlcore: Any) -> None:
    july = pq.read_table(project / "data" / "2013-07.parquet")
    at = july.column_names.index("distance")
    path = project / "in.parquet"
    pq.write_table(july.set_column(at, "distance", july["distance"].cast(pa.string())), path)
    ended = mlcore("score", bundle, path, "--out", project / "out", "--project", project)
    assert ended.code == 2
    assert f"{path}, row group 0: column 'distance': expected int64, found string\n" in one_message(ended.err)


def test_a_bundle_with_one_byte_changed_is_refused(project: Path, bundle: Path, mlcore: Any) -> None:
    for path in sorted(bundle.iterdir()):
        whole = path.read_bytes()
        spoiled = bytearray(whole)
        spoiled[len(whole) // 2] ^= 1
        path.write_bytes(bytes(spoiled))
        ended = _score(mlcore, project, bundle)
        assert ended.code == 2, path
        assert path.name in one_message(ended.err)
        path.write_bytes(whole)
    assert _score(mlcore, project, bundle).code == 0


# A full disk.


def _limit_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes past the limit fail as on a full disk, with an error
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def _run(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlcore.cli", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def months(project: Path) -> Path:
    """Two inputs: a small one first, then one whose output passes a megabyte."""
    folder = project / "in"
    folder.mkdir()
    july = pq.read_table(project / "data" / "2013-07.parquet")
    rng = np.random.default_rng(0)
    for name, count in (("a", 1_000), ("b", 200_000)):
        rows = july.take(pa.array(rng.integers(0, len(july), count)))
        pq.write_table(rows.append_column("key", pa.array(rng.random(count))), folder / f"{name}.parquet")
    return folder


def _outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_a_file_too_large_for_the_disk_leaves_whole_files_only(project: Path, bundle: Path, months: Path) -> None:
    command = ("score", bundle, months, "--out", project / "out", "--keep", "key", "--threads", 1)
    ended = _run(*command, preexec_fn=_limit_files)
    assert ended.returncode == 2, ended.stderr
    assert "b.parquet" in one_message(ended.stderr)
    assert sorted(path.name for path in (project / "out").iterdir() if path.is_file()) == ["a.parquet", "manifest.json"]
    again = _run(*command, "--json")
    assert json.loads(again.stdout)["skipped"] == 1
    undisturbed = _run("score", bundle, months, "--out", project / "whole", "--keep", "key", "--threads", 1)
    assert undisturbed.returncode == 0
    assert _outputs(project / "out") == _outputs(project / "whole")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_while_scoring_is_named_and_leaves_no_partial_file(
    small_disk: Path, bundle: Path, months: Path
) -> None:
    ended = _run("score", bundle, months, "--out", small_disk / "out", "--keep", "key", "--threads", 1)
    assert ended.returncode == 2
    assert "space" in one_message(ended.stderr)
    assert sorted(path.name for path in (small_disk / "out").glob("*.parquet")) == ["a.parquet"]
    assert not list((small_disk / "out").glob(".*"))


# Ctrl-C.

# Sends the interrupt from inside, when the named step has begun: where a user's would arrive, but always there.
_INTERRUPTED = """
import os, signal, sys, threading
from dataclasses import replace
from mlcore.cli import main
from mlcore.project import run

def interrupted(step):
    def work(context):
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        result = step.work(context)
        threading.Event().wait(5)  # a quick step is still at it when the signal comes
        return result
    return replace(step, work=work)

run.STEPS = tuple(interrupted(step) if step.name == sys.argv[2] else step for step in run.STEPS)
sys.exit(main(["run", "--project", sys.argv[1]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_ctrl_c_at_any_step_keeps_what_was_complete_and_the_next_run_goes_on(
    step: str, project: Path, mlcore: Any, finished: Path
) -> None:
    index = STEPS.index(step)
    for later in STEPS[index:]:
        (project / ".mlcore" / "steps" / f"{later}.json").unlink()
    before = kept(project)
    command = [sys.executable, "-c", _INTERRUPTED, str(project), step]
    started = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert time.monotonic() - started < 30
    assert ended.returncode == 130, ended.stderr
    assert "interrupted" in one_message(ended.stderr)
    assert before.keys() <= kept(project).keys()
    again = mlcore("run", "--project", project, "--json")
    assert again.code == 0
    assert [s["skipped"] for s in again.json["steps"]][:index] == [True] * index
    assert {name: text for name, text in kept(project).items() if name.startswith(("data/", "scores/2"))} == {
        name: text for name, text in kept(finished).items() if name.startswith(("data/", "scores/2"))
    }
    assert not list(project.rglob("*.partial"))


def test_ctrl_c_where_python_can_raise_nothing_shows_no_traceback() -> None:
    code = """
import os, signal
from mlcore.cli import interrupt
class Gone:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        len("")  # the signal arrives here at the latest
with interrupt.noted():
    Gone()
    print(interrupt.seen())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_a_closed_pipe_is_not_an_error(finished: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "mlcore.cli", "data", "show", "--project", str(finished)]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")
