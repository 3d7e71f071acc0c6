"""OneHotEncoder, OrdinalEncoder and TargetEncoder against scikit-learn, and lowered."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.preprocessing
from sklearn.model_selection import KFold

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder


def words(*, seed: int = 0, rows: int = 400, extra: bool = False) -> np.ndarray[Any, Any]:
    """Two columns of strings, the first with missing values; `extra` adds categories that fit has not seen."""
    rng = np.random.default_rng(seed)
    pool = [*"dbac", *(["zz", "q"] if extra else [])]
    X = np.array([[rng.choice(pool), f"t{rng.integers(30)}"] for _ in range(rows)], object)
    X[rng.random(rows) < 0.1, 0] = np.nan
    return X


def frames(X: np.ndarray[Any, Any]) -> list[Any]:
    table = pa.table({f"x{j}": pa.array(X[:, j], from_pandas=True) for j in range(X.shape[1])})
    coded = pa.table({name: table[name].dictionary_encode() for name in table.column_names})
    pandas = pd.DataFrame({f"x{j}": X[:, j] for j in range(X.shape[1])}).astype("str")
    return [X, table, coded, pandas, pandas.astype("category")]


def targets(X: np.ndarray[Any, Any], *, binary: bool, seed: int = 3) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    base = np.array([hash_of(value) for value in X[:, 0]]) + rng.normal(0, 1, len(X))
    return (base > 1.5).astype(int) if binary else base


def hash_of(value: Any) -> float:
    return float(ord(value[0]) % 4) if isinstance(value, str) else 2.5


@pytest.mark.parametrize("kind", range(5))
def test_one_hot_equals_scikit_learns(kind: int) -> None:
    theirs = sklearn.preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(words())
    ours = OneHotEncoder(handle_unknown="ignore").fit(frames(words())[kind])
    new = words(seed=1, extra=True)
    np.testing.assert_array_equal(ours.transform(frames(new)[kind]), theirs.transform(new))
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()


def test_sparse_output_holds_the_same() -> None:
    X, new = words(), words(seed=1, extra=True)
    dense = OneHotEncoder(handle_unknown="ignore").fit(X)
    sparse = OneHotEncoder(handle_unknown="ignore", sparse_output=True).fit(X)
    np.testing.assert_array_equal(sparse.transform(new).toarray(), dense.transform(new))


def test_numbers_are_categories_too() -> None:
    X = np.array([[3], [1], [3], [2]])
    theirs = sklearn.preprocessing.OneHotEncoder(sparse_output=False).fit(X)
    ours = OneHotEncoder().fit(X)
    np.testing.assert_array_equal(ours.transform(X), theirs.transform(X))
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()


def test_missing_numbers_are_a_category() -> None:
    X = np.array([[3.0], [np.nan], [1.0]])
    expected = sklearn.preprocessing.OneHotEncoder(sparse_output=False).fit_transform(X)
    np.testing.assert_array_equal(OneHotEncoder().fit_transform(X), expected)


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()])
def test_an_unknown_category_is_refused_by_value_and_column(encoder: Any) -> None:
    encoder.fit([["a", "x"], ["b", "y"]])
    with pytest.raises(ValueError, match=r"unknown categories \['c'\] in column 0 during transform"):
        encoder.transform([["c", "x"]])


@pytest.mark.parametrize("encoder", [OneHotEncoder, OrdinalEncoder])
def test_given_categories_must_hold_those_of_fit(encoder: Any) -> None:
    with pytest.raises(ValueError, match=r"unknown categories \['b'\] in column 0 during fit"):
        encoder(categories=[["a"]]).fit([["a"], ["b"]])


def test_given_categories_keep_their_order() -> None:
    ours = OrdinalEncoder(categories=[["low", "high"]]).fit([["high"], ["low"]])
    assert ours.transform([["high"], ["low"]]).ravel().tolist() == [1.0, 0.0]


def test_given_categories_stand_once() -> None:
    with pytest.raises(ValueError, match="duplicate"):
        OneHotEncoder(categories=[["a", "a"]]).fit([["a"]])


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("missing", [math.nan, -2.0])
def test_ordinal_equals_scikit_learns(kind: int, missing: float) -> None:
    options: dict[str, Any] = {
        "handle_unknown": "use_encoded_value",
        "unknown_value": -1,
        "encoded_missing_value": missing,
    }
    theirs = sklearn.preprocessing.OrdinalEncoder(**options).fit(words())
    ours = OrdinalEncoder(**options).fit(frames(words())[kind])
    new = words(seed=1, extra=True)
    np.testing.assert_array_equal(ours.transform(frames(new)[kind]), theirs.transform(new))


def test_missing_that_fit_has_not_seen_is_unknown() -> None:
    options: dict[str, Any] = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    X, new = np.array([["a"], ["b"]], object), np.array([[None], ["b"]], object)
    expected = sklearn.preprocessing.OrdinalEncoder(**options).fit(X).transform(new)
    np.testing.assert_array_equal(OrdinalEncoder(**options).fit(X).transform(new), expected)


def test_an_unknown_value_that_is_a_code_is_refused() -> None:
    with pytest.raises(ValueError, match="already used"):
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=1).fit([["a"], ["b"]])


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("smooth", ["auto", 0.0, 20.0])
@pytest.mark.parametrize("kind", [0, 2])
def test_target_means_equal_scikit_learns(binary: bool, smooth: Any, kind: int) -> None:
    X = words()
    y = targets(X, binary=binary)
    theirs = sklearn.preprocessing.TargetEncoder(smooth=smooth).fit(X, y)
    ours = TargetEncoder(smooth=smooth).fit(frames(X)[kind], y)
    new = words(seed=1, extra=True)
    np.testing.assert_allclose(ours.transform(frames(new)[kind]), theirs.transform(new), rtol=1e-12)


@pytest.mark.parametrize("smooth", ["auto", 5.0])
def test_cross_fitting_equals_scikit_learns(smooth: Any) -> None:
    X = words()
    y = targets(X, binary=True)
    folds = KFold(5, shuffle=True, random_state=0)
    theirs = sklearn.preprocessing.TargetEncoder(smooth=smooth, cv=folds).fit_transform(X, y)
    ours = TargetEncoder(smooth=smooth, cv=folds)
    np.testing.assert_allclose(ours.fit_transform(X, y), theirs, rtol=1e-12)
    assert not np.allclose(ours.transform(X), theirs)


def test_cross_fitting_repeats_with_its_seed() -> None:
    X = words()
    y = targets(X, binary=True)
    once, again = (TargetEncoder(random_state=7).fit_transform(X, y) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_labels_that_are_words_are_two_classes() -> None:
    X = words()
    y = targets(X, binary=True)
    named = np.array(["no", "yes"])[y]
    np.testing.assert_array_equal(TargetEncoder().fit(X, named).transform(X), TargetEncoder().fit(X, y).transform(X))


def test_three_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="multiclass"):
        TargetEncoder().fit([["a"], ["b"], ["c"]], [0, 1, 2])


LOWERABLE: list[Any] = [
    OneHotEncoder(handle_unknown="ignore"),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-3),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=math.nan),
    TargetEncoder(smooth=3.0),
]


@pytest.mark.parametrize("encoder", LOWERABLE)
@pytest.mark.parametrize("rows", [400, 3])
def test_lowered_encoders_give_the_same_float32(encoder: Any, rows: int) -> None:
    X = words(rows=rows)  # three rows hold no missing value
    fitted = encoder.fit(frames(X)[1], targets(X, binary=False))
    new = frames(words(seed=1, extra=True))[1]
    lowered = fitted.to_transforms().apply(new)
    assert lowered.tobytes() == fitted.transform(new).astype(np.float32).tobytes()


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()])
def test_an_encoder_that_stops_at_unknowns_is_not_lowered(encoder: Any) -> None:
    with pytest.raises(UnsupportedModel, match="handle_unknown='error'"):
        encoder.fit([["a"], ["b"]]).to_transforms()


def test_categories_that_are_numbers_are_not_lowered() -> None:
    with pytest.raises(UnsupportedModel, match="'f0'.*numbers"):
        OneHotEncoder(handle_unknown="ignore").fit(np.array([[1], [2]])).to_transforms()


def test_mixed_values_are_refused() -> None:
    with pytest.raises(ValueError, match="strings or numbers"):
        OneHotEncoder().fit(np.array([["a"], [1]], object))


def test_a_dictionary_that_repeats_an_entry_is_read_as_one_category() -> None:
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", "b", "a"]))
    fitted = OneHotEncoder().fit(pa.table({"x": twice}))
    assert fitted.categories_[0].tolist() == ["a", "b"]
    np.testing.assert_array_equal(fitted.transform(pa.table({"x": twice})), [[1, 0], [0, 1], [1, 0]])
