"""Distances between two sets of counts over shared bins, and how large they come out by chance alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def shares(counts: Array) -> Array:
    """Return counts as shares of their sum; zeros where there are none."""
    total = counts.sum()
    return counts / total if total else np.zeros(len(counts))


def jensen_shannon(p: Array, q: Array) -> float:
    """Return the Jensen–Shannon distance of two shares: the square root of the divergence in bits, 0 to 1 (Lin 1991)."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(side > 0, side * np.log2(side / middle), 0.0) for side in (p, q)]
    return math.sqrt(max(0.0, float((terms[0] + terms[1]).sum()) / 2))


def psi(p: Array, q: Array, *, smallest: float = 1e-4) -> float:
    """Return the population stability index, in nats; shares below `smallest` count as that much."""
    p, q = np.maximum(p, smallest), np.maximum(q, smallest)
    return float(((q - p) * np.log(q / p)).sum())


@dataclass(frozen=True)
class Bounds:
    """An interval that holds a statistic which bins alone do not fix."""

    low: float
    high: float


def kolmogorov_smirnov(reference: Array, current: Array) -> Bounds:
    """Return bounds of the largest gap between the two distribution functions, given counts over shared ordered bins.

    At the bins' edges the gap is known; within a bin each function rises by at most its own share, so the gap cannot
    exceed the least of (gap before + the one's share) and (gap after + the other's).
    """
    p, q = shares(reference), shares(current)
    after = np.cumsum(p) - np.cumsum(q)
    before = np.concatenate([[0.0], after[:-1]])
    low = float(np.max(np.abs(after), initial=0.0))
    above = np.minimum(before + p, after + q)
    below = np.minimum(-before + q, -after + p)
    return Bounds(low, float(max(low, np.max(above, initial=0.0), np.max(below, initial=0.0))))


def chi_square(reference: Array, current: Array) -> tuple[float, int]:
    """Return Pearson's statistic for equal distributions of two samples, and its degrees of freedom."""
    seen = (reference + current) > 0
    table = np.stack([reference[seen], current[seen]]).astype(np.float64)
    total = table.sum()
    if total == 0 or not table.sum(axis=1).all():
        return 0.0, 0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    return float(((table - expected) ** 2 / expected).sum()), int(seen.sum()) - 1


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the chance of a larger value (Wilson and Hilferty 1931: within 0.01 of the exact one)."""
    if freedom < 1:
        return 1.0
    spread = 2 / (9 * freedom)
    z = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))


def chi_square_quantile(probability: float, freedom: int) -> float:
    """Return the value that the statistic stays below with this probability (Wilson and Hilferty: within 4% from 0.9 on)."""
    if freedom < 1:
        return 0.0
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + NormalDist().inv_cdf(probability) * math.sqrt(spread)) ** 3)


def noise_floor(reference: Array, current: Array, *, confidence: float) -> float:
    """Return the Jensen–Shannon distance that samples of these sizes from one distribution stay below.

    For small differences d of shares around m the divergence is sum(d²/m)/8 nats, and sum(d²/m) is (1/n + 1/m) times a
    chi-square variable.
    """
    n, m = int(reference.sum()), int(current.sum())
    if not (n and m):
        return 1.0
    freedom = int(((reference + current) > 0).sum()) - 1
    nats = (1 / n + 1 / m) * chi_square_quantile(confidence, freedom) / 8
    return min(1.0, math.sqrt(nats / math.log(2)))


def benjamini_hochberg(p_values: Array, *, rate: float) -> Array:
    """Return which hypotheses are rejected at a false discovery rate (Benjamini and Hochberg 1995)."""
    if not len(p_values):
        return np.zeros(0, bool)
    order = np.argsort(p_values, kind="stable")
    passed = p_values[order] <= rate * np.arange(1, len(order) + 1) / len(order)
    rejected = np.zeros(len(order), bool)
    if passed.any():
        rejected[order[: int(np.flatnonzero(passed)[-1]) + 1]] = True
    return rejected
