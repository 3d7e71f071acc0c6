"""Streamed fitting equals scikit-learn's fit on all rows at once, however the rows are cut into batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.impute
import sklearn.preprocessing
from sklearn.model_selection import PredefinedSplit

from mlcore.errors import DataError, SchemaMismatch
from mlcore.preprocessing.features import Indicator, Lookup
from mlcore.preprocessing.fitting import FittedTransforms, fit_transforms
from mlcore.preprocessing.specs import (
    FeatureSpec,
    Impute,
    Limit,
    MinMax,
    OneHot,
    Ordinal,
    Scale,
    StepSpec,
    Target,
)

ROWS = 503
Array = np.ndarray[Any, Any]


def table() -> pa.Table:
    rng = np.random.default_rng(5)
    names = np.array(["b", "d", "a", "c"])
    return pa.table(
        {
            "x": pa.array(np.round(rng.normal(3, 2, ROWS), 1), mask=rng.random(ROWS) < 0.1),
            "k": rng.integers(0, 9, ROWS),
            "s": pa.array(rng.choice(names, ROWS, p=[0.4, 0.3, 0.2, 0.1]), mask=rng.random(ROWS) < 0.1),
            "y": (rng.random(ROWS) < 0.4).astype(float),
        }
    )


def batches(size: int) -> Callable[[], Iterable[pa.RecordBatch]]:
    return lambda: table().to_batches(max_chunksize=size)


def label(batch: pa.RecordBatch) -> Array:
    return batch.column("y").to_numpy()


def fit(column: str, *steps: StepSpec, size: int = 37) -> FittedTransforms:
    return fit_transforms(batches(size), [FeatureSpec((column,), steps)], label=label)


def fitted(column: str, *steps: StepSpec) -> Array:
    return fit(column, *steps).transforms.apply(table())


def x() -> Array:
    return table()["x"].to_numpy().reshape(-1, 1)


def s() -> Array:
    return np.array([[np.nan if value is None else value] for value in table()["s"].to_pylist()], object)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_impute_equals_scikit_learns(strategy: Any) -> None:
    expected = sklearn.impute.SimpleImputer(strategy=strategy).fit_transform(x())
    np.testing.assert_allclose(fitted("x", Impute(strategy)), expected, rtol=1e-6)


def test_scale_equals_scikit_learns() -> None:
    expected = sklearn.preprocessing.StandardScaler().fit_transform(x())
    np.testing.assert_allclose(fitted("x", Scale()), expected, rtol=1e-5, atol=1e-6)


def test_min_max_equals_scikit_learns() -> None:
    expected = sklearn.preprocessing.MinMaxScaler().fit_transform(x())
    np.testing.assert_allclose(fitted("x", MinMax()), expected, rtol=1e-5, atol=1e-6)


def test_later_statistics_see_earlier_steps() -> None:
    filled = sklearn.impute.SimpleImputer(strategy="median").fit_transform(x())
    expected = sklearn.preprocessing.StandardScaler().fit_transform(np.clip(filled, 1, 4))
    np.testing.assert_allclose(fitted("x", Impute("median"), Limit(1, 4), Scale()), expected, rtol=1e-5, atol=1e-6)


def test_one_hot_equals_scikit_learns() -> None:
    oracle = sklearn.preprocessing.OneHotEncoder(sparse_output=False).fit(s())
    found = fit("s", OneHot()).transforms
    assert found.names == ("s_a", "s_b", "s_c", "s_d", "s_nan")
    np.testing.assert_array_equal(found.apply(table()), oracle.transform(s()))


def test_one_hot_without_missing_rows_has_no_column_for_them() -> None:
    full = pa.table({"s": ["b", "a"]}).to_batches
    found = fit_transforms(full, [FeatureSpec(("s",), (OneHot(),))])
    assert found.transforms.names == ("s_a", "s_b")


def test_ordinal_equals_scikit_learns() -> None:
    expected = sklearn.preprocessing.OrdinalEncoder().fit_transform(s())
    np.testing.assert_array_equal(fitted("s", Ordinal()), expected)


@pytest.mark.parametrize("smooth", [0.0, 10, "auto"])
def test_target_equals_scikit_learns(smooth: Any) -> None:
    y = table()["y"].to_numpy()
    expected = sklearn.preprocessing.TargetEncoder(smooth=smooth).fit(s(), y).transform(s())
    np.testing.assert_allclose(fitted("s", Target(smooth)), expected, rtol=1e-6)


@pytest.mark.parametrize("smooth", [10, "auto"])
@pytest.mark.parametrize("size", [37, 1, 1000])
def test_training_rows_get_cross_fitted_targets(smooth: Any, size: int) -> None:
    y = table()["y"].to_numpy()
    folds = PredefinedSplit(np.arange(ROWS) % 5)
    expected = sklearn.preprocessing.TargetEncoder(smooth=smooth, cv=folds).fit_transform(s(), y)
    found = fit("s", Target(smooth), size=size)
    np.testing.assert_allclose(apply_training(found, size), expected, rtol=1e-6)


def apply_training(found: FittedTransforms, size: int) -> Array:
    row, parts = 0, []
    for batch in batches(size)():
        parts.append(found.apply_training(batch, first_row=row))
        row += batch.num_rows
    return np.concatenate(parts)


def test_steps_after_target_are_fitted_on_cross_fitted_values() -> None:
    folds = PredefinedSplit(np.arange(ROWS) % 5)
    encoder = sklearn.preprocessing.TargetEncoder(smooth=5.0, cv=folds)
    crossed = encoder.fit_transform(s(), table()["y"].to_numpy())
    scaler = sklearn.preprocessing.StandardScaler().fit(crossed)
    found = fit("s", Target(5.0), Scale())
    np.testing.assert_allclose(apply_training(found, 37), scaler.transform(crossed), rtol=1e-5)
    np.testing.assert_allclose(found.transforms.apply(table()), scaler.transform(encoder.transform(s())), rtol=1e-5)


def test_other_features_are_not_cross_fitted() -> None:
    specs = [FeatureSpec(("x",), (Scale(),)), FeatureSpec(("s",), (Target(1.0),)), FeatureSpec(("k",))]
    found = fit_transforms(batches(50), specs, label=label)
    training, scoring = apply_training(found, 50), found.transforms.apply(table())
    np.testing.assert_array_equal(training[:, [0, 2]], scoring[:, [0, 2]])
    assert not np.array_equal(training[:, 1], scoring[:, 1])


@pytest.mark.parametrize(
    "steps", [(Scale(),), (Impute("median"), MinMax()), (Impute("mean"),)], ids=["scale", "min-max", "mean"]
)
def test_the_cut_into_batches_does_not_matter(steps: tuple[StepSpec, ...]) -> None:
    whole, small = fit("x", *steps, size=ROWS), fit("x", *steps, size=7)
    np.testing.assert_allclose(small.transforms.apply(table()), whole.transforms.apply(table()), rtol=1e-6)


@pytest.mark.parametrize("steps", [(OneHot(),), (Ordinal(),), (Target(3.0),)], ids=["hot", "ordinal", "target"])
def test_dictionaries_that_differ_between_batches_do_not_matter(steps: tuple[StepSpec, ...]) -> None:
    def coded() -> Iterable[pa.RecordBatch]:
        for batch in batches(41)():
            strings = batch.column("s").dictionary_encode()
            yield batch.set_column(2, "s", strings)

    found = fit_transforms(coded, [FeatureSpec(("s",), steps)], label=label)
    assert found == fit("s", *steps, size=ROWS)


def test_an_imputed_category_stands_for_missing() -> None:
    found = fit("s", Impute("most_frequent"), OneHot()).transforms
    assert found.names == ("s_a", "s_b", "s_c", "s_d")
    assert found.features[1].steps == (Lookup(("b",), (1.0,), 0.0, 1.0),)
    assert found.features[0].steps == (Indicator("a"),)


def test_an_imputed_constant_is_a_category() -> None:
    found = fit("s", Impute("constant", "none"), Target(0.0)).transforms
    rows = table().filter(pa.compute.is_null(table()["s"]))
    assert found.apply(rows)[0, 0] == pytest.approx(rows["y"].to_numpy().mean())


def test_an_unknown_category_gets_the_mean_of_all() -> None:
    found = fit("s", Target(2.0)).transforms.apply(pa.table({"s": ["new"]}))
    assert found[0, 0] == pytest.approx(table()["y"].to_numpy().mean())


def test_missing_that_training_has_not_seen_gets_the_mean_of_all() -> None:
    full = pa.table({"s": ["a", "a", "b"], "y": [1.0, 1.0, 0.0]}).to_batches
    found = fit_transforms(full, [FeatureSpec(("s",), (Target(0.0),))], label=label).transforms
    assert found.apply(pa.table({"s": pa.array([None], pa.string())}))[0, 0] == pytest.approx(2 / 3)


def test_an_unknown_category_is_missing_after_ordinal() -> None:
    assert math.isnan(fit("s", Ordinal()).transforms.apply(pa.table({"s": ["new"]}))[0, 0])


def test_two_features_of_one_column_have_two_names() -> None:
    specs = [
        FeatureSpec(("s",), (Ordinal(),)),
        FeatureSpec(("s",), (Target(1.0),)),
        FeatureSpec(("k",)),
        FeatureSpec(("k",)),
    ]
    assert fit_transforms(batches(50), specs, label=label).transforms.names == ("s", "s_lookup", "k", "k_raw")


@pytest.mark.parametrize(
    ("column", "steps", "message"),
    [
        ("s", (), "'s' holds strings and no step"),
        ("s", (Scale(),), "'s' holds strings and step 'scale' needs numbers"),
        ("s", (Impute("median"), OneHot()), "'s' holds strings and step 'impute' needs numbers"),
        ("k", (OneHot(),), "'k' holds numbers and step 'one-hot' needs strings"),
        ("x", (Impute("constant", "none"),), "'x' holds numbers and step 'impute' needs strings"),
        ("absent", (), "'absent'"),
    ],
)
def test_a_step_that_does_not_fit_its_column_is_named(column: str, steps: Any, message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        fit(column, *steps)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        fit_transforms(list, [FeatureSpec(("x",))])


@pytest.mark.parametrize("steps", [(Scale(),), (MinMax(),), (Impute("mean"),)])
def test_infinities_are_refused_where_a_statistic_breaks(steps: tuple[StepSpec, ...]) -> None:
    infinite = pa.table({"x": [1.0, math.inf]}).to_batches
    with pytest.raises(DataError, match="'x' holds infinities"):
        fit_transforms(infinite, [FeatureSpec(("x",), steps)])


@pytest.mark.parametrize("kind", [pa.float64(), pa.string()])
def test_a_column_without_values_has_nothing_to_impute(kind: pa.DataType) -> None:
    empty = pa.table({"x": pa.array([None, None], kind)}).to_batches
    encoder = (Ordinal(),) if kind == pa.string() else ()
    with pytest.raises(DataError, match="'x' has no values"):
        fit_transforms(empty, [FeatureSpec(("x",), (Impute("most_frequent"), *encoder))])


def test_target_encoding_needs_labels() -> None:
    with pytest.raises(DataError, match="needs labels"):
        fit_transforms(batches(50), [FeatureSpec(("s",), (Target(),))])
