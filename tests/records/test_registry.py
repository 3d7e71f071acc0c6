"""Runs and model versions in a real MLflow on SQLite."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlcore.errors import RegistryError, UsageError
from mlcore.records import tracking
from mlcore.records.registry import Registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGESTS = {"1": "ab12" + "0" * 60, "2": "ab34" + "0" * 60, "3": "cd56" + "0" * 60}


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's schema, made once; each test gets a copy."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    tracking.prepare(f"sqlite:///{file}")
    return file


@pytest.fixture
def registry(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    for name in ("MLFLOW_TRACKING_URI", "MLCORE_DECISIONS_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".mlcore").mkdir()
    shutil.copy(database, tmp_path / ".mlcore" / "mlflow.db")
    return Registry.open(tmp_path, actor="ann")


@pytest.fixture
def three(registry: Registry) -> Registry:
    for version, digest in DIGESTS.items():
        assert registry.register("m", registry.root / ".mlcore/bundles" / digest[:12], digest=digest) == version
    return registry


def outside(registry: Registry) -> MlflowClient:
    """Someone who uses MLflow without mlcore."""
    return tracking.connect(registry.tracking_uri)


def promote(registry: Registry, version: str) -> None:
    registry.log.promote("m", version, expected=registry.log.champion("m"), reason="better")
    registry.project("m")


def alias(registry: Registry) -> str | None:
    found = outside(registry).get_registered_model("m").aliases.get("champion")
    return None if found is None else str(found)


def test_a_run_keeps_parameters_metrics_tags_and_files(registry: Registry) -> None:
    (registry.root / "report.txt").write_text("hello")
    many = {f"p{i}": i for i in range(130)}
    run = registry.log_run(
        "flights",
        params=many,
        metrics={"auc": 0.7, "worst": float("nan")},
        tags={"who": "ann"},
        artifacts=[registry.root / "report.txt"],
    )
    kept = outside(registry).get_run(run)
    assert kept.data.params == {key: str(value) for key, value in many.items()}
    assert kept.data.metrics["auc"] == 0.7 and kept.data.metrics["worst"] != kept.data.metrics["worst"]
    assert kept.data.tags["who"] == "ann" and kept.info.status == "FINISHED"
    assert [f.name for f in (registry.root / ".mlcore/artifacts").rglob("*.txt")] == ["report.txt"]


def test_runs_of_one_experiment_lie_together(registry: Registry) -> None:
    runs = {registry.log_run("flights", params={}, metrics={}) for _ in range(2)}
    client = outside(registry)
    assert len({client.get_run(run).info.experiment_id for run in runs}) == 1


def test_a_version_keeps_folder_digest_and_status(registry: Registry) -> None:
    run = registry.log_run("m", params={}, metrics={})
    folder = registry.root / ".mlcore/bundles/x"
    registry.register("m", folder, digest=DIGESTS["1"], run_id=run, status="approved")
    (version,) = registry.versions("m")
    assert (
        version.version,
        version.status,
        version.bundle,
        version.digest,
        version.run_id,
        version.champion,
    ) == (
        "1",
        "approved",
        folder,
        DIGESTS["1"],
        run,
        False,
    )
    assert version.created.endswith("+00:00")


def test_bundle_paths_survive_a_move_of_the_project(three: Registry, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / ".mlcore", tmp_path / "moved" / ".mlcore")
    moved = Registry.open(tmp_path / "moved", actor="ann").get("m", "1")
    assert moved.bundle == tmp_path / "moved" / ".mlcore/bundles" / DIGESTS["1"][:12]


def test_a_bundle_outside_the_project_keeps_its_full_path(registry: Registry) -> None:
    registry.register("m", Path("/elsewhere/b"), digest=DIGESTS["1"])
    assert registry.get("m", "1").bundle == Path("/elsewhere/b")


def test_a_status_can_be_changed(three: Registry) -> None:
    three.set_status("m", "2", "rejected")
    assert [v.status for v in three.versions("m")] == ["candidate", "rejected", "candidate"]
    with pytest.raises(UsageError, match="'fine' is no status; use one of candidate, rejected, approved"):
        three.set_status("m", "2", "fine")  # type: ignore[arg-type]


@pytest.mark.parametrize(("ref", "version"), [("2", "2"), ("ab34", "2"), (DIGESTS["3"], "3"), ("champion", "1")])
def test_a_version_is_found_by_number_digest_and_alias(three: Registry, ref: str, version: str) -> None:
    promote(three, "1")
    assert three.get("m", ref).version == version


def test_a_digest_is_found_across_models(three: Registry) -> None:
    three.register("other", Path("/b"), digest="ef78" + "0" * 60)
    assert (three.find("ef78").name, three.find("ab12").version) == ("other", "1")
    assert three.names() == ("m", "other")


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("9", "model 'm' has no '9'; its latest versions are 1, 2, 3"),
        ("ffff", "model 'm' has no 'ffff'"),
        ("champion", "model 'm' has no 'champion'"),
        ("xyz%' or 1=1", "model 'm' has no"),
    ],
)
def test_a_reference_that_names_nothing_says_what_there_is(three: Registry, ref: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        three.get("m", ref)


def test_an_ambiguous_digest_is_refused(three: Registry) -> None:
    three.register("m", Path("/b"), digest="ab12" + "f" * 60)
    with pytest.raises(RegistryError, match=r"'ab12' fits more than one Bundle: m:1 \(ab1200000000\), m:4"):
        three.find("ab12")


def test_an_unknown_model_is_refused(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="no model 'm' is registered in"):
        registry.get("m", "1")
    with pytest.raises(RegistryError, match="no registered Bundle has a digest"):
        registry.find("abcd")


@pytest.mark.parametrize("name", ["", "a b", "a'b", "a/b", "../m", "a:b", "a@b"])
def test_a_name_that_is_no_name_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"):
        registry.register(name, Path("/b"), digest=DIGESTS["1"])


def test_the_alias_follows_the_log(three: Registry) -> None:
    promote(three, "1")
    assert alias(three) == "1"
    promote(three, "3")
    three.log.rollback("m", reason="bad")
    three.project("m")
    assert alias(three) == "1"
    assert [v.champion for v in three.versions("m")] == [True, False, False]


def test_an_alias_moved_outside_is_recorded_and_set_right_on_open(three: Registry) -> None:
    promote(three, "1")
    outside(three).set_registered_model_alias("m", "champion", "2")
    assert Registry.open(three.root, actor="bob").champion("m") == "1"
    Registry.open(three.root, actor="bob").names()
    assert alias(three) == "1"
    entry = three.log.entries()[-1]
    assert (entry.actor, entry.action, entry.from_, entry.to) == ("bob", "external", "1", "2")
    Registry.open(three.root, actor="bob").names()
    assert len(three.log.entries()) == 2


def test_an_alias_removed_outside_is_recorded_and_set_right(three: Registry) -> None:
    promote(three, "1")
    outside(three).delete_registered_model_alias("m", "champion")
    entry = three.reconcile("m")
    assert entry is not None and (entry.action, entry.from_, entry.to) == ("external", "1", None)
    assert alias(three) == "1"


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_projection_cut_short_is_finished_and_not_taken_for_an_outsider(
    three: Registry, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    promote(three, "1")
    three.log.promote("m", "2", expected="1", reason="better")
    client = three._connected
    calls = 0

    def dying(real: object) -> object:
        def call(*words: str) -> None:
            nonlocal calls
            if calls == step:
                raise KeyboardInterrupt
            calls += 1
            real(*words)  # type: ignore[operator]

        return call

    for name in ("set_registered_model_tag", "set_registered_model_alias"):
        monkeypatch.setattr(client, name, dying(getattr(client, name)))
    if step < 3:
        with pytest.raises(KeyboardInterrupt):
            three.project("m")
    else:
        three.project("m")
    assert Registry.open(three.root, actor="ann").reconcile("m") is None
    assert alias(three) == "2"
    assert [e.action for e in three.log.entries()] == ["promote", "promote"]


def test_an_alias_older_than_the_log_is_adopted(three: Registry) -> None:
    outside(three).set_registered_model_alias("m", "champion", "2")
    assert three.champion("m") == "2"
    entry = three.reconcile("m")
    assert entry is not None and (entry.action, entry.to) == ("adopt", "2")
    assert three.log.champion("m") == "2" and alias(three) == "2"
    assert three.reconcile("m") is None


def test_a_deleted_champion_is_recorded_once(three: Registry) -> None:
    promote(three, "1")
    promote(three, "2")
    outside(three).delete_model_version("m", "2")
    entry = three.reconcile("m")
    assert entry is not None and "version 2 was deleted from MLflow" in entry.reason
    assert three.reconcile("m") is None
    three.log.rollback("m", reason="deleted")
    three.project("m")
    assert alias(three) == "1"


def test_a_model_that_is_not_mlcores_is_left_alone(registry: Registry) -> None:
    client = outside(registry)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", "s3://x/y")
    client.set_registered_model_alias("theirs", "champion", "1")
    assert registry.versions("theirs") == () and registry.log.entries() == ()


def test_the_environment_leads_to_another_tracking_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:s3cret-word@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry = Registry.open(tmp_path, actor="ann")
    with pytest.raises(RegistryError, match=r"model registry http://\*\*\*@127\.0\.0\.1:9: ") as caught:
        registry.names()
    assert "s3cret-word" not in str(caught.value) + repr(registry)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [b"neither a database nor anything else" * 9, b"SQLite format 3\0" + b"x" * 500])
def test_a_registry_file_that_is_no_database_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / ".mlcore/mlflow.db"
    file.parent.mkdir()
    file.write_bytes(text)
    with pytest.raises(RegistryError, match=r"model registry .*mlflow\.db: .*; put back a copy"):
        Registry.open(tmp_path, actor="ann").names()
    assert file.read_bytes() == text


def test_a_locked_registry_is_a_clear_error(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_BUSY_SECONDS", 0.05)
    other = sqlite3.connect(registry.root / ".mlcore/mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RegistryError, match=r"mlflow\.db: database is locked"):
        registry.names()
    other.close()


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / ".mlcore").write_text("in the way")
    with pytest.raises(RegistryError, match=r"mlflow\.db: cannot be made"):
        Registry.open(tmp_path, actor="ann").names()


def test_an_interrupted_first_open_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.store.db.utils

    def stop(_engine: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.store.db.utils, "_upgrade_db", stop)
    with pytest.raises(KeyboardInterrupt):
        tracking.prepare(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


QUIET = """
import sys
from pathlib import Path
from mlcore.records.registry import Registry
registry = Registry.open(Path(sys.argv[1]), actor="ann")
assert "mlflow" not in sys.modules
registry.register("m", Path(sys.argv[1]) / sys.argv[2], digest=sys.argv[2] * 64)
import os
assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true" and os.environ["DO_NOT_TRACK"] == "true"
"""


@pytest.mark.slow
def test_two_first_opens_at_once_share_one_quiet_database(tmp_path: Path) -> None:
    words = [sys.executable, "-W", "error", "-c", QUIET, str(tmp_path)]
    environment = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "DO_NOT_TRACK")}
    both = [
        subprocess.Popen([*words, word], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        for word in "ab"
    ]
    assert [p.communicate(timeout=60)[0] for p in both] == [b"", b""]
    assert sorted(v.digest[0] for v in Registry.open(tmp_path, actor="ann").versions("m")) == ["a", "b"]
    assert [f.name for f in (tmp_path / ".mlcore").iterdir()] == ["mlflow.db"]
