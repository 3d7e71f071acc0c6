"""Layout: a forest's trees completed, numbered over bit planes and flattened for the engine."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlcore.backend.numba.engine import BLOCK_WORDS, MAX_DEPTH
from mlcore.backend.numba.jit import jit

Array = np.ndarray[Any, Any]


class Layout(NamedTuple):
    """What the kernels read, as plain tuples: Numba's cache would tie a class to the module that it stands in."""

    groups: tuple[Array, ...]
    """The planes of each of G columns that are asked about, in order, thresholds before sets: its number, int64 (G); its
    first plane (G + 1); its first plane of a set (G); how many distinct thresholds it has (G); where its part of the next
    starts (G); how many of its thresholds are <= each code, int32. Of each plane: the threshold's rank from 1 or the set's
    number, int32; the answer of missing rows, uint8. The sets, uint64 (S, words)."""
    trees: tuple[Array, ...]
    """Depth, int32 (T), -1 for a tree that is walked; where its parts of the next two start, int64 (T); the planes of its
    inner nodes in heap order, by their first words, uint32; its leaf values by leaf number, whose lowest bit is the
    decision at the root, (L, width); the first output they are added to, int32 (T)."""
    nodes: tuple[Array, ...]
    """Root, int64 (T). Of each node: column, int32, -1 at a leaf; code; set; answer of missing rows, uint8; left and right,
    counted from the root; leaf values (N, width). The sets."""

    @property
    def planes(self) -> int:
        """How many predicates are asked by trees that are not walked."""
        return len(self.groups[6])

    @property
    def ranks(self) -> int:
        """The most distinct thresholds of a column."""
        return int(self.groups[3].max(initial=0))


def lay_out(given: dict[str, Array], *, sliced: bool = True) -> Layout:
    """Return the layout of checked ForestArrays, given by field name; without `sliced` every tree is walked."""
    start, pred = given["tree_start"], given["node_pred"]
    depth = _depths(start, pred, given["node_left"], given["node_right"])
    depth[(depth > MAX_DEPTH) | (not sliced)] = -1
    asks = np.repeat(depth >= 0, np.diff(start)) & (pred >= 0)
    order, groups = plane_groups(given, np.unique(pred[asks]))
    plane_of = np.zeros(max(1, len(given["pred_column"])), np.uint32)
    plane_of[order] = np.arange(len(order), dtype=np.uint32) * np.uint32(BLOCK_WORDS)
    sizes = np.where(depth >= 0, 1 << np.maximum(depth, 0), 0).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    values = given["node_value"]
    ids, leaves = np.zeros(sizes.sum(), np.uint32), np.zeros((sizes.sum(), values.shape[1]), values.dtype)
    _complete(start, depth, pred, given["node_left"], given["node_right"], values, plane_of, starts, ids, leaves)
    inner = pred >= 0
    asked = np.where(inner, pred, 0)

    def of_node(name: str, at_leaf: int) -> Array:
        values = np.append(given[name], np.zeros(1, given[name].dtype))
        return np.where(inner, values[asked], given[name].dtype.type(at_leaf))

    nodes = (
        start[:-1].copy(), of_node("pred_column", -1), of_node("pred_code", 0), of_node("pred_set", -1),
        of_node("pred_missing", 0), given["node_left"], given["node_right"], values, given["sets"],
    )  # fmt: skip
    return Layout(groups, (depth, starts, ids, leaves, given["tree_output"]), nodes)


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


def plane_groups(given: dict[str, Array], used: Array) -> tuple[Array, tuple[Array, ...]]:
    """Return the used predicates in plane order, and the layout's `groups`."""
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
    groups = (
        columns.astype(np.int64), bounds, np.array(first_sets, np.int64), np.array(counts, np.int64),
        np.cumsum(lengths) - lengths, np.concatenate(ranks), plane_rank, given["pred_missing"][order], given["sets"],
    )  # fmt: skip
    return order, groups
