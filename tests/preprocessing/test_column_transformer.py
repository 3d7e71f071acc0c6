"""ColumnTransformer against scikit-learn's, and lowered to Transforms."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.compose
import sklearn.impute
import sklearn.pipeline
import sklearn.preprocessing
from sklearn.base import clone

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing import (
    Clip,
    ColumnTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
    TargetEncoder,
)


def table(*, seed: int = 0, rows: int = 300, extra: bool = False) -> pa.Table:
    rng = np.random.default_rng(seed)
    pool = np.array(["AA", "UA", "B6", *(["ZZ"] if extra else [])])
    gone = rng.random((4, rows)) < 0.15
    return pa.table(
        {
            "age": pa.array(rng.normal(40, 9, rows), mask=gone[0]),
            "count": pa.array(rng.integers(0, 9, rows), mask=gone[1]),
            "carrier": pa.array(rng.choice(pool, rows), mask=gone[2]),
            "dest": pa.array([f"d{i}" for i in rng.integers(20, size=rows)], mask=gone[3]),
            "other": rng.normal(size=rows),
        }
    )


def labels(rows: int = 300) -> np.ndarray[Any, Any]:
    return np.random.default_rng(9).normal(size=rows)


def ours(**options: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("num", [SimpleImputer(strategy="median"), StandardScaler()], ["age", "count"]),
            ("hot", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
            (
                "filled",
                [SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")],
                ["carrier"],
            ),
            ("none", [SimpleImputer(strategy="constant"), OneHotEncoder(handle_unknown="ignore")], ["dest"]),
            ("mean", [TargetEncoder(smooth=5.0, shuffle=False), StandardScaler()], ["dest"]),
            ("as_is", "passthrough", ["age"]),
            ("gone", "drop", ["other"]),
        ],
        **options,
    )


def theirs(**options: Any) -> sklearn.compose.ColumnTransformer:
    hot = sklearn.preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    imputer = sklearn.impute.SimpleImputer
    scaler = sklearn.preprocessing.StandardScaler()
    chain = sklearn.pipeline.make_pipeline
    target = sklearn.preprocessing.TargetEncoder(smooth=5.0, cv=sklearn.model_selection.KFold(5))
    return sklearn.compose.ColumnTransformer(
        [
            ("num", chain(imputer(strategy="median"), scaler), ["age", "count"]),
            ("hot", hot, ["carrier"]),
            ("filled", chain(imputer(strategy="most_frequent"), hot), ["carrier"]),
            ("none", chain(imputer(strategy="constant"), hot), ["dest"]),
            ("mean", chain(target, scaler), ["dest"]),
            ("as_is", "passthrough", ["age"]),
            ("gone", "drop", ["other"]),
        ],
        **options,
    )


def pandas_of(found: pa.Table) -> pd.DataFrame:
    """With object strings: scikit-learn's imputer takes these in every version."""
    frame = found.to_pandas()
    return frame.astype({"carrier": object, "dest": object})


def test_results_and_names_equal_scikit_learns() -> None:
    y = labels()
    oracle = theirs().fit(pandas_of(table()), y)
    mine = ours().fit(table(), y)
    new = table(seed=1, extra=True)
    np.testing.assert_allclose(mine.transform(new), oracle.transform(pandas_of(new)), rtol=1e-10, atol=1e-12)
    assert mine.get_feature_names_out().tolist() == oracle.get_feature_names_out().tolist()


def test_training_rows_are_cross_fitted() -> None:
    y = labels()
    oracle = theirs().fit_transform(pandas_of(table()), y)
    np.testing.assert_allclose(ours().fit_transform(table(), y), oracle, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch", [False, True])
def test_lowered_transforms_give_the_same_float32(batch: bool) -> None:
    fitted = ours().fit(table(), labels())
    new = table(seed=1, extra=True)
    transforms = fitted.to_transforms()
    found = transforms.apply(new.to_batches()[0] if batch else new)
    assert found.tobytes() == fitted.transform(new).astype(np.float32).tobytes()
    assert transforms.names == tuple(fitted.get_feature_names_out())
    assert transforms.columns == ("age", "count", "carrier", "dest")


def test_pandas_and_arrow_fit_alike() -> None:
    y = labels()
    new = table(seed=1, extra=True)
    found = [ours().fit(X, y).transform(new) for X in (table(), table().to_pandas())]
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize(
    "columns", [[0, 2], slice(0, 3, 2), [True, False, True], [-3, -1], np.array([0, 2]), ["f0", "f2"]]
)
def test_columns_are_named_counted_sliced_or_masked(columns: Any) -> None:
    X = np.arange(12.0).reshape(4, 3)
    frame = pd.DataFrame(X, columns=["f0", "f1", "f2"])
    found = ColumnTransformer([("c", Clip(1, 9), columns)]).fit_transform(frame)
    np.testing.assert_array_equal(found, np.clip(X[:, [0, 2]], 1, 9))


def test_an_array_lowers_to_columns_by_position() -> None:
    X = np.arange(12.0).reshape(4, 3)
    fitted = ColumnTransformer([("c", StandardScaler(), [2])], remainder="passthrough").fit(X)
    assert fitted.to_transforms().columns == ("f2", "f0", "f1")


def test_names_may_stand_without_the_transformers_name() -> None:
    fitted = ColumnTransformer([("c", Clip(), ["age"])], verbose_feature_names_out=False).fit(table())
    assert fitted.get_feature_names_out().tolist() == ["age"]


def test_names_that_clash_are_refused() -> None:
    fitted = ColumnTransformer([("a", Clip(), ["age"]), ("b", Clip(), ["age"])], verbose_feature_names_out=False).fit(
        table()
    )
    with pytest.raises(ValueError, match="not unique"):
        fitted.get_feature_names_out()


def test_a_column_that_is_absent_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'speed'"):
        ColumnTransformer([("c", Clip(), ["speed"])]).fit(table())


def test_two_transformers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="not unique"):
        ColumnTransformer([("c", Clip(), ["age"]), ("c", Clip(), ["other"])]).fit(table())


def test_given_transformers_stay_unfitted() -> None:
    given = StandardScaler()
    ColumnTransformer([("c", [given], ["age"])]).fit(table())
    assert not hasattr(given, "mean_")


def test_clone_keeps_lists_of_transformers() -> None:
    copy = clone(ours())
    assert [type(step).__name__ for step in copy.transformers[0][1]] == ["SimpleImputer", "StandardScaler"]
    assert copy.transformers[0][1][0] is not ours().transformers[0][1][0]


def test_a_foreign_transformer_runs_but_is_not_lowered() -> None:
    foreign = sklearn.preprocessing.PolynomialFeatures()
    fitted = ColumnTransformer([("poly", foreign, ["other"])]).fit(table())
    assert fitted.transform(table()).shape == (300, 3)
    with pytest.raises(UnsupportedModel, match="'poly'.*PolynomialFeatures"):
        fitted.to_transforms()


def test_imputed_strings_that_stay_strings_are_not_lowered() -> None:
    fitted = ColumnTransformer([("s", SimpleImputer(strategy="constant"), ["dest"])]).fit(table())
    with pytest.raises(UnsupportedModel, match="'dest'.*never turned into numbers"):
        fitted.to_transforms()


def test_categories_of_transformed_numbers_are_not_lowered() -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    fitted = ColumnTransformer([("c", [SimpleImputer(), encoder], ["count"])]).fit(table())
    with pytest.raises(UnsupportedModel, match="'count'"):
        fitted.to_transforms()


def test_importing_the_package_does_not_import_scikit_learn() -> None:
    code = (
        "import sys, mlcore.preprocessing as p; assert 'sklearn' not in sys.modules; "
        "p.StandardScaler; assert 'sklearn' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
