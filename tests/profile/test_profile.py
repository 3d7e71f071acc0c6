"""Profiles: laws of merging (any partition of the rows gives the whole), counts and moments against NumPy and SciPy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlcore import Profile
from mlcore.errors import DataError, ProfileMismatch, UnsupportedType
from mlcore.profile import CategoricalColumn, NumericColumn

REFERENCE = Profile.fit(
    pa.table({"x": np.linspace(-3, 3, 500), "k": np.arange(500), "s": pa.array(["a", "b", "c", "d"] * 125)}), bins=16
)
numbers = st.one_of(st.none(), st.floats(width=64), st.just(float("nan")), st.floats(-4, 4))
rows = st.lists(st.tuples(numbers, st.one_of(st.none(), st.integers(-9, 600)), st.sampled_from([None, *"abcdxyz"])))


def table(values: list[tuple[float | None, int | None, str | None]]) -> pa.Table:
    x, k, s = zip(*values, strict=True) if values else ((), (), ())
    return pa.table({"x": pa.array(x, pa.float64()), "k": pa.array(k, pa.int64()), "s": pa.array(s, pa.string())})


def profile(values: list[tuple[float | None, int | None, str | None]]) -> Profile:
    found = REFERENCE.empty()
    found.update(table(values))
    return found


def assert_same(left: Profile, right: Profile) -> None:
    """Counts are equal exactly, moments to 1e-12 of what the values allow."""
    assert left.rows == right.rows
    for name, a in left.columns.items():
        b = right.columns[name]
        assert np.array_equal(a.counts, b.counts)
        assert (a.rows, a.missing) == (b.rows, b.missing)
        if isinstance(a, CategoricalColumn):
            assert isinstance(b, CategoricalColumn)
            assert a.unseen == b.unseen
        else:
            assert isinstance(b, NumericColumn)
            assert (a.nan, a.infinite, a.zeros, a.negatives, a.low, a.high) == (
                b.nan, b.infinite, b.zeros, b.negatives, b.low, b.high,
            )  # fmt: skip


small = st.lists(
    st.tuples(st.floats(-4, 4).map(lambda v: round(v, 3)), st.integers(-9, 600), st.sampled_from([None, *"abcx"]))
)


@settings(max_examples=60, deadline=None)
@given(rows, rows)
def test_merge_commutes(a: list, b: list) -> None:
    assert_same(profile(a).merge(profile(b)), profile(b).merge(profile(a)))


@settings(max_examples=40, deadline=None)
@given(rows, rows, rows)
def test_merge_is_associative(a: list, b: list, c: list) -> None:
    assert_same(profile(a).merge(profile(b)).merge(profile(c)), profile(a).merge(profile(b).merge(profile(c))))


@settings(max_examples=60, deadline=None)
@given(rows)
def test_empty_is_the_identity(a: list) -> None:
    assert_same(profile(a).merge(REFERENCE.empty()), profile(a))
    assert_same(REFERENCE.empty().merge(profile(a)), profile(a))


@settings(max_examples=60, deadline=None)
@given(rows, st.lists(st.integers(0, 40), max_size=4))
def test_any_partition_gives_the_whole(a: list, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(a)) for cut in cuts), len(a)]
    merged, updated = REFERENCE.empty(), REFERENCE.empty()
    for low, high in pairwise(bounds):
        merged = merged.merge(profile(a[low:high]))
        updated.update(table(a[low:high]))
    assert_same(merged, profile(a))
    assert_same(updated, profile(a))


@settings(max_examples=60, deadline=None)
@given(small.filter(len), st.integers(0, 60))
def test_moments_agree_for_any_partition(a: list, cut: int) -> None:
    whole = profile(a).columns["x"]
    split = profile(a[:cut]).merge(profile(a[cut:])).columns["x"]
    for name in ("n", "mean", "m2", "m3", "m4"):
        scale = 4.0 ** {"n": 0, "mean": 1, "m2": 2, "m3": 3, "m4": 4}[name] * len(a)
        assert getattr(whole.moments, name) == pytest.approx(getattr(split.moments, name), rel=1e-12, abs=1e-12 * scale)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_counts_are_numpys(a: list) -> None:
    found = profile(a).columns["x"]
    values = np.array([np.nan if v is None else v for v, _, _ in a], np.float64)
    present = values[~np.isnan(values)]
    codes = np.searchsorted(found.edges, present, side="right")
    assert np.array_equal(found.counts, np.bincount(codes, minlength=len(found.edges) + 1))
    assert found.missing == sum(v is None for v, _, _ in a)
    assert found.nan == len(values) - len(present) - found.missing
    assert found.infinite == ((present == -np.inf).sum(), (present == np.inf).sum())
    assert (found.zeros, found.negatives) == ((present == 0).sum(), (present < 0).sum())


def test_moments_are_scipys() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, 200_000)
    moments = Profile.fit(pa.table({"x": values})).columns["x"].moments
    assert moments.mean == pytest.approx(values.mean(), rel=1e-12)
    assert moments.variance == pytest.approx(values.var(), rel=1e-12)
    assert moments.m3 / moments.n / moments.variance**1.5 == pytest.approx(stats.skew(values), rel=1e-10)
    assert moments.m4 / moments.n / moments.variance**2 == pytest.approx(
        stats.kurtosis(values, fisher=False), rel=1e-10
    )


@settings(max_examples=60, deadline=None)
@given(rows)
def test_categories_are_counted_unseen_ones_apart(a: list) -> None:
    found = profile(a).columns["s"]
    names = [s for _, _, s in a]
    assert found.counts.tolist() == [names.count(name) for name in found.categories]
    assert found.missing == names.count(None)
    assert found.unseen == sum(name in ("x", "y", "z") for name in names)


def test_a_saved_profile_reads_back_exactly(tmp_path: Path) -> None:
    found = profile([(float("inf"), None, "a"), (float("nan"), 3, None), (0.1, -1, "x")])
    found.save(tmp_path / "profile.arrow")
    assert Profile.load(tmp_path / "profile.arrow").equals(found)


def test_a_damaged_profile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "profile.arrow"
    REFERENCE.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ProfileMismatch, match="cannot be read"):
        Profile.load(path)


def test_other_edges_are_refused_by_column() -> None:
    other = Profile.fit(pa.table({"x": [1.0, 2.0], "k": [1, 2], "s": ["a", "b"]}))
    with pytest.raises(ProfileMismatch, match="column 'x': the profiles count over different edges"):
        REFERENCE.merge(other)


def test_other_columns_are_refused_by_name() -> None:
    with pytest.raises(ProfileMismatch, match="differ in columns: k, s"):
        REFERENCE.merge(Profile.fit(pa.table({"x": [1.0]})))


def test_another_type_is_refused_by_column() -> None:
    with pytest.raises(ProfileMismatch, match="column 's' holds numbers"):
        REFERENCE.empty().update(pa.table({"x": [1.0], "k": [1], "s": [1.0]}))


def test_no_rows_and_nested_columns_are_refused() -> None:
    with pytest.raises(DataError, match="needs rows"):
        Profile.fit(pa.table({"x": pa.array([], pa.float64())}))
    with pytest.raises(UnsupportedType, match="column 'x': type list"):
        Profile.fit(pa.table({"x": [[1], [2]]}))


def test_a_column_of_nothing_but_missing_is_counted() -> None:
    found = Profile.fit(pa.table({"x": pa.array([None, None], pa.float64())})).columns["x"]
    assert (found.rows, found.missing, found.counts.sum()) == (2, 2, 0)
