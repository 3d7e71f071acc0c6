"""StandardScaler, MinMaxScaler, Clip and SimpleImputer against scikit-learn, and lowered."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.impute
import sklearn.preprocessing
from sklearn.base import clone

from mlcore.data.tables import to_table
from mlcore.errors import UnsupportedModel
from mlcore.preprocessing import Clip, MinMaxScaler, SimpleImputer, StandardScaler


def numbers(*, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.normal(3, 5, (500, 5))
    X[:, 1] = rng.integers(0, 4, 500)
    X[:, 2] = 0.1  # constant
    X[:, 3] = 1e9 + rng.normal(0, 1e-9, 500)  # constant but for rounding
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


SCALERS = [
    (StandardScaler(), sklearn.preprocessing.StandardScaler()),
    (StandardScaler(with_mean=False), sklearn.preprocessing.StandardScaler(with_mean=False)),
    (StandardScaler(with_std=False), sklearn.preprocessing.StandardScaler(with_std=False)),
    (MinMaxScaler(), sklearn.preprocessing.MinMaxScaler()),
    (MinMaxScaler((-1, 3), clip=True), sklearn.preprocessing.MinMaxScaler((-1, 3), clip=True)),
]


@pytest.mark.parametrize(("ours", "theirs"), SCALERS)
def test_scalers_equal_scikit_learns(ours: Any, theirs: Any) -> None:
    X, new = numbers(), numbers(seed=1) * 2
    expected = theirs.fit(X).transform(new)
    np.testing.assert_allclose(clone(ours).fit(X).transform(new), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), SCALERS)
def test_fitted_attributes_equal_scikit_learns(ours: Any, theirs: Any) -> None:
    X = numbers()
    ours, theirs = clone(ours).fit(X), theirs.fit(X)
    for name in (
        "mean_",
        "var_",
        "scale_",
        "data_min_",
        "data_max_",
        "data_range_",
        "min_",
        "n_samples_seen_",
    ):
        if hasattr(theirs, name) and getattr(theirs, name) is not None:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("ours", [StandardScaler(), MinMaxScaler((2, 5))])
def test_inverse_transform_gives_the_numbers_back(ours: Any) -> None:
    X = numbers()
    np.testing.assert_allclose(clone(ours).fit(X).inverse_transform(ours.fit(X).transform(X)), X, rtol=1e-9)


@pytest.mark.parametrize("ours", [StandardScaler(), MinMaxScaler()])
def test_partial_fits_add_up(ours: Any) -> None:
    X = numbers()
    whole, parts = clone(ours).fit(X), clone(ours)
    for part in np.array_split(X, 7):
        parts.partial_fit(part)
    np.testing.assert_allclose(parts.transform(X), whole.transform(X), rtol=1e-9, atol=1e-9)
    assert np.array_equal(parts.n_samples_seen_, whole.n_samples_seen_)


@pytest.mark.parametrize("ours", [StandardScaler(), MinMaxScaler()])
def test_a_second_fit_forgets_the_first(ours: Any) -> None:
    X = numbers()
    again = clone(ours).fit(X * 100 + 7).fit(X)
    assert np.array_equal(again.transform(X), clone(ours).fit(X).transform(X), equal_nan=True)


@pytest.mark.parametrize("ours", [StandardScaler(), MinMaxScaler((-1, 2), clip=True), Clip(-1, 2)])
def test_lowered_features_give_the_same_float32(ours: Any) -> None:
    X, new = numbers(), numbers(seed=1) * 2
    fitted = clone(ours).fit(X)
    lowered = fitted.to_transforms().apply(to_table(new))
    assert lowered.tobytes() == fitted.transform(new).astype(np.float32).tobytes()


def test_a_column_without_values_is_not_lowered() -> None:
    X = np.column_stack([np.arange(3.0), np.full(3, np.nan)])
    fitted = StandardScaler().fit(X)
    assert np.isnan(fitted.transform(np.ones((1, 2)))[0, 1])
    with pytest.raises(UnsupportedModel, match="'f1' had no values"):
        fitted.to_transforms()


def test_clip_limits_and_passes_missing() -> None:
    found = Clip(0, 2).fit_transform(np.array([[-1.0], [1.0], [3.0], [np.nan]]))
    np.testing.assert_array_equal(found, [[0.0], [1.0], [2.0], [np.nan]])


@pytest.mark.parametrize(
    "table",
    [lambda d: pa.table(d), lambda d: pd.DataFrame(d), lambda d: pa.table(d).to_batches()[0]],
    ids=["arrow", "pandas", "batch"],
)
def test_tables_give_names_and_the_same_numbers(table: Any) -> None:
    data = {"a": [1.0, 2.0, 4.0], "b": [3, 1, 2]}
    fitted = StandardScaler().fit(table(data))
    assert fitted.get_feature_names_out().tolist() == ["a", "b"]
    expected = sklearn.preprocessing.StandardScaler().fit_transform(pd.DataFrame(data))
    np.testing.assert_allclose(fitted.transform(table(data)), expected, rtol=1e-14)


def test_nulls_of_integers_are_missing() -> None:
    table = pa.table({"a": pa.array([1, None, 3], pa.int64())})
    assert StandardScaler().fit(table).mean_.tolist() == [2.0]


def test_columns_in_another_order_are_refused() -> None:
    fitted = StandardScaler().fit(pa.table({"a": [1.0], "b": [2.0]}))
    with pytest.raises(ValueError, match="same order"):
        fitted.transform(pa.table({"b": [1.0], "a": [2.0]}))


def test_strings_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="column 'b' holds strings"):
        StandardScaler().fit(pa.table({"a": [1.0], "b": ["x"]}))


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_infinities_are_refused(infinity: float) -> None:
    with pytest.raises(ValueError, match="infinity"):
        StandardScaler().fit(pa.table({"a": [1.0, infinity]}))


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("keep", [False, True])
def test_imputer_equals_scikit_learns(strategy: Any, keep: bool) -> None:
    X = np.round(numbers())
    X[:, 4] = np.nan
    ours = SimpleImputer(strategy=strategy, keep_empty_features=keep)
    theirs = sklearn.impute.SimpleImputer(strategy=strategy, keep_empty_features=keep)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs.fit(X).transform(X)
        found = ours.fit(X).transform(X)
        assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_column_left_out_is_warned_of() -> None:
    X = np.array([[1.0, np.nan], [2.0, np.nan]])
    with pytest.warns(UserWarning, match="x1"):
        assert SimpleImputer().fit(X).transform(X).shape == (2, 1)


def test_the_least_of_several_modes_is_taken() -> None:
    X = np.array([[3.0], [1.0], [3.0], [1.0], [np.nan]])
    assert SimpleImputer(strategy="most_frequent").fit(X).statistics_.tolist() == [1.0]


@pytest.mark.parametrize("blank", [None, np.nan])
def test_strings_are_imputed_as_scikit_learn_does(blank: Any) -> None:
    X = np.array([["b"], ["a"], [blank], ["b"], ["a"]], object)
    ours = SimpleImputer(strategy="most_frequent").fit_transform(X)
    assert ours.ravel().tolist() == ["b", "a", "a", "b", "a"]
    constant = SimpleImputer(strategy="constant").fit_transform(X)
    assert constant.ravel().tolist() == ["b", "a", "missing_value", "b", "a"]


def test_a_number_cannot_fill_strings() -> None:
    with pytest.raises(ValueError, match="column of strings"):
        SimpleImputer(strategy="constant", fill_value=3).fit(pa.table({"a": ["x", None]}))


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_imputer_lowers_to_fills(strategy: Any) -> None:
    X, new = np.round(numbers()), numbers(seed=1)
    fitted = SimpleImputer(strategy=strategy).fit(X)
    lowered = fitted.to_transforms().apply(to_table(new))
    assert lowered.tobytes() == fitted.transform(new).astype(np.float32).tobytes()


def test_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy"):
        SimpleImputer(strategy="mode").fit(np.ones((2, 1)))  # type: ignore[arg-type]


def test_a_clip_needs_low_below_high() -> None:
    with pytest.raises(ValueError, match="low"):
        Clip(math.nan, 1).fit(np.ones((2, 1)))
