"""Drift statistics against SciPy, and against the definition where SciPy has none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from scipy.spatial.distance import jensenshannon

from mlcore.drift import statistics as stats

CASES = [np.random.default_rng(seed).integers(0, 500, (2, size)) for seed, size in enumerate((2, 3, 8, 40, 200))]


@pytest.mark.parametrize("counts", CASES)
def test_distance_is_scipys(counts: np.ndarray) -> None:
    p, q = (stats.shares(side) for side in counts)
    assert stats.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-12)


def test_distance_is_0_for_equals_and_1_for_strangers() -> None:
    assert stats.jensen_shannon(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    assert stats.jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1


def test_psi_is_its_definition() -> None:
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.25, 0.25, 0.5])
    assert stats.psi(p, q) == pytest.approx(0.05 * np.log(1.25) - 0.05 * np.log(0.25 / 0.3))
    assert np.isfinite(stats.psi(np.array([1.0, 0.0]), np.array([0.0, 1.0])))


@pytest.mark.parametrize("counts", CASES)
def test_chi_square_is_scipys(counts: np.ndarray) -> None:
    statistic, freedom = stats.chi_square(*counts)
    seen = counts.sum(axis=0) > 0
    expected = scipy_stats.chi2_contingency(counts[:, seen], correction=False)
    assert statistic == pytest.approx(expected.statistic)
    assert freedom == expected.dof
    assert stats.chi_square_tail(statistic, freedom) == pytest.approx(expected.pvalue, abs=0.01)


@pytest.mark.parametrize("freedom", [1, 2, 10, 50])
def test_quantile_is_scipys_within_4_percent(freedom: int) -> None:
    for probability in (0.9, 0.99, 0.999):
        exact = scipy_stats.chi2.ppf(probability, freedom)
        assert stats.chi_square_quantile(probability, freedom) == pytest.approx(exact, rel=0.04)


@pytest.mark.parametrize("seed", range(10))
def test_the_bounds_hold_the_true_gap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, 400), rng.normal(0.2 * seed, 1.3, 300)
    edges = np.sort(rng.normal(0, 1, 12))
    counts = [np.bincount(np.searchsorted(edges, side, side="right"), minlength=13) for side in (a, b)]
    bounds = stats.kolmogorov_smirnov(*counts)
    assert bounds.low - 1e-12 <= scipy_stats.ks_2samp(a, b).statistic <= bounds.high + 1e-12


def test_discoveries_are_scipys() -> None:
    p = np.random.default_rng(0).beta(0.4, 2.0, 60)
    expected = scipy_stats.false_discovery_control(p) <= 0.05
    assert np.array_equal(stats.benjamini_hochberg(p, rate=0.05), expected)
    assert expected.any()
    assert not expected.all()


def test_the_noise_floor_is_passed_by_chance_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.full(20, 3.0))
    passed = 0
    for _ in range(2_000):
        a, b = rng.multinomial(4_000, weights), rng.multinomial(1_500, weights)
        distance = stats.jensen_shannon(stats.shares(a), stats.shares(b))
        passed += distance > stats.noise_floor(a, b, confidence=0.95)
    assert 0.02 < passed / 2_000 < 0.09
