"""What a run may rely on: nothing unvalidated, altered, withdrawn or measured on something else gets further."""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest


def change(project: Path, old: str, new: str) -> None:
    toml = project / "mlcore.toml"
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new, 1))


def versions(project: Path, mlcore: Any) -> dict[str, str]:
    listed = mlcore("models", "list", "--json", "--project", project).json
    return {str(item["version"]): item["status"] for item in listed}


@pytest.mark.parametrize("name", ["arr_delay", "dep_delay"])
@pytest.mark.parametrize("command", ["run", "train", "score"])
def test_what_is_known_too_late_is_refused_whatever_ran_before(
    name: str, command: str, project: Path, mlcore: Any
) -> None:
    change(project, '"flight", "distance"]', f'"flight", "distance", "{name}"]')
    ended = mlcore(command, "--project", project)
    assert ended.code == 2
    assert f"column '{name}' has role" in ended.err


def test_metrics_of_another_bundle_gate_nothing(project: Path, mlcore: Any) -> None:
    change(project, "max_depth = 6", "max_depth = 2")
    assert mlcore("train", "--project", project, "--quiet").code == 0
    ended = mlcore("register", "--project", project)
    assert ended.code == 2
    assert "the metrics are another Bundle's" in ended.err
    assert versions(project, mlcore) == {"1": "approved"}


def test_single_steps_do_not_pass_a_failed_validation(project: Path, mlcore: Any) -> None:
    change(project, "distance = { min = 1, max = 6000 }", "distance = { min = 1, max = 100 }")
    assert mlcore("run", "--project", project).code == 1
    for step in ("train", "evaluate", "score"):
        ended = mlcore(step, "--project", project)
        assert ended.code == 2
        assert "has not passed validation; run: mlcore validate" in ended.err


def test_a_bundle_that_was_rolled_back_does_not_come_back_by_itself(project: Path, mlcore: Any) -> None:
    change(project, "max_depth = 6", "max_depth = 3")
    assert mlcore("run", "--project", project, "--quiet").code == 0
    assert mlcore("models", "rollback", "flights", "--reason", "worse", "--project", project).code == 0
    change(project, "auc = { min = 0.65 }", "auc = { min = 0.5 }")
    ended = mlcore("run", "--project", project, "--quiet")
    assert ended.code == 1
    assert "the Bundle of version 2, which was rolled back" in ended.err
    assert set(versions(project, mlcore)) == {"1", "2"}


def test_an_altered_log_names_no_champion(project: Path, mlcore: Any) -> None:
    with sqlite3.connect(project / ".mlcore" / "decisions.db") as log:
        triggers = [row[0] for row in log.execute("select name from sqlite_master where type = 'trigger'")]
        for trigger in triggers:
            log.execute(f'drop trigger "{trigger}"')
        assert log.execute("update decisions set \"to\" = '7' where action = 'promote'").rowcount == 1
    for words in (("run",), ("score",), ("models", "promote", "flights", "1", "--reason", "back")):
        ended = mlcore(*words, "--project", project)
        assert ended.code == 1
        assert "decision log, entry" in ended.err


def test_a_registry_whose_bundle_was_exchanged_is_not_scored_with(project: Path, mlcore: Any) -> None:
    with sqlite3.connect(project / ".mlcore" / "mlflow.db") as registry:
        told = registry.execute("update model_version_tags set value = ? where key = 'mlcore.digest'", ("0" * 64,))
        assert told.rowcount == 1
    ended = mlcore("score", "--project", project)
    assert ended.code == 2
    assert "was promoted as Bundle" in ended.err


def test_altered_data_is_not_trained_on(project: Path, mlcore: Any) -> None:
    path = project / "data" / "2013-01.parquet"
    table = pq.read_table(path)
    late = pa.array([99] * len(table), table.schema.field("arr_delay").type)
    pq.write_table(table.set_column(table.column_names.index("arr_delay"), "arr_delay", late), path)
    change(project, "max_depth = 6", "max_depth = 2")
    ended = mlcore("train", "--project", project)
    assert ended.code == 2
    assert "2013-01.parquet was altered" in ended.err


def test_two_runs_at_once_are_a_conflict(project: Path, mlcore: Any) -> None:
    with (project / ".mlcore" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = mlcore("run", "--project", project)
    assert ended.code == 3
    assert "another run is at work" in ended.err
    assert mlcore("run", "--project", project, "--quiet").code == 0


@pytest.mark.slow
def test_a_demo_interrupted_while_it_wrote_its_data_goes_on(finished: Path, tmp_path: Path, mlcore: Any) -> None:
    folder = tmp_path / "flights"
    (folder / "raw").mkdir(parents=True)
    shutil.copy(finished / "mlcore.toml", folder)
    (folder / "raw" / ".flights.csv.7.partial").write_text("year,mon")
    assert mlcore("demo", "--dir", folder, "--rows", 2000, "--quiet").code == 0
    assert (folder / "report" / "drift.html").exists()


def test_a_folder_may_be_called_like_a_pattern(project: Path, tmp_path: Path, mlcore: Any) -> None:
    moved = project.rename(tmp_path / "pr [x] ü")
    change(moved, 'source = "raw/flights.csv"', 'source = "raw/*.csv"')
    assert mlcore("run", "--project", moved, "--quiet").code == 0


@pytest.mark.parametrize("words", [("--out", "X"), ("--backend", "numba"), ("--no-resume",), ("--keep", "a")])
def test_options_for_files_are_refused_without_a_model(words: tuple[str, ...], project: Path, mlcore: Any) -> None:
    ended = mlcore("score", *words, "--project", project)
    assert ended.code == 2
    assert f"{words[0]}: only for files of your own, with a model" in ended.err


def test_scores_of_another_model_are_not_watched_as_the_champions(project: Path, mlcore: Any) -> None:
    change(project, "max_depth = 6", "max_depth = 3")
    assert mlcore("run", "--project", project, "--quiet").code == 0
    assert mlcore("models", "rollback", "flights", "--reason", "worse", "--project", project).code == 0
    ended = mlcore("watch", "--project", project)
    assert ended.code == 2
    assert "the scores are not flights:1's, which is champion now; run: mlcore score" in ended.err
    assert mlcore("score", "--project", project, "--quiet").code == 0
    assert mlcore("watch", "--project", project, "--quiet").code == 0


def test_a_lost_snapshot_and_a_damaged_bundle_are_made_again(project: Path, mlcore: Any) -> None:
    for manifest in (project / ".mlcore" / "snapshots").glob("*.json"):
        manifest.unlink()
    [folder] = (project / ".mlcore" / "bundles").iterdir()
    (folder / "model.arrow").unlink()
    assert mlcore("run", "--project", project, "--quiet").code == 0
    names = sorted(path.name.split("-")[0] for path in (project / ".mlcore" / "bundles").iterdir())
    assert names == [folder.name, f"{folder.name}.damaged"]
    assert (folder / "model.arrow").exists()


OVERFITTED = """
[project]
name = "noise"
[data]
source = "raw.csv"
time = "t"
[target]
column = "y"
above = 0
[[features]]
columns = ["a", "b", "c"]
[train]
until = 2020-05-01
holdout = 0.3
rounds = 60
early_stopping = 0
[train.params]
max_depth = 10
eta = 0.3
[score]
since = 2020-05-01
"""


def test_a_model_that_learned_its_rows_by_heart_shows_no_drift_where_there_is_none(tmp_path: Path, mlcore: Any) -> None:
    rng = np.random.default_rng(0)
    rows = 9_000
    days = np.sort(rng.integers(0, 180, rows)) * np.timedelta64(1, "D") + np.datetime64("2020-01-01")
    numbers = {name: rng.normal(size=rows).round(3) for name in "abcy"}
    pacsv.write_csv(pa.table({"t": pa.array(days), **numbers}), tmp_path / "raw.csv")
    (tmp_path / "mlcore.toml").write_text(OVERFITTED)
    assert mlcore("run", "--project", tmp_path, "--quiet").code == 0
    report = json.loads((tmp_path / "report" / "drift.json").read_text())
    found = {item["column"]: item["verdict"] for window in report["windows"] for item in window["columns"]}
    assert found == dict.fromkeys([*"abc", "prediction"], "ok")
