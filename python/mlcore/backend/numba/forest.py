"""Forest: trees checked and laid out for the engine, the twin of csrc/cpu/forest.cpp."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlcore.backend.numba import checks
from mlcore.backend.numba.engine import BLOCK_WORDS, MAX_DEPTH
from mlcore.backend.numba.jit import jit

Array = np.ndarray[Any, Any]


class Layout(NamedTuple):
    """What the kernels read. Planes are ordered by column, thresholds before sets; G columns are asked about."""

    base: np.float32
    sets: Array  # uint64 (S, words)
    group_column: Array  # int64 (G)
    group_first: Array  # int64 (G + 1): the column's planes
    group_sets: Array  # int64 (G): its first plane of a set
    group_ranks: Array  # int64 (G): its distinct thresholds
    group_rank_start: Array  # int64 (G): its part of `rank`
    rank: Array  # int32: how many of the column's thresholds are <= the code
    plane_rank: Array  # int32 (planes): a threshold's rank from 1, or a set's number
    plane_missing: Array  # uint8 (planes)
    tree_depth: Array  # int32 (T): -1 for a tree that is walked
    tree_ids: Array  # int64 (T): its 2**depth - 1 planes in heap order
    tree_leaves: Array  # int64 (T): its 2**depth leaf values
    tree_root: Array  # int64 (T)
    ids: Array  # uint32: a plane's first word
    leaves: Array  # float32: by leaf number, whose lowest bit is the decision at the root
    node_column: Array  # int32 (N): -1 at a leaf
    node_code: Array  # int32 (N)
    node_set: Array  # int32 (N)
    node_missing: Array  # uint8 (N)
    node_left: Array  # int32 (N)
    node_right: Array  # int32 (N)
    node_value: Array  # float32 (N)


class Forest:
    """The handle that forest, leaves and score take; its arguments are ForestArrays' fields, in order."""

    __slots__ = ("layout", "n_codes", "trees")

    def __init__(
        self, pred_column: Array, pred_code: Array, pred_set: Array, pred_missing: Array, sets: Array,
        tree_start: Array, node_pred: Array, node_left: Array, node_right: Array, node_value: Array,
        n_codes: Array, base: float,
    ) -> None:  # fmt: skip
        given = _checked(
            pred_column, pred_code, pred_set, pred_missing, sets, tree_start, node_pred, node_left, node_right,
            node_value, n_codes,
        )  # fmt: skip
        self.n_codes: tuple[int, ...] = tuple(given["n_codes"].tolist())
        self.trees = len(given["tree_start"]) - 1
        self.layout = _lay_out(given, np.float32(base))


_VECTORS = (
    ("pred_column", np.int32), ("pred_code", np.int32), ("pred_set", np.int32), ("pred_missing", np.uint8),
    ("tree_start", np.int64), ("node_pred", np.int32), ("node_left", np.int32), ("node_right", np.int32),
    ("node_value", np.float32), ("n_codes", np.int32),
)  # fmt: skip
_PROBLEMS = (
    "", "column out of range", "set out of range", "sets have too few words for the column's codes",
    "code out of range", "predicate out of range", "child out of range", "child has two parents",
)  # fmt: skip


def _checked(*arrays: Array) -> dict[str, Array]:
    """The arrays by name, owned and contiguous, every index of them inside what it points into."""
    names = [name for name, _ in _VECTORS]
    names.insert(4, "sets")
    given = {name: checks.as_array(array, ("Forest", name)) for name, array in zip(names, arrays, strict=True)}
    sets = given["sets"]
    if sets.dtype != np.uint64 or sets.ndim != 2 or not sets.flags.c_contiguous:
        checks.refuse(("Forest", "sets"), "must be a C-contiguous uint64 array of two dimensions")
    if given["tree_start"].size < 1:
        checks.refuse(("Forest", "tree_start"), "must hold at least one entry")
    lengths = {name: given["node_pred" if name.startswith("node") else "pred_column"].size for name, _ in _VECTORS}
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


def _lay_out(given: dict[str, Array], base: np.float32) -> Layout:
    start, pred = given["tree_start"], given["node_pred"]
    depth = _depths(start, pred, given["node_left"], given["node_right"])
    depth[depth > MAX_DEPTH] = -1
    sliced = np.repeat(depth >= 0, np.diff(start))
    order, groups = _planes(given, np.unique(pred[sliced & (pred >= 0)]))
    plane_of = np.zeros(max(1, len(given["pred_column"])), np.uint32)
    plane_of[order] = np.arange(len(order), dtype=np.uint32) * np.uint32(BLOCK_WORDS)
    sizes = np.where(depth >= 0, 1 << np.maximum(depth, 0), 0).astype(np.int64)
    tree_ids, tree_leaves = np.cumsum(sizes) - sizes, np.cumsum(sizes) - sizes
    ids, leaves = np.zeros(sizes.sum(), np.uint32), np.zeros(sizes.sum(), np.float32)
    _complete(
        start,
        depth,
        pred,
        given["node_left"],
        given["node_right"],
        given["node_value"],
        plane_of,
        tree_ids,
        ids,
        leaves,
    )
    inner = pred >= 0
    asked = np.where(inner, pred, 0)

    def of_node(name: str, at_leaf: int) -> Array:
        values = np.append(given[name], np.zeros(1, given[name].dtype))
        return np.where(inner, values[asked], given[name].dtype.type(at_leaf))

    return Layout(
        base=base, sets=given["sets"], **groups, tree_depth=depth, tree_ids=tree_ids, tree_leaves=tree_leaves,
        tree_root=start[:-1].copy(), ids=ids, leaves=leaves, node_column=of_node("pred_column", -1),
        node_code=of_node("pred_code", 0), node_set=of_node("pred_set", -1), node_missing=of_node("pred_missing", 0),
        node_left=given["node_left"], node_right=given["node_right"], node_value=given["node_value"],
    )  # fmt: skip


@jit
def _depths(start: Any, pred: Any, left: Any, right: Any) -> Any:
    """The depth of each tree; a parent may come after its child."""
    depths = np.zeros(len(start) - 1, np.int32)
    longest = 0
    for tree in range(len(start) - 1):
        longest = max(longest, start[tree + 1] - start[tree])
    nodes, levels = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int32)
    for tree in range(len(start) - 1):
        nodes[0], levels[0] = start[tree], 0
        count = 1
        while count > 0:
            count -= 1
            node, level = nodes[count], levels[count]
            depths[tree] = max(depths[tree], level)
            if pred[node] >= 0:
                for child in (left[node], right[node]):
                    nodes[count], levels[count] = start[tree] + child, level + 1
                    count += 1
    return depths


@jit
def _complete(
    start: Any, depth: Any, pred: Any, left: Any, right: Any, value: Any, plane_of: Any, offsets: Any, ids: Any, leaves: Any
) -> None:  # fmt: skip
    """Fill each sliced tree's heap of planes and its leaves; a leaf above the last level is repeated below itself."""
    heap = np.empty(1 << (MAX_DEPTH + 1), np.int64)
    for tree in range(len(depth)):
        if depth[tree] < 0:
            continue
        heap[0] = start[tree]
        inner = (1 << depth[tree]) - 1
        for slot in range(inner):
            node = heap[slot]
            leaf = pred[node] < 0
            ids[offsets[tree] + slot] = 0 if leaf else plane_of[pred[node]]
            heap[2 * slot + 1] = node if leaf else start[tree] + left[node]
            heap[2 * slot + 2] = node if leaf else start[tree] + right[node]
        for leaf_slot in range(inner + 1):
            number = 0
            for level in range(depth[tree]):
                number |= ((leaf_slot >> (depth[tree] - 1 - level)) & 1) << level
            leaves[offsets[tree] + number] = value[heap[inner + leaf_slot]]


def _planes(given: dict[str, Array], used: Array) -> tuple[Array, dict[str, Array]]:
    """The used predicates in plane order, and the plane fields of the layout."""
    column, code, member = given["pred_column"][used], given["pred_code"][used], given["pred_set"][used]
    key = np.where(member >= 0, member, code)
    by = np.lexsort((given["pred_missing"][used], key, member >= 0, column))
    order, column, key, is_set = used[by], column[by], key[by], member[by] >= 0
    columns, first = np.unique(column, return_index=True)
    bounds = np.append(first, len(order)).astype(np.int64)
    plane_rank, ranks = key.astype(np.int32), [np.zeros(0, np.int32)]
    first_sets: list[int] = []
    counts: list[int] = []
    for c, low, high in zip(columns.tolist(), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        sets = low + int(np.count_nonzero(~is_set[low:high]))
        thresholds, rank_of = np.unique(key[low:sets], return_inverse=True)
        plane_rank[low:sets] = rank_of + 1
        first_sets.append(sets)
        counts.append(len(thresholds))
        ranks.append(np.searchsorted(thresholds, np.arange(given["n_codes"][c]), side="right").astype(np.int32))
    lengths = np.array([len(part) for part in ranks[1:]], np.int64)
    return order, {
        "group_column": columns.astype(np.int64),
        "group_first": bounds,
        "group_sets": np.array(first_sets, np.int64),
        "group_ranks": np.array(counts, np.int64),
        "group_rank_start": np.cumsum(lengths) - lengths,
        "rank": np.concatenate(ranks),
        "plane_rank": plane_rank,
        "plane_missing": given["pred_missing"][order],
    }
