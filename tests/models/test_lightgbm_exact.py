"""Every kind of LightGBM model against the library itself: margins bit for bit, leaves exactly, predictions within 1e-6."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from sklearn.pipeline import Pipeline

import mlcore
from mlcore import models
from mlcore.bundle import Bundle
from mlcore.data.schema import Field, Schema
from mlcore.errors import ModelFormatError, SchemaMismatch, UnsupportedModel, UsageError
from mlcore.preprocessing import ColumnTransformer, OneHotEncoder, StandardScaler, TargetEncoder
from mlcore.preprocessing.features import Feature, Transforms
from mlcore.testing.awkward import mixed, neighbours

RNG = np.random.default_rng(17)
ROWS = 1_200
X = RNG.normal(size=(ROWS, 6))
X[:, 1] = np.where(RNG.random(ROWS) < 0.3, 0, X[:, 1])
X[:, 3] = RNG.integers(0, 70, ROWS)
X[:, 4] = RNG.integers(0, 6, ROWS)
X[:, 5] = RNG.integers(-2, 3, ROWS)
X[RNG.random(X.shape) < 0.08] = np.nan
SCORE = (
    np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1])
    + (np.nan_to_num(X[:, 3]) % 3 == 0)
    + 0.3 * (np.nan_to_num(X[:, 4]) == 2)
    + 0.1 * RNG.normal(size=ROWS)
)
ZERO = float(np.float32(1e-35))
NEAR_ZERO = [
    0.0, -0.0, ZERO, -ZERO, np.nextafter(ZERO, 1), np.nextafter(-ZERO, -1), np.nextafter(ZERO, 0),
    np.nextafter(-ZERO, 0), 1e-36, -1e-36, 5e-324, -5e-324, 1e-40,
]  # fmt: skip
NO_CATEGORIES = [-1, -0.5, 0.5, 1.9, 2.5, 31, 32, 69, 70, 255, 256, 2**24, 2**31 - 1, 2**31, 2**32 + 1, 1e300]


def train(y: Any, *, rounds: int = 8, rows: Any = X, categorical: Any = (3, 4), **params: Any) -> lightgbm.Booster:
    group = [ROWS // 12] * 12 if params.get("objective") in ("lambdarank", "rank_xendcg") else None
    data = lightgbm.Dataset(rows, y, group=group, categorical_feature=list(categorical))
    settings = {"num_threads": 1, "verbose": -1, "seed": 3, "num_leaves": 15, "min_data_in_leaf": 5, "cat_smooth": 1}
    return lightgbm.train(settings | params, data, rounds)


def bits(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def check(booster: lightgbm.Booster, rows: Any = X, **options: Any) -> None:
    """The Scorer says what the Booster says, at awkward values too, whatever it is given."""
    scorer = mlcore.compile(booster, **options)
    for values in (rows, awkward(scorer.model, rows)):
        same(scorer, booster, values)


def same(scorer: mlcore.Scorer, booster: lightgbm.Booster, rows: Any) -> None:
    margin = booster.predict(rows, raw_score=True)
    assert bits(scorer.margin(rows), margin)
    few = range(0, min(64, rows.shape[0]), 16)  # which have a way of their own
    assert bits(np.concatenate([scorer.margin(rows[i : i + 16]) for i in few]), margin[:64])
    assert np.array_equal(scorer.leaf_ids(rows), booster.predict(rows, pred_leaf=True))
    found, expected = scorer.predict(rows), booster.predict(rows)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def awkward(model: Any, rows: np.ndarray) -> np.ndarray:
    """Rows whose values are thresholds, their neighbours, what is near zero, infinite, missing, or no category."""
    pools = []
    for feature in range(rows.shape[1]):
        asked = model.threshold[(model.feature == feature) & (model.interval_set < 0)]
        used = model.interval_set[(model.feature == feature) & (model.interval_set >= 0)]
        pool = np.concatenate([asked, *(model.sets()[k] for k in used), NEAR_ZERO, [np.inf, -np.inf, np.nan, 1e300]])
        pools.append(np.concatenate([neighbours(pool), NO_CATEGORIES]))
    return mixed(rows, pools)


LABELS: dict[str, Callable[[], Any]] = {
    "real": lambda: SCORE,
    "binary": lambda: (SCORE > 0.5).astype(int),
    "share": lambda: 1 / (1 + np.exp(-SCORE)),
    "positive": lambda: np.exp(SCORE),
    "classes": lambda: np.digitize(SCORE, [0, 0.5, 1.5]),
    "grades": lambda: np.digitize(SCORE, [0, 1]),
}
OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "binary": ("binary", {}),
    "binary, steep": ("binary", {"objective": "binary", "sigmoid": 2.5}),
    "cross_entropy": ("share", {}),
    "cross_entropy_lambda": ("share", {}),
    "custom": ("real", {"objective": lambda found, data: (found - data.get_label(), np.ones(len(found)))}),
    "fair": ("real", {}),
    "gamma": ("positive", {}),
    "huber": ("real", {}),
    "lambdarank": ("grades", {}),
    "mape": ("positive", {}),
    "multiclass": ("classes", {"num_class": 4}),
    "multiclassova": ("classes", {"num_class": 4, "sigmoid": 0.7}),
    "poisson": ("positive", {}),
    "quantile": ("real", {"alpha": 0.3}),
    "rank_xendcg": ("grades", {}),
    "regression": ("real", {}),
    "regression, sqrt": ("real", {"objective": "regression", "reg_sqrt": True}),
    "regression_l1": ("real", {}),
    "regression_l1, sqrt": ("real", {"objective": "regression_l1", "reg_sqrt": True}),
    "tweedie": ("positive", {}),
}
BOOSTINGS: dict[str, dict[str, Any]] = {
    "gbdt": {},
    "bagging": {"bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.7},
    "goss": {"data_sample_strategy": "goss", "learning_rate": 0.5},
    "dart": {"boosting": "dart", "drop_rate": 0.5, "skip_drop": 0.1},
    "rf": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.7},
}
MISSING: dict[str, dict[str, Any]] = {
    "nan": {},
    "none": {"use_missing": False},
    "zero": {"zero_as_missing": True},
}


@pytest.mark.parametrize("boosting", BOOSTINGS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_margins_are_the_librarys_bits(objective: str, boosting: str) -> None:
    labels, more = OBJECTIVES[objective]
    if objective == "custom" and boosting == "rf":
        with pytest.raises(lightgbm.basic.LightGBMError, match="custom objective"):
            train(SCORE, **more, **BOOSTINGS[boosting])
        return
    for missing in MISSING.values():
        for categorical in ((), (3, 4)):
            check(
                train(
                    LABELS[labels](), categorical=categorical,
                    **{"objective": objective, **more, **BOOSTINGS[boosting], **missing},
                )
            )  # fmt: skip


def one_split(threshold: float, decision: int, words: tuple[int, ...] = ()) -> str:
    """The text of a model of one tree with one split."""
    sets = f"cat_boundaries=0 {len(words)}\ncat_threshold={' '.join(map(str, words))}\n" if words else ""
    tree = (
        f"Tree=0\nnum_leaves=2\nnum_cat={len(words) and 1}\nsplit_feature=0\nsplit_gain=1\nthreshold={threshold!r}\n"
        f"decision_type={decision}\nleft_child=-1\nright_child=-2\nleaf_value=1 2\nleaf_weight=1 1\nleaf_count=1 1\n"
        f"internal_value=0\ninternal_weight=0\ninternal_count=2\n{sets}is_linear=0\nshrinkage=1\n\n\n"
    )
    return (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\n"
        f"objective=regression\nfeature_names=a\nfeature_infos=[0:1]\ntree_sizes={len(tree)}\n\n{tree}end of trees\n\n"
        "feature_importances:\na=1\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"
    )


@pytest.mark.parametrize("decision", [0, 2, 4, 6, 8, 10])
def test_a_split_at_any_threshold_however_it_takes_missing_values(decision: int) -> None:
    pool = np.array([*NEAR_ZERO, 1.0, -1.0, 1e300, -1e300, np.finfo(float).max, -np.finfo(float).max, np.inf, -np.inf])
    rows = np.append(neighbours(pool), np.nan)[:, None]
    for threshold in rows[~np.isnan(rows)].tolist():
        text = one_split(threshold, decision)
        scorer, booster = mlcore.compile(text), lightgbm.Booster(model_str=text)
        same(scorer, booster, rows)
        with np.errstate(over="ignore"):
            same(scorer, booster, rows.astype(np.float32))


@pytest.mark.parametrize("decision", [1, 3, 5, 7, 9, 11])
def test_a_categorical_split_at_what_is_no_category(decision: int) -> None:
    values = np.array([*NEAR_ZERO, *NO_CATEGORIES, np.inf, -np.inf, np.nan, np.nextafter(-1, 0), np.nextafter(1, 0), 1])
    for words in ((7,), (1 << 31,), (6, 1), (0,), (0, 0, 1 << 5 | 3), (0xFFFFFFFF, 0xFFFFFFFF)):
        text = one_split(0, decision, words)
        same(mlcore.compile(text), lightgbm.Booster(model_str=text), values[:, None])


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("missing", MISSING)
def test_what_a_sparse_matrix_leaves_out_is_zero(kind: str, dtype: Any, missing: str) -> None:
    dense = np.where(RNG.random(X.shape) < 0.6, 0, X).astype(dtype)
    rows = getattr(scipy.sparse, kind)(dense)
    booster = train(SCORE, rows=rows, categorical=(), **MISSING[missing])
    same(mlcore.compile(booster), booster, rows)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.int16, np.uint8, np.uint32, bool])
def test_arrays_of_integers_pass_through_float32_and_tables_do_not(dtype: Any) -> None:
    rows = np.nan_to_num(X[:, [0, 2, 5]] * 100).clip(0, 250).astype(dtype)
    if np.dtype(dtype).itemsize >= 4 and np.dtype(dtype).kind in "iu":
        rows = rows * dtype(2**24 // 3 + 1)
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    booster = train(SCORE, rows=frame, categorical=())
    scorer = mlcore.compile(booster)
    same(scorer, booster, rows)
    same(scorer, booster, frame)
    assert bits(scorer.margin(pa.Table.from_pandas(frame)), booster.predict(frame, raw_score=True))


@pytest.mark.parametrize("backend", ["cpu", "numba"])
@pytest.mark.parametrize("engine", ["auto", "planes", "deep", "walk"])
@pytest.mark.parametrize("rows", [0, 1, 15, 63, 511, 513])
@pytest.mark.parametrize("linear", [False, True])
def test_backends_engines_and_batches_agree(backend: str, engine: str, rows: int, linear: bool) -> None:
    booster = train(LABELS["classes"](), objective="multiclass", num_class=4, linear_tree=linear, rounds=4)
    scorer = mlcore.compile(booster, backend=backend, engine=engine)
    expected = booster.predict(X, raw_score=True)
    table = pa.table({name: X[:rows, i] for i, name in enumerate("abcdef")})
    for layout in (
        X[:rows],
        np.asfortranarray(X[:rows]),
        table,
        pa.concat_tables([table[: rows // 3], table[rows // 3 :]]),
    ):
        assert bits(scorer.margin(layout), expected[:rows])
    assert bits(scorer.margin(X[::2][:rows]), expected[::2][:rows])


TREES: dict[str, dict[str, Any]] = {
    "stump": {"num_leaves": 2},
    "shallow": {"max_depth": 3},
    "255 leaves": {"num_leaves": 255, "max_depth": -1, "min_data_in_leaf": 1},
    "256 leaves": {"num_leaves": 256, "min_data_in_leaf": 1},
    "more than 256 leaves": {"num_leaves": 700, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0},
    "deep": {"num_leaves": 60, "min_data_in_leaf": 1, "max_bin": 4000, "min_data_in_bin": 1, "extra_trees": True},
    "monotone": {"monotone_constraints": [1, 0, -1, 0, 0, 0], "num_leaves": 40},
    "quantized": {"use_quantized_grad": True},
}


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("shape", TREES)
@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_trees_of_every_shape(shape: str, linear: bool, backend: str) -> None:
    check(train(SCORE, rounds=5, linear_tree=linear, **TREES[shape]), backend=backend)


@pytest.mark.parametrize("linear", [False, True])
def test_a_single_leaf_and_constant_features(linear: bool) -> None:
    constant = np.ones((ROWS, 6))
    booster = train(SCORE, rows=constant, categorical=(), linear_tree=linear)
    assert mlcore.compile(booster).model.n_nodes == 1
    same(mlcore.compile(booster), booster, X)
    rows = np.where(np.arange(6) == 2, X, 1.0)
    booster = train(SCORE, rows=rows, categorical=(), linear_tree=linear)
    same(mlcore.compile(booster), booster, X)


def test_a_class_that_is_never_seen() -> None:
    check(train(LABELS["classes"]() * 2, objective="multiclass", num_class=8))


@pytest.mark.parametrize("boosting", ["gbdt", "dart", "rf"])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("objective", ["multiclass", "multiclassova", "binary", "regression"])
def test_linear_trees(objective: str, boosting: str, linear: bool) -> None:
    labels, more = OBJECTIVES[objective]
    booster = train(
        LABELS[labels](), linear_tree=linear, linear_lambda=0.1,
        **{"objective": objective, **more, **BOOSTINGS[boosting]},
    )  # fmt: skip
    check(booster)
    again = lightgbm.Booster(model_str=booster.model_to_string())
    check(again)


@pytest.mark.parametrize("missing", ["nan", "none"])  # LightGBM has no linear trees where 0 is missing
def test_linear_leaves_fall_back_where_a_feature_is_missing(missing: str) -> None:
    booster = train(X[:, 0] + np.nan_to_num(X[:, 2]) ** 2, linear_tree=True, categorical=(), **MISSING[missing])
    scorer = mlcore.compile(booster)
    assert scorer.model.linear_leaves is not None and len(scorer.model.linear_leaves.feature) > 50
    check(booster)
    holes = np.where(RNG.random(X.shape) < 0.3, np.nan, X)
    same(scorer, booster, holes)
    tiny = np.where(RNG.random(X.shape) < 0.5, RNG.choice(NEAR_ZERO, X.shape), X)
    same(scorer, booster, tiny)
    table = pa.table({str(i): pa.array(holes[:, i], from_pandas=True) for i in range(6)})
    assert bits(scorer.margin(table), booster.predict(holes, raw_score=True))


@pytest.mark.parametrize("boosting", BOOSTINGS)
@pytest.mark.parametrize("rounds", [(0, 5), (3, 7), (0, 0), (2, 8), (7, 8), (4, 0)])
@pytest.mark.parametrize("linear", [False, True])
def test_some_iterations_alone(boosting: str, rounds: tuple[int, int], linear: bool) -> None:
    booster = train(LABELS["classes"](), objective="multiclass", num_class=4, linear_tree=linear, **BOOSTINGS[boosting])
    scorer = mlcore.compile(booster, iteration_range=rounds)
    chosen = {"start_iteration": rounds[0], "num_iteration": (rounds[1] or 8) - rounds[0]}
    assert bits(scorer.margin(X), booster.predict(X, raw_score=True, **chosen))
    assert np.array_equal(scorer.leaf_ids(X), booster.predict(X, pred_leaf=True, **chosen))
    np.testing.assert_allclose(scorer.predict(X), booster.predict(X, **chosen), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rounds", [(0, 9), (5, 5), (-1, 3), (8, 0)])
def test_iterations_that_the_model_does_not_have_are_refused(rounds: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"do not lie within the model's 8"):
        mlcore.compile(train(SCORE), iteration_range=rounds)


def test_a_model_without_trees_is_its_base() -> None:
    booster = lightgbm.Booster({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, SCORE))
    scorer = mlcore.compile(booster)
    assert scorer.model.n_trees == 0
    assert bits(scorer.margin(X), booster.predict(X, raw_score=True))


def stopped() -> lightgbm.Booster:
    settings = {"num_threads": 1, "verbose": -1, "learning_rate": 0.8, "num_leaves": 31}
    data = lightgbm.Dataset(X[:800], SCORE[:800])
    stop = lightgbm.early_stopping(3, verbose=False)
    return lightgbm.train(
        settings, data, 60, callbacks=[stop], keep_training_booster=True,
        valid_sets=[lightgbm.Dataset(X[800:], SCORE[800:], reference=data)],
    )  # fmt: skip


def test_a_booster_that_stopped_early_uses_its_best_iterations() -> None:
    booster = stopped()
    assert 0 < booster.best_iteration < booster.current_iteration()
    assert mlcore.compile(booster).model.n_trees == booster.best_iteration
    check(booster)
    every = booster.predict(X, raw_score=True, num_iteration=-1)
    assert bits(mlcore.compile(booster, iteration_range=(0, 0)).margin(X), every)
    later = booster.predict(X, raw_score=True, start_iteration=2, num_iteration=-1)
    assert bits(mlcore.compile(booster, iteration_range=(2, 0)).margin(X), later)


@pytest.mark.parametrize("given", ["path", "name", "bytes", "text", "reloaded"])
def test_files_bytes_and_text(given: str, tmp_path: Path) -> None:
    booster = train(SCORE)
    path = tmp_path / "model.txt"
    booster.save_model(path)
    source: Any = {
        "path": path,
        "name": str(path),
        "bytes": path.read_bytes(),
        "text": booster.model_to_string(),
        "reloaded": lightgbm.Booster(model_file=path),
    }[given]
    same(mlcore.compile(source), booster, X)


def test_a_file_with_the_line_ends_of_windows() -> None:
    booster = train(SCORE)
    text = booster.model_to_string()
    lines = [line for line in text.split("\n") if not line.startswith("tree_sizes=")]
    same(mlcore.compile("\r\n".join(lines).encode()), booster, X)


def test_the_neutral_form_survives_arrow() -> None:
    for more in (
        {},
        {"linear_tree": True},
        BOOSTINGS["rf"],
        {"zero_as_missing": True},
        {"objective": "binary", "sigmoid": 2},
    ):
        model = models.read(train(LABELS["binary"](), **more))
        again = models.from_arrow(model.to_arrow())
        assert again.to_arrow().equals(model.to_arrow(), check_metadata=True)
        assert bits(mlcore.compile(again).predict(X), mlcore.compile(model).predict(X))


def test_cover_counts_rows_as_the_librarys_contributions_do() -> None:
    booster = train(SCORE, categorical=())
    model = models.read(booster)
    leaves = model.feature < 0
    mean = sum(
        np.average(model.value[low:high, 0][leaves[low:high]], weights=model.cover[low:high][leaves[low:high]])
        for low, high in zip(model.tree_start[:-1], model.tree_start[1:], strict=True)
    )
    np.testing.assert_allclose(mean, booster.predict(X[:1], pred_contrib=True)[0, -1])


WRAPPERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "binary": (lambda: lightgbm.LGBMClassifier(), (SCORE > 0.5).astype(int)),
    "bool": (lambda: lightgbm.LGBMClassifier(), SCORE > 0.5),
    "words": (lambda: lightgbm.LGBMClassifier(), np.where(SCORE > 0.5, "yes", "no")),
    "classes": (lambda: lightgbm.LGBMClassifier(), LABELS["classes"]() * 10 - 3),
    "named classes": (lambda: lightgbm.LGBMClassifier(), np.array(list("dbac"))[LABELS["classes"]()]),
    "ova": (lambda: lightgbm.LGBMClassifier(objective="multiclassova"), LABELS["classes"]()),
    "rf": (lambda: lightgbm.LGBMClassifier(**BOOSTINGS["rf"]), LABELS["classes"]()),
    "dart": (lambda: lightgbm.LGBMClassifier(boosting_type="dart"), LABELS["binary"]()),
    "regressor": (lambda: lightgbm.LGBMRegressor(), SCORE),
    "poisson": (lambda: lightgbm.LGBMRegressor(objective="poisson"), LABELS["positive"]()),
    "custom": (lambda: lightgbm.LGBMClassifier(objective=lambda y, p: (p - y, np.ones(len(y)))), LABELS["binary"]()),
}


@pytest.mark.filterwarnings("ignore:Cannot compute class probabilities:UserWarning")
@pytest.mark.parametrize("kind", WRAPPERS)
def test_the_wrappers_predictions_and_probabilities(kind: str) -> None:
    make, y = WRAPPERS[kind]
    model = make().set_params(n_estimators=8, n_jobs=1, verbose=-1).fit(X, y)
    scorer = mlcore.compile(model)
    found, expected = scorer.predict(X), model.predict(X)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    else:
        assert np.array_equal(found, expected)
    if hasattr(model, "predict_proba") and kind != "custom":
        expected = model.predict_proba(X)
        assert scorer.predict_proba(X).shape == expected.shape and scorer.predict_proba(X).dtype == expected.dtype
        np.testing.assert_allclose(scorer.predict_proba(X), expected, rtol=1e-6, atol=1e-6)


def test_a_ranker() -> None:
    model = lightgbm.LGBMRanker(n_estimators=8, n_jobs=1, verbose=-1).fit(X, LABELS["grades"](), group=[100] * 12)
    assert bits(mlcore.compile(model).predict(X), model.predict(X))


def test_a_wrapper_that_stopped_early_uses_its_best_iterations() -> None:
    model = lightgbm.LGBMClassifier(n_estimators=60, learning_rate=0.8, n_jobs=1, verbose=-1)
    stop = lightgbm.early_stopping(3, verbose=False)
    y = LABELS["classes"]()
    model.fit(X[:800], y[:800], eval_X=X[800:], eval_y=y[800:], callbacks=[stop])
    assert 0 < model.best_iteration_ < 60
    assert bits(mlcore.compile(model).margin(X), model.predict(X, raw_score=True))
    some = model.predict(X, raw_score=True, num_iteration=2)
    assert bits(mlcore.compile(model, iteration_range=(0, 2)).margin(X), some)


EARLY = {"pred_early_stop": True, "pred_early_stop_freq": 1, "pred_early_stop_margin": 0.01}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_booster_takes_no_notice_of_early_stopping_in_its_parameters(objective: str) -> None:
    labels, more = OBJECTIVES[objective]
    booster = train(LABELS[labels](), **{"objective": objective, **more, **EARLY})
    same(mlcore.compile(booster), booster, X)
    asked = booster.predict(X, raw_score=True, **EARLY)
    stops = models.read(booster).objective in ("binary", "lambdarank", "multiclass", "multiclassova", "rank_xendcg")
    assert bits(asked, booster.predict(X, raw_score=True)) != stops


def test_a_wrapper_whose_objective_never_stops_early() -> None:
    model = lightgbm.LGBMRegressor(n_estimators=8, n_jobs=1, verbose=-1, **EARLY).fit(X, SCORE)
    assert bits(mlcore.compile(model).margin(X), model.predict(X, raw_score=True))


def test_what_would_change_the_numbers_is_refused() -> None:
    model = lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1, **EARLY).fit(X, LABELS["binary"]())
    with pytest.raises(UnsupportedModel, match="pred_early_stop"):
        mlcore.compile(model)
    assert bits(mlcore.compile(model.booster_).margin(X), model.booster_.predict(X, raw_score=True))
    with pytest.raises(UsageError, match="missing= is XGBoost's"):
        mlcore.compile(train(SCORE, rounds=1), missing=-1.0)
    with pytest.raises(UsageError, match="LGBMRegressor is not fitted; call fit first"):
        mlcore.compile(lightgbm.LGBMRegressor())


FRAME = pd.DataFrame(
    {
        "real": RNG.normal(size=ROWS),
        "a number": pd.Categorical(RNG.choice([3, 7, 100, -5], ROWS)),
        "text": pd.Categorical(RNG.choice(["x", "y", "Köln", ""], ROWS)),
        "grade": pd.Categorical(RNG.choice(["low", "mid", "high"], ROWS), ["low", "mid", "high"], ordered=True),
        "whole": RNG.integers(0, 9, ROWS),
    }
)
FRAME.loc[RNG.random(ROWS) < 0.1, "text"] = np.nan
FRAME.loc[RNG.random(ROWS) < 0.1, "a number"] = np.nan
TARGET = (
    FRAME["real"]
    + (FRAME["a number"] == 7) * 2
    - (FRAME["text"] == "y") * 1.0
    + FRAME["grade"].cat.codes * 0.5
    + FRAME["whole"] % 2
)


@pytest.fixture(scope="module", params=["auto", "linear", "by name"])
def recoded(request: pytest.FixtureRequest) -> lightgbm.Booster:
    """Trained on pandas' categories; `by name`, a column of numbers is categorical and one of categories is not."""
    settings = {"num_threads": 1, "verbose": -1, "min_data_in_leaf": 5, "linear_tree": request.param == "linear"}
    chosen: Any = ["whole", "text"] if request.param == "by name" else "auto"
    return lightgbm.train(settings, lightgbm.Dataset(FRAME, TARGET, categorical_feature=chosen), 10)


def test_pandas_categories_are_recoded(recoded: lightgbm.Booster) -> None:
    scorer = mlcore.compile(recoded)
    other = FRAME.assign(
        **{"a number": FRAME["a number"].cat.reorder_categories([100, 7, 3, -5])},
        text=FRAME["text"].cat.remove_unused_categories(),
    )
    unseen = FRAME.assign(
        text=pd.Categorical(RNG.choice(["x", "new", "y"], ROWS)), **{"a number": pd.Categorical([3, 9] * (ROWS // 2))}
    )
    for frame in (FRAME, other, unseen):
        same(scorer, recoded, frame)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        assert bits(scorer.margin(table), recoded.predict(frame, raw_score=True))
        shuffled = table.select(table.column_names[::-1])  # by name, where the library goes by position
        assert bits(scorer.margin(shuffled), recoded.predict(frame, raw_score=True))


def test_a_matrix_holds_the_codes_of_pandas_categories(recoded: lightgbm.Booster) -> None:
    codes = np.stack(
        [FRAME[name].cat.codes if FRAME[name].dtype == "category" else FRAME[name] for name in FRAME], axis=1
    ).astype(float)
    codes[codes == -1] = np.nan
    same(mlcore.compile(recoded), recoded, codes)


def test_columns_that_have_no_categories_where_the_model_has_are_refused(recoded: lightgbm.Booster) -> None:
    scorer = mlcore.compile(recoded)
    with pytest.raises(SchemaMismatch, match="trained on 3 columns of categories, found 2: a_number, grade"):
        scorer.margin(FRAME.assign(text=1.0))
    with pytest.raises(SchemaMismatch, match="'a_number': the model was trained on categories that are numbers"):
        scorer.margin(FRAME.assign(**{"a number": pd.Categorical(["3", "7"] * (ROWS // 2))}))
    with pytest.raises(SchemaMismatch, match="column 'a_number' is missing"):
        scorer.margin(FRAME.drop(columns="a number"))


def of_categories(categories: list[Any], linear: bool = False) -> lightgbm.Booster:
    """A model that tells them all apart."""
    codes = RNG.integers(0, len(categories), ROWS)
    known = pd.Index(categories, dtype=object if len({type(item) for item in categories}) > 1 else None)
    frame = pd.DataFrame({"x": pd.Categorical.from_codes(codes, known), "real": X[:, 0]})
    y = np.sin(codes * 7.0) * 3 + np.nan_to_num(X[:, 0])
    settings = {"num_threads": 1, "verbose": -1, "min_data_per_group": 1, "cat_smooth": 1, "linear_tree": linear}
    return lightgbm.train(settings, lightgbm.Dataset(frame, y), 5)


OTHERS: dict[str, tuple[list[Any], list[Any]]] = {  # trained on, and what arrives
    "floats": ([2.5, -0.0, 0.1, 7.0, -3.25, np.inf], [
        pd.Categorical([0.1, 0.0, 2.5, np.inf, -3.25, 7.0]),
        pd.Categorical([7.0, 0.3, None, 0.1]),
        pd.Categorical([7, 0, 3, -3]),
        pd.Categorical(np.array([0.1, 2.5, -3.25], np.float32)),
        pd.Categorical([None, None]),
    ]),
    "whole floats": ([3.0, 1.0, 2.0**53], [
        pd.Categorical([1, 3, 2, 2**53]),
        pd.Categorical([1.0, 3.0, np.nan]),
    ]),
    "whole numbers": ([3, 1, 2], [
        pd.Categorical([1.0, 3.0, 2.5]),
        pd.Categorical(np.array([3, 1, 200], np.uint8)),
        pd.Categorical([None]),
    ]),
    "booleans": ([False, True], [
        pd.Categorical([True, False, None], [True, False]),
        pd.Categorical([True, True]),
        pd.Categorical([None]),
    ]),
    "strings": (["x", "y"], [pd.Categorical([None]), pd.Categorical(["y", None, "z"])]),
}  # fmt: skip


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("kind", OTHERS)
def test_categories_of_floats_and_booleans_are_recoded(kind: str, linear: bool) -> None:
    trained, arriving = OTHERS[kind]
    booster = of_categories(trained, linear)
    again = lightgbm.Booster(model_str=booster.model_to_string())
    neutral = models.from_arrow(models.read(booster).to_arrow())
    for found in (pd.Categorical(trained, trained), *arriving):
        frame = pd.DataFrame({"x": found, "real": np.linspace(-1, 1, len(found))})
        for scorer in map(mlcore.compile, (booster, again, neutral)):
            same(scorer, booster, frame)
            for table in (pa.Table.from_pandas(frame), pa.Table.from_pandas(frame[::-1])[::-1]):
                assert bits(scorer.margin(table), booster.predict(frame, raw_score=True))


def test_categories_of_another_kind_than_trained_on_are_refused() -> None:
    """The library takes 0 and 1 for booleans where they are all categories, in their order, else for missing."""
    scorer = mlcore.compile(of_categories([False, True]))
    for found, kind in (([0, 1], "numbers"), ([0.0, 1.0], "numbers"), (["True"], "strings")):
        with pytest.raises(SchemaMismatch, match=f"trained on categories that are booleans, found {kind}"):
            scorer.margin(pd.DataFrame({"x": pd.Categorical(found), "real": 0.0}))
    with pytest.raises(SchemaMismatch, match="trained on categories that are numbers, found booleans"):
        mlcore.compile(of_categories([0.5, 1.0])).margin(pd.DataFrame({"x": pd.Categorical([True]), "real": 0.0}))


@pytest.mark.parametrize(
    ("trained", "found"),
    [([2**53 + 1, 5], [5.0]), ([5.0], [-(2**53) - 1, 5]), ([0.5], np.array([2**64 - 1], np.uint64))],
)
def test_integers_that_floats_do_not_tell_apart_are_refused_beside_floats(trained: list[Any], found: Any) -> None:
    scorer = mlcore.compile(of_categories(trained))
    with pytest.raises(SchemaMismatch, match=r"column 'x': category -?\d+ is an integer beyond 2\*\*53"):
        scorer.margin(pd.DataFrame({"x": pd.Categorical(found), "real": 0.0}))


@pytest.mark.parametrize("categories", [[0.5, "1.5"], [True, 2], [1, 2.5], [1, 2**63]])
def test_categories_of_several_kinds_are_refused(categories: list[Any]) -> None:
    with pytest.raises(UnsupportedModel, match="not all strings, all int64, all floats or all booleans"):
        mlcore.compile(of_categories(categories))


def test_a_frame_that_names_the_models_columns_is_matched_by_name() -> None:
    frame = pd.DataFrame(X, columns=["a b", "c", "d", "e", "f", "ü"])
    booster = train(SCORE, rows=frame, categorical=())
    scorer = mlcore.compile(booster)
    expected = booster.predict(frame, raw_score=True)
    assert scorer.columns == ("a_b", "c", "d", "e", "f", "ü")
    for table in (frame, frame[frame.columns[::-1]], frame.rename(columns={"a b": "a_b"})):
        assert bits(scorer.margin(table), expected)
    with pytest.raises(SchemaMismatch, match="column 'a_b' stands 2 times, as 'a b' and 'a_b'"):
        scorer.margin(frame.assign(a_b=0.0))
    assert not mlcore.compile(train(SCORE)).named


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_a_pipelines_numbers_reach_the_model_in_double(kind: str, linear: bool, tmp_path: Path) -> None:
    wrapper = lightgbm.LGBMClassifier if kind == "classifier" else lightgbm.LGBMRegressor
    last = wrapper(n_estimators=8, n_jobs=1, verbose=-1, linear_tree=linear)
    before = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["real", "whole"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["text"]),
            ("means", TargetEncoder(random_state=0), ["grade"]),
        ]
    )
    frame = FRAME.assign(text=FRAME["text"].astype(object), grade=FRAME["grade"].astype(object))
    y = (FRAME["real"] > 0).astype(int) if kind == "classifier" else TARGET
    pipeline = Pipeline([("before", before), ("last", last)]).fit(frame, y)
    scorer = mlcore.compile(pipeline)
    seen = pipeline[0].transform(frame)
    assert seen.dtype == np.float64 and np.any(seen != seen.astype(np.float32))
    margin = last.predict(seen, raw_score=True)
    assert bits(scorer.margin(frame), margin)
    assert np.array_equal(scorer.predict(frame), pipeline.predict(frame))
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "rows.parquet")
    mlcore.score(scorer, tmp_path / "rows.parquet", tmp_path / "out")
    scores = pq.read_table(tmp_path / "out" / "rows.parquet")["score"]
    np.testing.assert_allclose(scores, scorer.predict_value(frame), rtol=0)


def test_a_bundle_of_a_lightgbm_model_scores_and_watches(tmp_path: Path) -> None:
    booster = train(LABELS["binary"](), objective="binary", linear_tree=True, categorical=())
    names = [f"Column_{i}" for i in range(6)]
    table = pa.table({name: X[:, i] for i, name in enumerate(names)})
    score = pa.array(booster.predict(X))
    profile = mlcore.Profile.fit(table.append_column("prediction", score))
    bundle = Bundle(
        models.read(booster),
        Transforms(tuple(Feature(name, name, ()) for name in names)),
        Schema(tuple(Field(name, "double") for name in names)),
        provenance={"created": "now"},
        profile=profile,
    )
    bundle.save(tmp_path / "bundle")
    scorer = mlcore.compile(tmp_path / "bundle")
    assert bits(scorer.margin(table), booster.predict(X, raw_score=True))
    tally = scorer.tally()
    for block in scorer.blocks_of(table):
        margins = scorer.score_block(block, tally)
        tally.take_scores(np.ascontiguousarray(scorer.link(margins)[:, 0]), scorer.backend)
    assert tally.profile().columns["prediction"].counts.sum() == ROWS


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parent / "saved").glob("lightgbm-*.json")), ids=lambda p: p.stem
)
@pytest.mark.parametrize("kind", ["categorical", "linear", "rf", "zero", "classes"])
def test_a_file_of_an_older_version_is_read_as_that_version_did(file: Path, kind: str) -> None:
    """Written by the version in the file's name, with the margins that it gave."""
    saved = json.loads(file.read_text())
    rows = np.array(saved["rows"], float)
    assert bits(mlcore.compile(saved[kind]["model"]).margin(rows), np.array(saved[kind]["margin"]))


@pytest.mark.parametrize("version", ["2.1.2", "2.2.3"])
@pytest.mark.parametrize("kind", ["categorical", "rf", "zero", "classes"])
def test_format_v2_is_read_as_todays_library_reads_it(kind: str, version: str) -> None:
    saved = json.loads((Path(__file__).parent / f"saved/lightgbm-{version}.json").read_text())
    assert "\nversion=v2\n" in saved[kind]["model"]
    booster, rows = lightgbm.Booster(model_str=saved[kind]["model"]), np.array(saved["rows"], float)
    for scorer in map(mlcore.compile, (saved[kind]["model"], booster, booster.model_to_string())):
        assert bits(scorer.margin(rows), booster.predict(rows, raw_score=True))
        assert np.array_equal(scorer.leaf_ids(rows), booster.predict(rows, pred_leaf=True))
        np.testing.assert_allclose(scorer.predict_value(rows), booster.predict(rows), rtol=1e-6)
        found, expected = scorer.explain(rows), booster.predict(rows, pred_contrib=True)
        np.testing.assert_allclose(found.reshape(len(rows), -1), expected, rtol=0, atol=1e-5)


def test_a_text_of_today_under_version_v2_is_the_same_model() -> None:
    text = train(SCORE).model_to_string().replace("version=v4", "version=v2")
    booster = lightgbm.Booster(model_str=text)
    assert bits(mlcore.compile(text).margin(X), booster.predict(X, raw_score=True))


def test_a_text_of_v2_that_is_cut_short_is_refused() -> None:
    saved = json.loads((Path(__file__).parent / "saved/lightgbm-2.1.2.json").read_text())
    text = saved["categorical"]["model"]
    for end in ("\nTree=3", "\nfeature importances:", "\npandas_categorical:"):
        with pytest.raises(ModelFormatError, match="the text ends|announced by 'tree_sizes'"):
            mlcore.compile(text[: text.index(end) + 1])


@pytest.mark.parametrize("boosting", ["gbdt", "dart", "rf"])
@pytest.mark.parametrize("labels", ["real", "classes"])
def test_shap_values_are_the_librarys(labels: str, boosting: str) -> None:
    more = {"objective": "multiclass", "num_class": 4} if labels == "classes" else {"objective": "regression"}
    rf = {"bagging_freq": 1, "bagging_fraction": 0.7} if boosting == "rf" else {}
    booster = train(LABELS[labels](), boosting=boosting, **more, **rf)
    found, expected = mlcore.compile(booster).explain(X), booster.predict(X, pred_contrib=True)
    np.testing.assert_allclose(found.reshape(ROWS, -1), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_linear_leaves_are_not_explained() -> None:
    with pytest.raises(UnsupportedModel, match="leaves are linear"):
        mlcore.compile(train(SCORE, linear_tree=True, categorical=())).explain(X)
