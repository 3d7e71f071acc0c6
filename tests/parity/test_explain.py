"""SHAP values of trees too deep to enumerate equal the exact ones, which rational arithmetic gives leaf by leaf."""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import numpy as np
import pytest

from mlcore import ops
from mlcore.backend import Backend
from mlcore.ops import ExplainerArrays, ForestArrays


def chain(features: int, *, shrink: float = 0.7) -> ExplainerArrays:
    """Node i asks feature i whether its code is 1; where it is not, the row ends in a leaf."""
    count, rng = 2 * features + 1, np.random.default_rng(0)
    inner = np.arange(count) % 2 == 0
    inner[-1] = False
    at = np.arange(count, dtype=np.int32)
    cover = np.where(at % 2 == 0, 1.0, 1 - shrink) * shrink ** (at // 2)
    forest = ForestArrays(
        pred_column=np.arange(features, dtype=np.int32), pred_code=np.ones(features, np.int32),
        pred_set=np.full(features, -1, np.int32), pred_missing=np.zeros(features, np.uint8),
        sets=np.zeros((0, 1), np.uint64), tree_start=np.array([0, count], np.int64), tree_output=np.zeros(1, np.int32),
        node_pred=np.where(inner, at // 2, -1).astype(np.int32), node_left=np.where(inner, at + 1, 0).astype(np.int32),
        node_right=np.where(inner, at + 2, 0).astype(np.int32), node_value=rng.standard_normal((count, 1)),
        n_codes=np.full(features, 2, np.int32), n_outputs=1,
    )  # fmt: skip
    return ExplainerArrays(forest, np.where(inner, at // 2, -1).astype(np.int32), cover, features)


def exact(explained: ExplainerArrays, row: list[int]) -> list[Fraction]:
    """The values of one row of a chain, leaf by leaf: each path asks every feature once."""
    features, cover = explained.n_features, [Fraction(float(c)) for c in explained.node_cover]
    found = [Fraction(0)] * (features + 1)
    path: list[tuple[Fraction, int]] = []  # of each feature: the share of rows that pass, and whether this one does
    for feature in range(features):
        node = 2 * feature
        leave, stay = cover[node + 1] / cover[node], cover[node + 2] / cover[node]
        add(found, [*path, (leave, 1 - row[feature])], float(explained.forest.node_value[node + 1, 0]))
        path.append((stay, row[feature]))
    add(found, path, float(explained.forest.node_value[-1, 0]))
    return found


def add(found: list[Fraction], path: list[tuple[Fraction, int]], value: float) -> None:
    count = len(path)
    mean = Fraction(value)
    for share, _ in path:
        mean *= share
    found[-1] += mean
    for i, (share, met) in enumerate(path):
        by_size = [Fraction(1)]  # of sets of the other features: the products of their terms, summed
        for other, passes in path[:i] + path[i + 1 :]:
            grown = [*(other * term for term in by_size), Fraction(0)]
            if passes:
                for size, term in enumerate(by_size):
                    grown[size + 1] += term
            by_size = grown
        weights = [Fraction(factorial(size) * factorial(count - size - 1), factorial(count)) for size in range(count)]
        found[i] += Fraction(value) * (met - share) * sum(map(Fraction.__mul__, weights, by_size))


@pytest.mark.parametrize("features", [3, 12, 13, 24])
def test_deep_trees_of_many_features_are_exact(features: int, host: Backend) -> None:
    explained = chain(features)
    rows = (np.random.default_rng(1).random((3, features)) < np.array([[0.5], [0.9], [1.0]])).astype(np.uint8)
    out = np.zeros((3, 1, features + 1))
    codes = [np.ascontiguousarray(rows[:, c]) for c in range(features)]
    ops.explain(ops.prepare(explained, backend=host), codes, [None] * features, out, backend=host)
    wanted = np.array([[float(value) for value in exact(explained, row.tolist())] for row in rows])
    np.testing.assert_allclose(out[:, 0], wanted, rtol=0, atol=1e-13)
