"""A Scorer against XGBoost itself: inputs of every kind, any batch, any number of threads, the same bits."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost

import mlcore
from mlcore import Profile
from mlcore.errors import DataError, SchemaMismatch, UnsupportedModel, UsageError

NAMES = ["a", "b", "c", "d"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5_000, 4)).astype(np.float32)
X[RNG.random(X.shape) < 0.1] = np.nan
Y = (np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1]) > 0).astype(np.float32)
BOOSTER = xgboost.train(
    {"objective": "binary:logistic", "max_depth": 6, "nthread": 1}, xgboost.DMatrix(X, Y, feature_names=NAMES), 40
)
MARGINS = BOOSTER.predict(xgboost.DMatrix(X, feature_names=NAMES), output_margin=True)
TABLE = pa.table(dict(zip(NAMES, X.T, strict=True)))
SCORER = mlcore.compile(BOOSTER)


def same(found: np.ndarray, expected: np.ndarray = MARGINS) -> bool:
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


INPUTS = {
    "numpy C": lambda: X,
    "numpy F": lambda: np.asfortranarray(X),
    "numpy strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    "numpy float64": lambda: X.astype(np.float64),
    "pandas": lambda: pd.DataFrame(X, columns=NAMES),
    "arrow": lambda: TABLE,
    "arrow chunked": lambda: pa.concat_tables([TABLE.slice(0, 7), TABLE.slice(7, 1), TABLE.slice(8)]),
    "arrow reordered, with more": lambda: TABLE.select(["d", "b", "a", "c"]).append_column("e", TABLE["a"]),
    "record batch": lambda: TABLE.to_batches()[0],
}


@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_gives_the_librarys_margins(kind: str) -> None:
    assert same(SCORER.margin(INPUTS[kind]()))


@pytest.mark.parametrize("backend", ["cpu", "numba"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_backends_give_the_same_bits(threads: int, backend: str) -> None:
    assert same(mlcore.compile(BOOSTER, threads=threads, backend=backend).margin(X))


@pytest.mark.parametrize("size", [1, 63, 64, 511, 513])
def test_batches_of_any_size_give_the_same_bits(size: int) -> None:
    parts = [SCORER.margin(X[at : at + size]) for at in range(0, min(len(X), 40 * size), size)]
    assert same(np.concatenate(parts), MARGINS[: len(np.concatenate(parts))])


def test_no_rows_give_no_margins() -> None:
    assert SCORER.margin(X[:0]).shape == (0,)
    assert SCORER.margin(TABLE.slice(0, 0)).shape == (0,)
    assert SCORER.leaf_ids(X[:0]).shape == (0, 40)


def test_probabilities_and_leaves_are_the_librarys() -> None:
    matrix = xgboost.DMatrix(X, feature_names=NAMES)
    np.testing.assert_allclose(SCORER.predict(X), BOOSTER.predict(matrix), rtol=0, atol=1e-6)
    assert np.array_equal(SCORER.leaf_ids(X), BOOSTER.predict(matrix, pred_leaf=True).astype(np.int32))


def test_a_classifier_gives_labels_and_both_probabilities() -> None:
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1).fit(X, Y)
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict(X), model.predict(X))
    np.testing.assert_allclose(scorer.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-6)


def test_a_classifier_stopped_early_is_scored_to_its_best_round() -> None:
    model = xgboost.XGBClassifier(n_estimators=200, max_depth=3, early_stopping_rounds=3, n_jobs=1)
    noise = RNG.permutation(Y[:1000])
    model.fit(X[1000:], Y[1000:], eval_set=[(X[:1000], noise)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    np.testing.assert_allclose(mlcore.compile(model).predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-6)


def test_a_regression_gives_values() -> None:
    model = xgboost.XGBRegressor(n_estimators=5, max_depth=3, base_score=12.5, n_jobs=1).fit(X, X[:, 3] == X[:, 3])
    scorer = mlcore.compile(model)
    assert same(scorer.predict(X), model.predict(X))
    with pytest.raises(AttributeError, match="predict_proba needs a classifier"):
        scorer.predict_proba(X)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SchemaMismatch, match="column 'c' is missing; found: a, b, d"):
        SCORER.margin(TABLE.drop_columns(["c"]))


def test_a_column_there_twice_is_named() -> None:
    with pytest.raises(SchemaMismatch, match="column 'c' stands 2 times"):
        SCORER.margin(pa.table([*TABLE.columns, TABLE["c"]], names=[*NAMES, "c"]))
    frame = pd.DataFrame(X, columns=NAMES)
    with pytest.raises(SchemaMismatch, match="column 'c' stands 2 times"):
        SCORER.margin(pd.concat([frame, frame[["c"]]], axis=1))


@pytest.mark.parametrize("value", ["x", object()])
def test_a_column_that_arrow_does_not_hold_is_named(value: object) -> None:
    frame = pd.DataFrame(X, columns=NAMES).astype({"c": object})
    frame.loc[3, "c"] = value
    with pytest.raises(DataError, match="column c with type object: Could not convert"):
        SCORER.margin(frame)
    with pytest.raises(DataError, match="expected length 1 but got length 2"):
        SCORER.margin({"a": [1.0], "b": [1.0, 2.0], "c": [1.0], "d": [1.0]})


def test_a_wrong_width_is_named() -> None:
    with pytest.raises(SchemaMismatch, match=r"expected an array of shape \(rows, 4\), found \(5000, 3\)"):
        SCORER.margin(X[:, :3])


def test_strings_where_the_model_has_numbers_are_refused() -> None:
    with pytest.raises((SchemaMismatch, UnsupportedModel), match="'c'"):
        SCORER.margin(TABLE.set_column(2, "c", pa.array(["x"] * len(X))))


def test_no_threads_and_unknown_backends_are_refused() -> None:
    with pytest.raises(UsageError, match="threads must be at least 1"):
        mlcore.compile(BOOSTER, threads=0)
    with pytest.raises(UsageError, match="backend 'tpu' does not exist"):
        mlcore.compile(BOOSTER, backend="tpu")


def test_one_scorer_serves_many_threads_at_once() -> None:
    scorer, wrong = mlcore.compile(BOOSTER, threads=2), []

    def call() -> None:
        wrong.extend(i for i in range(10) if not same(scorer.margin(X)))

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_scored_files_equal_the_scorer_row_by_row(tmp_path: Path) -> None:
    pq.write_table(TABLE.append_column("key", pa.array(np.arange(len(X)))), tmp_path / "in.parquet", row_group_size=700)
    summary = mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out", threads=3, keep=["key"])
    found = pq.read_table(summary.files[0])
    assert summary.rows == len(X)
    assert np.array_equal(found["key"].to_numpy(), np.arange(len(X)))
    assert same(found["score"].to_numpy(), SCORER.predict_value(X))
    assert mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out", keep=["key"]).skipped == 1


def test_a_tally_equals_a_profile_of_the_rows() -> None:
    from dataclasses import replace

    reference = Profile.fit(TABLE, edges=SCORER.edges(TABLE.schema))
    scorer = replace(SCORER, profile=reference, _plans={})
    tally = scorer.tally()
    assert tally is not None
    for block in scorer.blocks_of(TABLE.slice(0, 3_000)):
        scorer.score_block(block, tally)
    counted = reference.empty()
    counted.update(TABLE.slice(0, 3_000))
    for name in NAMES:
        found = tally.profile().columns[name]
        assert np.array_equal(found.counts, counted.columns[name].counts)
        assert found.missing_rows == counted.columns[name].missing_rows
