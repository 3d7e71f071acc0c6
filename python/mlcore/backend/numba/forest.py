"""Forest: trees over predicates, every index of them checked; the twin of csrc/cpu/forest.cpp's `prepare`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from mlcore.backend.numba import checks
from mlcore.backend.numba.jit import jit
from mlcore.backend.numba.layout import lay_out

Array = np.ndarray[Any, Any]


class Forest:
    """The handle that forest, leaves and score take; its arguments are ForestArrays' fields, in order."""

    __slots__ = ("dtype", "layout", "n_codes", "outputs", "trees")

    def __init__(
        self, pred_column: Array, pred_code: Array, pred_set: Array, pred_missing: Array, sets: Array,
        tree_start: Array, tree_output: Array, node_pred: Array, node_left: Array, node_right: Array, node_value: Array,
        n_codes: Array, n_outputs: int, engine: str = "auto",
    ) -> None:  # fmt: skip
        given = checked(
            pred_column, pred_code, pred_set, pred_missing, sets, tree_start, tree_output, node_pred, node_left,
            node_right, node_value, n_codes,
        )  # fmt: skip
        self.n_codes: tuple[int, ...] = tuple(given["n_codes"].tolist())
        self.trees = len(given["tree_start"]) - 1
        self.outputs = operator.index(n_outputs)
        self.dtype = given["node_value"].dtype
        check_outputs(given, self.outputs)
        if engine not in ("auto", "planes", "deep", "walk"):
            raise ValueError(f"Forest: engine must be auto, planes, deep or walk, not {engine}")
        self.layout = lay_out(given, sliced=engine in ("auto", "planes"))

    @property
    def engines(self) -> dict[str, int]:
        """How many trees each way of finding a leaf serves."""
        walked = int(np.count_nonzero(self.layout.trees[0] < 0))
        return {name: n for name, n in (("complete", self.trees - walked), ("walk", walked)) if n}


_VECTORS = (
    ("pred_column", np.int32), ("pred_code", np.int32), ("pred_set", np.int32), ("pred_missing", np.uint8),
    ("tree_start", np.int64), ("tree_output", np.int32), ("node_pred", np.int32), ("node_left", np.int32),
    ("node_right", np.int32), ("n_codes", np.int32),
)  # fmt: skip
_PROBLEMS = (
    "", "column out of range", "set out of range", "sets have too few words for the column's codes",
    "code out of range", "predicate out of range", "child out of range", "child has two parents",
)  # fmt: skip


def checked(*arrays: Array) -> dict[str, Array]:
    """Return the arrays by name, owned and contiguous, every index of them inside what it points into."""
    names = [name for name, _ in _VECTORS]
    names.insert(4, "sets")
    names.insert(10, "node_value")
    given = {name: checks.as_array(array, ("Forest", name)) for name, array in zip(names, arrays, strict=True)}
    sets = given["sets"]
    if sets.dtype != np.uint64 or sets.ndim != 2 or not sets.flags.c_contiguous:
        checks.refuse(("Forest", "sets"), "must be a C-contiguous uint64 array of two dimensions")
    if given["tree_start"].size < 1:
        checks.refuse(("Forest", "tree_start"), "must hold at least one entry")
    value, nodes = given["node_value"], given["node_pred"].size
    whole = value.ndim == 2 and value.shape[0] == nodes and value.flags.c_contiguous
    if value.dtype not in (np.float32, np.float64) or not whole:
        what = "must be a C-contiguous float32 or float64 array of a row for each node"
        checks.refuse(("Forest", "node_value"), what)
    lengths = {name: given["node_pred" if name.startswith("node") else "pred_column"].size for name, _ in _VECTORS}
    lengths["tree_output"] = given["tree_start"].size - 1
    for name, dtype in _VECTORS:
        free = name in ("tree_start", "n_codes")
        checks.contiguous(given[name], dtype, ("Forest", name), None if free else lengths[name])
    given = {name: np.array(array) for name, array in given.items()}
    wrong = np.flatnonzero((given["n_codes"] < 1) | (given["n_codes"] > 65536))
    if wrong.size:
        raise ValueError(f"Forest: n_codes of column {wrong[0]} is not in 1..65536")
    problem, predicate = _check_predicates(
        given["pred_column"], given["pred_code"], given["pred_set"], given["n_codes"], *sets.shape
    )
    if problem:
        raise ValueError(f"Forest: predicate {predicate}: {_PROBLEMS[problem]}")
    _check_trees(given)
    return given


def check_outputs(given: dict[str, Array], outputs: int) -> None:
    """Refuse a tree that adds to an output that is not there."""
    width, first = given["node_value"].shape[1], given["tree_output"]
    if outputs < 1:
        raise ValueError("Forest: n_outputs must be at least 1")
    if width not in (1, outputs):
        raise ValueError(f"Forest: node_value must have 1 or n_outputs columns, not {width}")
    wrong = np.flatnonzero((first < 0) | (first > outputs - width))
    if wrong.size:
        raise ValueError(f"Forest: tree {wrong[0]}: output out of range")


def _check_trees(given: dict[str, Array]) -> None:
    start, nodes = given["tree_start"], len(given["node_pred"])
    if start[0] != 0 or start[-1] != nodes:
        raise ValueError("Forest: tree_start does not cover the nodes")
    problem, tree, node = _check_nodes(
        start, given["node_pred"], given["node_left"], given["node_right"], len(given["pred_column"])
    )
    if problem < 0:
        raise ValueError("Forest: tree_start does not ascend")
    if problem:
        raise ValueError(f"Forest: tree {tree}, node {node}: {_PROBLEMS[problem]}")


@jit
def _check_predicates(column: Any, code: Any, member: Any, n_codes: Any, sets: int, words: int) -> tuple[int, int]:
    for p in range(len(column)):
        if column[p] < 0 or column[p] >= len(n_codes):
            return 1, p
        codes = n_codes[column[p]]
        if member[p] < -1 or member[p] >= sets:
            return 2, p
        if member[p] >= 0 and words * 64 < codes:
            return 3, p
        if code[p] < 0 or code[p] > codes:
            return 4, p
    return 0, 0


@jit
def _check_nodes(start: Any, pred: Any, left: Any, right: Any, predicates: int) -> tuple[int, int, int]:
    """Children lie inside the tree and have one parent each, the root none: every walk from the root ends at a leaf."""
    nodes = len(pred)
    seen = np.zeros(nodes, np.uint8)
    for tree in range(len(start) - 1):
        first, size = start[tree], start[tree + 1] - start[tree]
        if first < 0 or size <= 0 or first + size > nodes:
            return -1, tree, 0
        for node in range(size):
            if pred[first + node] == -1:
                continue
            if pred[first + node] < -1 or pred[first + node] >= predicates:
                return 5, tree, node
            for child in (left[first + node], right[first + node]):
                if child < 1 or child >= size:
                    return 6, tree, node
                if seen[first + child]:
                    return 7, tree, node
                seen[first + child] = 1
    return 0, 0, 0
