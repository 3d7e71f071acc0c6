"""Oracles: what each op must give, in plain NumPy and Python, sharing no code with any backend.

Each takes its op's arguments and returns what the op returns, then its outputs. `sigmoid` is the exact value: a backend is
compared with it within a tolerance, and with other backends bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial
from typing import Any, Final

import numpy as np

from mlcore.ops import ExplainerArrays, ForestArrays
from mlcore.testing.samples.arrays import Array, Out


def _valid(validity: Array | None, offset: int, rows: int) -> Array:
    if validity is None:
        return np.ones(rows, bool)
    return np.unpackbits(validity, bitorder="little")[offset : offset + rows].astype(bool)


def _words(missing: Array) -> Array:
    padded = np.zeros((len(missing) + 63) // 64 * 64, bool)
    padded[: len(missing)] = missing
    return np.packbits(padded, bitorder="little").view(np.uint64)


def _rows(words: Array | None, rows: int) -> Array:
    """The inverse of `_words`; what stands beyond the last row does not count."""
    return np.zeros(rows, bool) if words is None else _valid(words.view(np.uint8), 0, rows)


def _coded(values: Array, validity: Array | None, offset: int, aux: Array, *, table: bool) -> tuple[Array, Array]:
    missing = ~_valid(validity, offset, len(values))
    if table:
        return np.where(missing, 0, np.append(aux, 0)[np.where(missing, -1, values)]), missing
    missing |= values != values  # noqa: PLR0124 - NaN, of whole numbers too
    return np.where(missing, 0, np.searchsorted(aux, values, side="right")), missing


def bin(values: Array, validity: Array | None, offset: int, edges: Array, codes: Out, missing: Out) -> Sequence[Any]:
    """The number of edges <= each value."""
    found, absent = _coded(values, validity, offset, edges, table=False)
    return int(absent.sum()), found.astype(codes.dtype), _words(absent)


def encode(
    indices: Array, validity: Array | None, offset: int, table: Array, codes: Out, missing: Out
) -> Sequence[Any]:
    """The table's entry of each index."""
    found, absent = _coded(indices, validity, offset, table, table=True)
    return int(absent.sum()), found.astype(codes.dtype), _words(absent)


def _counted(codes: Array, absent: Array, counts: Out) -> Array:
    slots = counts.shape[0]
    found = np.bincount(codes[~absent].astype(np.int64), minlength=slots)
    return counts.start() + found + np.where(np.arange(slots) == slots - 1, absent.sum(), 0)


def tally(codes: Array, missing: Array | None, counts: Out) -> Sequence[Any]:
    """How often each code stands where the row is not missing, and how many are missing."""
    return None, _counted(codes, _rows(missing, len(codes)), counts)


def _walk(trees: ForestArrays, tree: int, codes: Sequence[int], missing: Sequence[bool]) -> int:
    first = int(trees.tree_start[tree])
    node = 0
    while (predicate := int(trees.node_pred[first + node])) >= 0:
        column, chosen = int(trees.pred_column[predicate]), int(trees.pred_set[predicate])
        code = codes[column]
        if missing[column]:
            right = bool(trees.pred_missing[predicate])
        elif chosen < 0:
            right = code >= int(trees.pred_code[predicate])
        else:
            right = bool(int(trees.sets[chosen, code // 64]) >> (code % 64) & 1)
        node = int((trees.node_right if right else trees.node_left)[first + node])
    return node


def _leaves(trees: ForestArrays, codes: Sequence[Array], missing: Sequence[Array], rows: int) -> Array:
    count = len(trees.tree_start) - 1
    out = np.zeros((rows, count), np.int32)
    for row in range(rows):
        of_row = [int(column[row]) for column in codes], [bool(column[row]) for column in missing]
        for tree in range(count):
            out[row, tree] = _walk(trees, tree, *of_row)
    return out


def _margins(trees: ForestArrays, leaf: Array, out: Out) -> Array:
    margins = out.start()
    for tree, first in enumerate(trees.tree_start[:-1]):
        values = trees.node_value[first + leaf[:, tree]]
        place = slice(None) if values.shape[1] > 1 else slice(trees.tree_output[tree], trees.tree_output[tree] + 1)
        margins[:, place] = margins[:, place] + values
    return margins


def leaves(trees: ForestArrays, codes: Sequence[Array], missing: Sequence[Array | None], out: Out) -> Sequence[Any]:
    """A walk from the root, row by row and tree by tree."""
    rows = out.shape[0]
    return None, _leaves(trees, codes, [_rows(words, rows) for words in missing], rows)


def forest(trees: ForestArrays, codes: Sequence[Array], missing: Sequence[Array | None], out: Out) -> Sequence[Any]:
    """The walk's leaf values on what stands there, in their own type, in tree order."""
    rows = out.shape[0]
    return None, _margins(trees, _leaves(trees, codes, [_rows(words, rows) for words in missing], rows), out)


def _known(
    explained: ExplainerArrays, first: int, node: int, known: frozenset[int], right: Callable[[int], Array]
) -> Any:
    """What a tree gives where only the features `known` are: at any other's node, both sides by their covers."""
    trees = explained.forest
    at = first + node
    if trees.node_pred[at] < 0:
        return float(trees.node_value[at, 0])
    children = int(trees.node_left[at]), int(trees.node_right[at])
    left, other = (_known(explained, first, child, known, right) for child in children)
    if int(explained.node_feature[at]) in known:
        return np.where(right(int(trees.node_pred[at])), other, left)
    shares = [explained.node_cover[first + child] / explained.node_cover[at] for child in children]
    return shares[0] * left + shares[1] * other


def _asked(explained: ExplainerArrays, first: int, end: int) -> list[int]:
    inner = explained.forest.node_pred[first:end] >= 0
    return sorted(set(explained.node_feature[first:end][inner].tolist()))


def explain(
    explained: ExplainerArrays, codes: Sequence[Array], missing: Sequence[Array | None], out: Out
) -> Sequence[Any]:
    """Shapley's own formula: what a feature adds to every set of the others, for each tree by itself."""
    trees, rows = explained.forest, out.shape[0]
    absent = [_rows(words, rows) for words in missing]
    values = out.start()

    def right(predicate: int) -> Array:
        column, chosen = int(trees.pred_column[predicate]), int(trees.pred_set[predicate])
        code = codes[column].astype(np.int64)
        if chosen < 0:
            answer = code >= trees.pred_code[predicate]
        else:
            answer = (trees.sets[chosen][code // 64] >> (code % 64).astype(np.uint64)) & np.uint64(1) == 1
        return np.where(absent[column], bool(trees.pred_missing[predicate]), answer)

    for tree, (first, end) in enumerate(zip(trees.tree_start[:-1], trees.tree_start[1:], strict=True)):
        asked = _asked(explained, first, end)
        output, count = int(trees.tree_output[tree]), len(asked)
        sets = [frozenset(chosen) for size in range(count + 1) for chosen in combinations(asked, size)]
        given = {known: _known(explained, first, 0, known, right) for known in sets}
        for known, value in given.items():
            weight = factorial(len(known)) * factorial(max(0, count - len(known) - 1)) / factorial(count)
            for feature in set(asked) - known:
                values[:, output, feature] += weight * (given[known | {feature}] - value)
        values[:, output, -1] += given[frozenset()]
    return None, values


def score(trees: ForestArrays, columns: Sequence[Any], out: Out, counts: Sequence[Out | None] | None) -> Sequence[Any]:
    """`bin` or `encode`, then `forest`, then `tally`: of codes, or of a dictionary's indices."""
    coded = [_coded(*column, table=column[3].dtype == np.uint16) for column in columns]
    margins = _margins(trees, _leaves(trees, [c for c, _ in coded], [m for _, m in coded], out.shape[0]), out)
    counted = []
    for slot, column, (codes, absent) in zip(counts or [None] * len(columns), columns, coded, strict=True):
        if slot is not None:
            counted.append(_counted(column[0] if column[3].dtype == np.uint16 else codes, absent, slot))
    return None, margins, *counted


def affine(x: Array, center: float, scale: float, out: Out) -> Sequence[Any]:
    """The formula, in float64."""
    with np.errstate(all="ignore"):
        return None, (x - center) / scale


def clip(x: Array, low: float, high: float, out: Out) -> Sequence[Any]:
    """NumPy's clip, but a zero keeps its sign."""
    return None, np.where(x < low, low, np.where(x > high, high, x))


def fill(x: Array, value: float, out: Out) -> Sequence[Any]:
    """NaN replaced."""
    return None, np.where(np.isnan(x), value, x)


def lookup(
    indices: Array, validity: Array | None, offset: int, table: Array, missing: float, out: Out
) -> Sequence[Any]:
    """The table's value of each index."""
    absent = ~_valid(validity, offset, len(indices))
    return None, np.append(table, missing)[np.where(absent, -1, indices)]


def sigmoid(x: Array, out: Out) -> Sequence[Any]:
    """The exact value, in float64."""
    z = np.minimum(-x.astype(np.float64), float(np.float32(88.7)))
    return None, 1 / (np.exp(z) + 1 + 1e-16)


ORACLES: Final[dict[str, Callable[..., Sequence[Any]]]] = {
    oracle.__name__: oracle
    for oracle in (bin, encode, tally, forest, leaves, explain, score, affine, clip, fill, lookup, sigmoid)
}
