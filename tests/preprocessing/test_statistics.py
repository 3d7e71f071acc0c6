"""Statistics merge to what one look at all rows gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlcore.preprocessing.statistics import Cells, Extremes, Moments, ValueCounts, target_means

Values = np.ndarray[Any, Any]
floats = arrays.arrays(
    np.float64,
    st.integers(0, 40),
    elements=st.one_of(st.just(math.nan), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(floats, min_size=1, max_size=5))
def test_moments_merge_to_numpys(parts: list[Values]) -> None:
    found = Moments(0, 0.0, 0.0)
    for part in parts:
        found = found.merge(Moments.of(part))
    whole = np.concatenate(parts)
    present = whole[~np.isnan(whole)]
    assert found.count == len(present)
    if len(present):
        assert found.mean == pytest.approx(present.mean(), rel=1e-9, abs=1e-6)
        assert found.variance == pytest.approx(present.var(), rel=1e-9, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(floats, min_size=1, max_size=5))
def test_counts_merge_to_the_exact_median_and_least_mode(parts: list[Values]) -> None:
    found = ValueCounts.of(parts[0])
    for part in parts[1:]:
        found = found.merge(ValueCounts.of(part))
    whole = np.concatenate(parts)
    present = whole[~np.isnan(whole)]
    if not len(present):
        assert math.isnan(found.median)
        assert math.isnan(found.mode)
        return
    assert found.median == pytest.approx(np.median(present), rel=1e-15)
    values, counts = np.unique(present, return_counts=True)
    assert found.mode == values[counts == counts.max()].min()


@settings(max_examples=40, deadline=None)
@given(floats, floats)
def test_extremes_merge(a: Values, b: Values) -> None:
    found = Extremes.of(a).merge(Extremes.of(b))
    present = np.concatenate([a, b])
    present = present[~np.isnan(present)]
    if len(present):
        assert (found.low, found.high) == (present.min(), present.max())


def test_moments_keep_their_digits_far_from_zero() -> None:
    values = 1e9 + np.array([0.0, 1.0, 2.0] * 1000)
    found = Moments.of(values[:1500]).merge(Moments.of(values[1500:]))
    assert found.variance == pytest.approx(2 / 3, rel=1e-9)


def cells(rows: Values, target: Values, order: list[str]) -> Cells:
    codes = np.array([order.index(name) if name in order else len(order) for name in rows.tolist()], np.int64)
    return Cells.of(order, codes, target, np.arange(len(rows)) % 5, 5)


def test_cells_merge_across_dictionaries_in_another_order() -> None:
    rng = np.random.default_rng(0)
    rows = rng.choice(np.array(["a", "b", "c", "?"]), 200)
    target = rng.normal(size=200)
    whole = cells(rows, target, ["a", "b", "c"]).sort()
    merged = cells(rows[:95], target[:95], ["c", "a", "b"]).merge(cells(rows[95:], target[95:], ["b", "x", "c", "a"]))
    merged = merged.sort()
    assert merged.categories == whole.categories == ("a", "b", "c")
    for k in (None, 2):
        for found, expected in zip(merged.without(k), whole.without(k), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_fold_left_out_is_not_counted() -> None:
    rows = np.array(["a"] * 10)
    target = np.arange(10.0)
    count, total, m2 = cells(rows, target, ["a"]).without(3)
    kept = target[np.arange(10) % 5 != 3]
    assert (count[0], total[0]) == (8, kept.sum())
    assert m2[0] == pytest.approx(((kept - kept.mean()) ** 2).sum())


@pytest.mark.parametrize("smooth", [0.0, "auto"])
def test_a_category_without_rows_gets_the_mean_of_all(smooth: Any) -> None:
    count, total, m2 = np.array([4.0, 0.0]), np.array([2.0, 0.0]), np.array([1.0, 0.0])
    means, mean = target_means(count, total, m2, smooth)
    assert mean == 0.5
    assert means.tolist() == [0.5, 0.5]
