"""A few rows of a matrix: trees lie side by side, or walk where they cannot; the bits are those of a plain walk."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

import mlcore
from mlcore.ops import ForestArrays

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Made:
    """A forest of random trees over random edges."""

    trees: int
    heights: tuple[int, ...] = (6,)
    edges: tuple[int, ...] = (200,) * 8
    """How many each column has."""
    codes: tuple[int, int] | None = None
    """The thresholds that are asked, first and last; by default any of the column's codes but 0."""
    sets: float = 0.0
    """The share of nodes that ask for a set."""
    early: float = 0.1
    """The share of nodes above the last level that are leaves."""
    outputs: int = 1
    width: int = 1
    dtype: type = np.float32


def sample(made: Made) -> tuple[ForestArrays, list[Array], Array, Array]:
    """The forest, each column's edges, the base margins and rows among the edges, at them and beyond."""
    rng = np.random.default_rng(made.trees)
    edges = [np.sort(rng.choice(10 * n, n, replace=False)).astype(np.float32) for n in made.edges]
    words = (max(made.edges) + 64) // 64
    predicates: list[tuple[int, int, int, int]] = []
    sets: list[Array] = []
    nodes: list[tuple[int, int, int]] = []
    starts = [0]

    def grow(level: int, height: int, first: int) -> int:
        at = len(nodes)
        nodes.append((-1, 0, 0))
        if level == height or (level > 0 and rng.random() < made.early):
            return at - first
        column = int(rng.integers(len(edges)))
        low, high = made.codes or (1, len(edges[column]))
        number = -1
        if rng.random() < made.sets:
            number = len(sets)
            sets.append(rng.integers(0, 2**63, words, dtype=np.uint64))
        predicates.append((column, int(rng.integers(low, high + 1)), number, int(rng.integers(2))))
        mine = len(predicates) - 1
        left, right = grow(level + 1, height, first), grow(level + 1, height, first)
        nodes[at] = (mine, left, right)
        return at - first

    for tree in range(made.trees):
        grow(0, made.heights[tree % len(made.heights)], len(nodes))
        starts.append(len(nodes))
    column, code, number, missing = np.array(predicates, np.int32).reshape(-1, 4).T.copy()
    pred, left, right = np.array(nodes, np.int32).T.copy()
    last = made.outputs - made.width
    forest = ForestArrays(
        column, code, number, missing.astype(np.uint8), np.array(sets, np.uint64).reshape(-1, words),
        np.array(starts), rng.integers(0, last + 1, made.trees).astype(np.int32), pred, left, right,
        rng.normal(size=(len(nodes), made.width)).astype(made.dtype), np.array([n + 1 for n in made.edges], np.int32),
        made.outputs,
    )  # fmt: skip
    rows = np.stack([rng.choice(np.concatenate([e, e - 1, [-1, 1e9]]), 40) for e in edges], axis=1).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[0], rows[1], rows[2] = np.nan, np.inf, -np.inf
    return forest, edges, rng.normal(size=made.outputs), rows


def walked(forest: ForestArrays, edges: list[Array], base: Array, rows: Array) -> Array:
    """The margins by a walk down each tree, node by node, in plain Python."""
    out = np.empty((len(rows), forest.n_outputs), forest.node_value.dtype)
    out[:] = base
    columns, thresholds, sets, missing = (
        item.tolist() for item in (forest.pred_column, forest.pred_code, forest.pred_set, forest.pred_missing)
    )
    members = [[int(word) for word in words] for words in forest.sets]
    pred, left, right = (item.tolist() for item in (forest.node_pred, forest.node_left, forest.node_right))
    width = forest.node_value.shape[1]
    for x, sums in zip(rows, out, strict=True):
        codes = [int(np.searchsorted(edge, value, side="right")) for edge, value in zip(edges, x, strict=True)]
        absent = np.isnan(x).tolist()
        for first, output in zip(forest.tree_start[:-1].tolist(), forest.tree_output.tolist(), strict=True):
            at = first
            while (p := pred[at]) >= 0:
                code = codes[columns[p]]
                if absent[columns[p]]:
                    goes_right = bool(missing[p])
                elif sets[p] >= 0:
                    goes_right = bool(members[sets[p]][code // 64] >> (code % 64) & 1)
                else:
                    goes_right = code >= thresholds[p]
                at = first + (right if goes_right else left)[at]
            sums[output : output + width] += forest.node_value[at]
    return out


def agree(made: Made) -> bool:
    """Whether one row, and all at once, have the bits of the plain walk."""
    forest, edges, base, rows = sample(made)
    expected = walked(forest, edges, base, rows)
    kernels: Any = mlcore.backend.select("cpu").kernels
    for kind in (np.float32, np.float64):
        few = kernels.Rows(
            tuple(getattr(forest, item.name) for item in fields(forest)), [edge.astype(kind) for edge in edges], base
        )
        together = few(rows.astype(kind))
        alone = np.concatenate([few(row[None].astype(kind)) for row in rows])
        flat = few(rows[:1].astype(kind), flat=True)
        if flat.tobytes() != alone[:1].tobytes() or flat.shape != (
            (1,) if expected.shape[1] == 1 else (1, expected.shape[1])
        ):
            return False
        if together.dtype != expected.dtype or not expected.tobytes() == together.tobytes() == alone.tobytes():
            return False
    return True


@pytest.mark.parametrize("trees", [1, 15, 16, 17, 63, 64, 65, 128, 500, 512, 513, 600])
def test_any_number_of_trees(trees: int) -> None:
    assert agree(Made(trees))


@pytest.mark.parametrize("height", range(1, 9))
def test_trees_of_any_height(height: int) -> None:
    assert agree(Made(190, heights=(height,)))
    assert agree(Made(190, heights=(height,), early=0))


def test_trees_that_are_a_lone_leaf() -> None:
    assert agree(Made(100, heights=(0,)))
    assert agree(Made(600, heights=(0, 6), early=0))


@pytest.mark.parametrize("trees", [40, 200, 600])
def test_trees_of_many_heights(trees: int) -> None:
    assert agree(Made(trees, heights=(3, 8, 1, 6, 2, 6, 7, 4, 5)))
    assert agree(Made(trees, heights=(0, 2, 4)))


def test_deep_trees_among_the_others() -> None:
    made = Made(80, heights=(5, 12, 3), early=0.3)
    assert agree(made)
    assert agree(replace(made, outputs=3))


@pytest.mark.parametrize("columns", [1, 31, 33, 63, 65, 127, 129, 300])
def test_as_many_columns_as_a_byte_tells_apart_and_more(columns: int) -> None:
    assert agree(Made(150, edges=(30,) * columns))


@pytest.mark.parametrize("edges", [1, 16, 17, 254, 255, 256, 600])
def test_columns_of_any_number_of_codes(edges: int) -> None:
    assert agree(Made(100, edges=(edges, 20, edges)))


@pytest.mark.parametrize("edges", [7, 254, 255, 256])
def test_thresholds_that_every_value_or_none_reaches(edges: int) -> None:
    assert agree(Made(100, edges=(edges,) * 3, codes=(0, 1)))
    assert agree(Made(100, edges=(edges,) * 3, codes=(edges, edges + 1)))


@pytest.mark.parametrize("trees", [40, 300])
def test_sets_of_codes(trees: int) -> None:
    assert agree(Made(trees, heights=(2,), sets=0.3))
    assert agree(Made(trees, sets=0.01, edges=(255, 300, 20)))


@pytest.mark.parametrize(("outputs", "width"), [(1, 1), (3, 1), (3, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_several_outputs_and_of_doubles(outputs: int, width: int, dtype: type) -> None:
    assert agree(Made(130, heights=(4, 6), outputs=outputs, width=width, dtype=dtype))


ROWS = np.random.default_rng(5).normal(size=(1_500, 20)).astype(np.float32)
ROWS[np.random.default_rng(6).random(ROWS.shape) < 0.1] = np.nan
TARGET = np.nansum(ROWS[:, :3], axis=1) * np.sin(np.nan_to_num(ROWS[:, 3]))


@pytest.mark.parametrize("depth", [1, 3, 6, 8])
@pytest.mark.parametrize("classes", [1, 3])
def test_the_bits_of_xgboost(depth: int, classes: int) -> None:
    label = np.digitize(TARGET, [-0.5, 0.5]) if classes > 1 else TARGET
    multi: dict[str, Any] = {"objective": "multi:softprob", "num_class": classes} if classes > 1 else {}
    params = {"nthread": 1, "max_depth": depth, "tree_method": "hist", **multi}
    booster = xgboost.train(params, xgboost.DMatrix(ROWS, label), 70)
    scorer, expected = mlcore.compile(booster), booster.inplace_predict(ROWS[:100], predict_type="margin")
    for i in range(100):
        assert scorer.margin(ROWS[i : i + 1]).tobytes() == expected[i : i + 1].tobytes()


def test_the_bits_of_lightgbm() -> None:
    booster = lightgbm.train(
        {"num_leaves": 31, "max_depth": 5, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(ROWS, TARGET), 80
    )
    scorer, expected = mlcore.compile(booster), booster.predict(ROWS[:100], raw_score=True)
    for i in range(100):
        assert scorer.margin(ROWS[i : i + 1]).tobytes() == expected[i : i + 1].tobytes()


def test_the_bits_of_catboost() -> None:
    model = catboost.CatBoostRegressor(iterations=80, depth=6, verbose=0, thread_count=1, allow_writing_files=False)
    expected = model.fit(ROWS, TARGET).predict(ROWS[:100])
    scorer = mlcore.compile(model)
    for i in range(100):
        assert scorer.margin(ROWS[i : i + 1]).tobytes() == expected[i : i + 1].tobytes()
