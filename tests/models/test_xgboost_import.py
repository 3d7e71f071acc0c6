"""Import of XGBoost models, checked against the library that trained them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

import mlcore
from mlcore import models
from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models import TreeEnsemble


def train(objective: str = "binary:logistic", *, rounds: int = 12, **params: Any) -> xgboost.Booster:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(600, 5)).astype(np.float32)
    X[:, 4] = rng.integers(0, 70, 600)
    X[rng.random(X.shape) < 0.1] = np.nan
    y = (np.nan_to_num(X[:, 0]) + (np.nan_to_num(X[:, 4]) % 3 == 0) > 0.4).astype(np.float32) + 0.0
    data = xgboost.DMatrix(
        X, y, feature_types=["q", "q", "q", "q", "c"], feature_names=list("abcde"), enable_categorical=True
    )
    return xgboost.train({"objective": objective, "max_depth": 4, "seed": 1, **params}, data, rounds)


def same(a: TreeEnsemble, b: TreeEnsemble) -> bool:
    return a.to_arrow().equals(b.to_arrow(), check_metadata=True)


def test_json_ubj_and_booster_give_the_same_ensemble(tmp_path: Path) -> None:
    booster = train()
    booster.save_model(tmp_path / "m.json")
    booster.save_model(tmp_path / "m.ubj")
    ensemble = models.read(booster)
    assert same(ensemble, models.read(tmp_path / "m.json"))
    assert same(ensemble, models.read(tmp_path / "m.ubj"))
    assert ensemble.n_trees == 12 and ensemble.feature_names == tuple("abcde")


def test_arrow_round_trip_is_exact() -> None:
    ensemble = models.read(train())
    assert same(ensemble, TreeEnsemble.from_arrow(ensemble.to_arrow()))


@pytest.mark.parametrize("score", [0.001, 0.1, 0.3, 0.5, 0.77, 0.9999])
def test_base_margin_is_the_librarys(score: float) -> None:
    booster = train(rounds=1, max_depth=1, base_score=score, learning_rate=0.0)
    X = xgboost.DMatrix(np.zeros((1, 5), np.float32), feature_names=list("abcde"), feature_types=list("qqqqc"))
    assert np.float32(models.read(booster).base_margin[0]) == booster.predict(X, output_margin=True)[0]


def test_what_is_not_imported_is_refused_by_name() -> None:
    for path, value in (("objective", "custom:mine"), ("gradient_booster", "gbforest")):
        document = json.loads(train(rounds=1).save_raw("json"))
        document["learner"][path]["name"] = value
        with pytest.raises(UnsupportedModel, match=value):
            models.read(json.dumps(document).encode())


def test_what_a_newer_version_adds_to_a_model_is_refused() -> None:
    document = json.loads(train(rounds=2).save_raw("json"))
    document["learner"]["gradient_booster"]["model"]["shrinkage"] = [1]
    with pytest.raises(UnsupportedModel, match="'shrinkage', which this version does not know"):
        models.read(json.dumps(document).encode())


def test_tree_weights_of_one_change_nothing() -> None:
    document = json.loads(train(rounds=2).save_raw("json"))
    plain = models.read(json.dumps(document).encode())
    document["learner"]["gradient_booster"]["model"]["weight_drop"] = [1.0, 1.0]
    assert models.read(json.dumps(document).encode()).to_arrow().equals(plain.to_arrow())


def test_other_objects_are_refused_by_type() -> None:
    with pytest.raises(UnsupportedModel, match=r"builtins\.dict"):
        models.read({})


@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_a_file_cut_short_anywhere_is_refused(kind: str) -> None:
    data = bytes(train(rounds=2).save_raw(kind))
    for cut in range(0, len(data), max(1, len(data) // 211)):
        with pytest.raises(ModelFormatError):
            models.read(data[:cut])


@pytest.mark.parametrize(
    "content", [b"", b"tree\nversion=v4\n", b"\x80\x04\x95", b"PK\x03\x04", b"{}", b"[1]", b"{\x00"]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=r"model\.bin"):
        models.read(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"none\.json: No such file"):
        models.read(tmp_path / "none.json")


def test_random_byte_changes_never_crash() -> None:
    data = bytearray(train(rounds=2).save_raw("ubj"))
    rng = np.random.default_rng(3)
    for _ in range(400):
        broken = bytearray(data)
        broken[rng.integers(len(data))] = rng.integers(256)
        try:
            ensemble = models.read(bytes(broken))
        except (ModelFormatError, UnsupportedModel):
            continue
        assert ensemble.n_nodes == len(ensemble.feature)


def mutate(change: str, value: Any) -> bytes:
    document = json.loads(train(rounds=2).save_raw("json"))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][1]
    tree[change][0] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("change", "value", "message"),
    [
        ("left_children", 0, "tree 1, node 0: has a child outside its tree"),
        ("left_children", 10**6, "tree 1, node 0: has a child outside its tree"),
        ("left_children", 2, "tree 1, node 2: has two parents"),
        ("right_children", -1, "tree 1: a node has one child"),
        ("split_indices", 77, "tree 1: a split asks for a feature"),
        ("split_conditions", float("nan"), "NaN threshold"),
        ("split_type", 1, "category sets do not match"),
        ("split_type", 2, "unknown type"),
    ],
)
def test_malformed_trees_are_refused_with_tree_and_node(change: str, value: Any, message: str) -> None:
    with pytest.raises(ModelFormatError if "unknown" not in message else UnsupportedModel, match=message):
        models.read(mutate(change, value))


def test_a_cycle_is_refused() -> None:
    document = json.loads(train(rounds=1).save_raw("json"))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][1] = 1
    with pytest.raises(ModelFormatError):
        models.read(json.dumps(document).encode())


def test_the_base_score_becomes_xgboosts_own_margin_to_the_bit() -> None:
    matrix = xgboost.DMatrix(np.zeros((2, 1), np.float32), [0, 1])
    for score in np.arange(1, 100) / 100:
        booster = xgboost.train({"objective": "binary:logistic", "base_score": score, "max_depth": 1}, matrix, 1)
        expected = booster.predict(matrix, output_margin=True)[:1]
        assert mlcore.compile(booster).margin(np.zeros((1, 1), np.float32)).tobytes() == expected.tobytes(), score
