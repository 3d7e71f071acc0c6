"""Promotion and rollback through a real registry, a real log and real Bundles."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mlcore import bundle as bundles
from mlcore import lifecycle
from mlcore.bundle import Bundle
from mlcore.data.schema import Field, Schema
from mlcore.errors import BundleError, Conflict, GateFailed, RegistryError, UsageError
from mlcore.lifecycle import Gate, Submission
from mlcore.models import TreeEnsemble
from mlcore.preprocessing.features import Feature, Transforms
from mlcore.records import tracking
from mlcore.records.registry import Registry

GATES = (Gate("auc", 0.65), Gate("log_loss", None, 0.6))
GOOD = {"auc": 0.7, "log_loss": 0.5}
BAD = {"auc": 0.6, "log_loss": 0.5}


def make(leaf: float) -> Bundle:
    model = TreeEnsemble(
        source="test",
        objective="reg:squarederror",
        link="identity",
        base_margin=(0.0,),
        feature_names=("x",),
        named=True,
        stored_categories=(None,),
        tree_start=np.array([0, 1], np.int64),
        feature=np.array([-1], np.int32),
        threshold=np.zeros(1, np.float32),
        default_left=np.zeros(1, np.uint8),
        left=np.zeros(1, np.int32),
        right=np.zeros(1, np.int32),
        value=np.array([[leaf]], np.float32),
        tree_output=np.zeros(1, np.int32),
        leaf_id=np.zeros(1, np.int32),
        cover=np.zeros(0),
        interval_set=np.full(1, -1, np.int32),
        bound_start=np.zeros(1, np.int64),
        bounds=np.zeros(0, np.float32),
    )
    schema = Schema((Field("x", "double"),))
    return Bundle(model, Transforms((Feature("x", "x", ()),)), schema, provenance={"created": "now"})


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    tracking.prepare(f"sqlite:///{file}")
    return file


@pytest.fixture
def registry(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for name in ("MLFLOW_TRACKING_URI", "MLCORE_DECISIONS_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".mlcore").mkdir()
    shutil.copy(database, tmp_path / ".mlcore/mlflow.db")
    return Registry.open(tmp_path, actor="ann")


def submit(registry: Registry, leaf: float, metrics: dict[str, float] = GOOD, *, stale: bool = False) -> Submission:
    expected = None if stale else lifecycle.champion(registry, "m")
    folder = registry.root / ".mlcore/bundles" / str(leaf)
    digest = make(leaf).save(folder)
    return lifecycle.submit(registry, "m", folder, digest=digest, metrics=metrics, gates=GATES, expected=expected)


def served(registry: Registry) -> float:
    return float(bundles.load("m@champion", registry=registry).model.value[0, 0])


def test_a_candidate_that_meets_its_gates_becomes_champion(registry: Registry) -> None:
    done = submit(registry, 1.0)
    assert done.passed and done.version.status == "approved" and done.version.champion
    assert str(done.change) == "m: no champion → version 1"
    assert done.change is not None and done.change.undo is None
    assert served(registry) == 1.0


def test_the_next_champion_says_what_it_replaced_and_how_to_undo(registry: Registry) -> None:
    submit(registry, 1.0)
    done = submit(registry, 2.0)
    assert str(done.change) == "m: version 1 → version 2"
    assert done.change is not None and done.change.undo == "mlcore models promote m 1 --reason …"
    assert served(registry) == 2.0


@pytest.mark.parametrize("metrics", [BAD, {"auc": float("nan"), "log_loss": 0.5}, {"auc": 0.7}])
def test_a_candidate_that_fails_a_gate_is_registered_and_rejected(
    registry: Registry, metrics: dict[str, float]
) -> None:
    submit(registry, 1.0)
    done = submit(registry, 2.0, metrics)
    assert done.version.status == "rejected" and done.change is None and not done.version.champion
    assert served(registry) == 1.0
    with pytest.raises(GateFailed, match=r"m:2 is rejected: .*must be") as caught:
        done.require()
    assert caught.value.exit_code == 1


def test_every_gate_result_is_logged(registry: Registry) -> None:
    submit(registry, 1.0, BAD)
    entries = registry.log.entries()
    assert [(e.action, e.to) for e in entries] == [("gate", "1"), ("gate", "1"), ("reject", "1")]
    assert entries[0].details == {"metric": "auc", "value": 0.6, "limit": "at least 0.65", "passed": False}
    assert entries[1].details["passed"] is True
    assert entries[2].reason == "gate failed: auc"
    registry.log.verify()


def test_a_champion_that_changed_during_training_is_a_conflict(registry: Registry) -> None:
    submit(registry, 1.0)
    with pytest.raises(Conflict, match="expected no champion as champion, found version 1") as caught:
        submit(registry, 2.0, stale=True)
    assert caught.value.exit_code == 3
    assert served(registry) == 1.0
    assert registry.get("m", "2").status == "approved"


def test_a_version_approved_earlier_is_promoted_by_hand(registry: Registry) -> None:
    submit(registry, 1.0)
    submit(registry, 2.0)
    change = lifecycle.promote(registry, "m", "1", reason="2 is slow")
    assert (change.old, change.new) == ("2", "1") and served(registry) == 1.0
    assert tracking.connect(registry.tracking_uri).get_registered_model("m").aliases == {"champion": 1}


def test_a_digest_prefix_names_what_is_promoted(registry: Registry) -> None:
    submit(registry, 1.0)
    submit(registry, 2.0)
    assert lifecycle.promote(registry, "m", make(1.0).digest[:10], reason="back").new == "1"


def test_a_rejected_version_is_never_promoted(registry: Registry) -> None:
    submit(registry, 1.0, BAD)
    with pytest.raises(GateFailed, match="m:1 is not promoted: a gate failed it"):
        lifecycle.promote(registry, "m", "1", reason="I insist")
    last = registry.log.entries()[-1]
    assert (last.action, last.to, last.reason) == ("deny", "1", "I insist")
    assert registry.log.champion("m") is None


def test_a_status_changed_in_mlflow_does_not_lift_a_rejection(registry: Registry) -> None:
    submit(registry, 1.0, BAD)
    registry.set_status("m", "1", "approved")
    with pytest.raises(GateFailed, match="a gate failed it"):
        lifecycle.promote(registry, "m", "1", reason="it says approved")


def test_a_version_that_saw_no_gates_is_not_promoted(registry: Registry) -> None:
    folder = registry.root / "b"
    registry.register("m", folder, digest=make(1.0).save(folder))
    with pytest.raises(GateFailed, match="it was never held against the gates"):
        lifecycle.promote(registry, "m", "1", reason="hurry")


def test_rollback_puts_the_previous_champion_back(registry: Registry) -> None:
    for leaf in (1.0, 2.0):
        submit(registry, leaf)
    submit(registry, 3.0, BAD)
    submit(registry, 4.0)
    change = lifecycle.rollback(registry, "m", reason="worse")
    assert (change.old, change.new) == ("4", "2") and served(registry) == 2.0
    assert lifecycle.rollback(registry, "m", reason="worse still").new == "1"
    with pytest.raises(RegistryError, match="no earlier champion is left"):
        lifecycle.rollback(registry, "m", reason="hopeless")
    assert served(registry) == 1.0


def test_a_rollback_is_undone_by_its_own_advice(registry: Registry) -> None:
    submit(registry, 1.0)
    submit(registry, 2.0)
    change = lifecycle.rollback(registry, "m", reason="by mistake")
    assert change.undo == "mlcore models promote m 2 --reason …"
    assert lifecycle.promote(registry, "m", "2", reason="it was fine").new == "2"


def test_moves_need_a_reason(registry: Registry) -> None:
    submit(registry, 1.0)
    submit(registry, 2.0)
    with pytest.raises(UsageError, match="needs a reason"):
        lifecycle.rollback(registry, "m", reason=" ")
    with pytest.raises(UsageError, match="needs a reason"):
        lifecycle.promote(registry, "m", "1", reason="")
    assert served(registry) == 2.0


def test_a_bundle_that_was_altered_is_not_put_into_service(registry: Registry) -> None:
    submit(registry, 1.0)
    submit(registry, 2.0)
    file = registry.get("m", "1").bundle / "model.arrow"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"model\.arrow"):
        lifecycle.promote(registry, "m", "1", reason="back")
    with pytest.raises(BundleError, match=r"model\.arrow"):
        lifecycle.rollback(registry, "m", reason="back")
    assert served(registry) == 2.0


def test_an_alias_moved_outside_does_not_decide(registry: Registry) -> None:
    submit(registry, 1.0)
    submit(registry, 2.0)
    tracking.connect(registry.tracking_uri).set_registered_model_alias("m", "champion", "1")
    assert lifecycle.champion(registry, "m") == "2"
    assert registry.log.entries()[-1].action == "external"
    assert served(registry) == 2.0
