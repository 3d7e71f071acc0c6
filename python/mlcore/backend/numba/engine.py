"""The bit-sliced forest on 64-bit words, one block of up to 512 rows: the twin of csrc/cpu/engine.h.

A plane holds one predicate's answers, a bit a row. A tree is a network of bitwise selects over planes that yields the bits
of each row's leaf number, the root's decision lowest; a transposition of 8 x 8 bits turns them into a byte a row.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlcore.backend.numba.jit import jit

BLOCK_ROWS: Final = 512  # the planes of some thousand predicates stay in the L2 cache
BLOCK_WORDS: Final = BLOCK_ROWS // 64
MAX_DEPTH: Final = 8  # deeper trees walk their nodes

_ZERO: Final = np.uint64(0)
_ONE: Final = np.uint64(1)
_SLOT_1: Final = np.uint32(1)
_SLOT_2: Final = np.uint32(2)
_SLOT_4: Final = np.uint32(4)
_SLOT_8: Final = np.uint32(8)
_SLOT_16: Final = np.uint32(16)
_SLOT_32: Final = np.uint32(32)
_SLOT_64: Final = np.uint32(64)


@jit
def mux(choose: Any, one: Any, zero: Any) -> Any:
    """Take bits of `one` where `choose` is on, else of `zero`."""
    return zero ^ ((zero ^ one) & choose)


# choose_k: the plane of the node that a row stands on, k levels down, out of 2**k heap slots from `slot` on.
@jit
def _choose_0(planes: Any, ids: Any, slot: Any, w: Any) -> Any:
    return planes[ids[slot] + w]


@jit
def _choose_1(planes: Any, ids: Any, slot: Any, w: Any, a: Any) -> Any:
    return mux(a, _choose_0(planes, ids, slot + _SLOT_1, w), _choose_0(planes, ids, slot, w))


@jit
def _choose_2(planes: Any, ids: Any, slot: Any, w: Any, a: Any, b: Any) -> Any:
    return mux(a, _choose_1(planes, ids, slot + _SLOT_2, w, b), _choose_1(planes, ids, slot, w, b))


@jit
def _choose_3(planes: Any, ids: Any, slot: Any, w: Any, a: Any, b: Any, c: Any) -> Any:
    return mux(a, _choose_2(planes, ids, slot + _SLOT_4, w, b, c), _choose_2(planes, ids, slot, w, b, c))


@jit
def _choose_4(planes: Any, ids: Any, slot: Any, w: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return mux(a, _choose_3(planes, ids, slot + _SLOT_8, w, b, c, d), _choose_3(planes, ids, slot, w, b, c, d))


@jit
def _choose_5(planes: Any, ids: Any, slot: Any, w: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return mux(a, _choose_4(planes, ids, slot + _SLOT_16, w, b, c, d, e), _choose_4(planes, ids, slot, w, b, c, d, e))


@jit
def _choose_6(planes: Any, ids: Any, slot: Any, w: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    return mux(
        a, _choose_5(planes, ids, slot + _SLOT_32, w, b, c, d, e, f), _choose_5(planes, ids, slot, w, b, c, d, e, f)
    )


@jit
def _choose_7(planes: Any, ids: Any, slot: Any, w: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
    one = _choose_6(planes, ids, slot + _SLOT_64, w, b, c, d, e, f, g)
    return mux(a, one, _choose_6(planes, ids, slot, w, b, c, d, e, f, g))


@jit
def _swap(low: Any, high: Any, shift: Any, mask: Any) -> Any:
    """Exchange the high bits of `low` with the low bits of `high`, within groups of 2 * shift bits."""
    moved = ((low >> shift) ^ high) & mask
    return low ^ (moved << shift), high ^ moved


@jit
def _leaf_numbers(planes: Any, ids: Any, depth: int, w: Any, out: Any) -> None:
    """Write 64 leaf numbers, a byte each: row 8 * k + j is byte k of word j."""
    b = c = d = e = f = g = h = _ZERO
    a = _choose_0(planes, ids, np.uint32(0), w)
    if depth > 1:
        b = _choose_1(planes, ids, np.uint32(1), w, a)
    if depth > 2:
        c = _choose_2(planes, ids, np.uint32(3), w, a, b)
    if depth > 3:
        d = _choose_3(planes, ids, np.uint32(7), w, a, b, c)
    if depth > 4:
        e = _choose_4(planes, ids, np.uint32(15), w, a, b, c, d)
    if depth > 5:
        f = _choose_5(planes, ids, np.uint32(31), w, a, b, c, d, e)
    if depth > 6:
        g = _choose_6(planes, ids, np.uint32(63), w, a, b, c, d, e, f)
    if depth > 7:
        h = _choose_7(planes, ids, np.uint32(127), w, a, b, c, d, e, f, g)
    one, two, four = np.uint64(1), np.uint64(2), np.uint64(4)
    odd, pair, nibble = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    a, b = _swap(a, b, one, odd)
    c, d = _swap(c, d, one, odd)
    e, f = _swap(e, f, one, odd)
    g, h = _swap(g, h, one, odd)
    a, c = _swap(a, c, two, pair)
    b, d = _swap(b, d, two, pair)
    e, g = _swap(e, g, two, pair)
    f, h = _swap(f, h, two, pair)
    out[0], out[4] = _swap(a, e, four, nibble)
    out[1], out[5] = _swap(b, f, four, nibble)
    out[2], out[6] = _swap(c, g, four, nibble)
    out[3], out[7] = _swap(d, h, four, nibble)


@jit
def fill_planes(groups: Any, codes: Any, missing: Any, words: int, hot: Any, planes: Any) -> None:
    """Write the planes of one block. `hot`: scratch, a row of words for each distinct threshold of a column."""
    columns, firsts, set_firsts, ranks, rank_starts, rank, plane_rank, plane_missing, sets = groups
    for group in range(len(columns)):
        column, count, start = columns[group], ranks[group], rank_starts[group]
        first, first_set, end = firsts[group], set_firsts[group], firsts[group + 1]
        block = codes[column]
        if first_set > first:
            # A row is marked at its code's rank; a threshold holds for it when the mark stands there or above.
            hot[: count + 1] = 0
            for w in range(words):
                for i in range(64):
                    hot[rank[start + block[64 * w + i]], w] |= _ONE << np.uint64(i)
            for r in range(count - 1, 0, -1):
                for w in range(BLOCK_WORDS):
                    hot[r, w] |= hot[r + 1, w]
        for p in range(first, first_set):
            for w in range(BLOCK_WORDS):
                planes[BLOCK_WORDS * p + w] = hot[plane_rank[p], w]
        for p in range(first_set, end):
            for w in range(words):
                planes[BLOCK_WORDS * p + w] = _members(sets[plane_rank[p]], block[64 * w : 64 * w + 64])
        _settle_missing(planes, first, end, missing[column], plane_missing, words)


@jit
def _members(held: Any, codes: Any) -> Any:
    """Which of 64 codes a set holds, as a word."""
    word = _ZERO
    for i in range(64):
        code = codes[i]
        word |= ((held[code >> 6] >> np.uint64(code & 63)) & _ONE) << np.uint64(i)
    return word


@jit
def _settle_missing(planes: Any, first: int, end: int, missing: Any, right: Any, words: int) -> None:
    """Set the missing rows of a column's planes to their branch."""
    for w in range(words):
        absent = missing[w]
        if absent == _ZERO:
            continue
        for p in range(first, end):
            plane = planes[BLOCK_WORDS * p + w]
            planes[BLOCK_WORDS * p + w] = plane | absent if right[p] else plane & ~absent


@jit
def _walk(nodes: Any, root: Any, codes: Any, missing: Any, row: int) -> Any:
    """Return the node, counted over the whole forest, of the leaf that a row reaches."""
    _, columns, thresholds, sets, missing_right, left, right, _, members = nodes
    at = root
    while columns[at] >= 0:
        column = columns[at]
        code = codes[column, row]
        if (missing[column, row >> 6] >> np.uint64(row & 63)) & _ONE:
            goes_right = missing_right[at] != 0
        elif sets[at] < 0:
            goes_right = code >= thresholds[at]
        else:
            goes_right = (members[sets[at], code >> 6] >> np.uint64(code & 63)) & _ONE != _ZERO
        at = root + (right[at] if goes_right else left[at])
    return at


@jit
def _place(row: int) -> Any:
    """Where a row's leaf number and sum lie: the transposition leaves row 8 * k + j of 64 at place 8 * j + k."""
    return (row & ~63) | ((row & 7) << 3) | ((row >> 3) & 7)


@jit
def _add_sliced(trees: Any, tree: int, words: int, scratch: Any) -> None:
    """Add one tree's leaf values to the sums of a block."""
    depths, starts, all_ids, all_leaves, outputs = trees
    _, planes, numbers, number_bytes, sums = scratch
    leaves = all_leaves[starts[tree] :]
    if depths[tree] > 0:
        ids = all_ids[starts[tree] :]
        for w in range(words):
            _leaf_numbers(planes, ids, depths[tree], np.uint32(w), numbers[8 * w : 8 * w + 8])
    for j in range(leaves.shape[1]):
        target = sums[outputs[tree] + j]
        if depths[tree] == 0:
            target += leaves[0, j]
            continue
        for i in range(64 * words):
            target[i] += leaves[number_bytes[i], j]


@jit
def margins(groups: Any, trees: Any, nodes: Any, codes: Any, missing: Any, scratch: Any, out: Any) -> None:
    """Add leaf values to the margins of a span, in their own type and in tree order."""
    hot, planes, _, _, sums = scratch
    depths, outputs, roots, values = trees[0], trees[4], nodes[0], nodes[7]
    for first in range(0, len(out), BLOCK_ROWS):
        rows = min(BLOCK_ROWS, len(out) - first)
        words = (rows + 63) // 64
        block = codes[:, first : first + BLOCK_ROWS]
        absent = missing[:, first // 64 : first // 64 + BLOCK_WORDS]
        fill_planes(groups, block, absent, words, hot, planes)
        for row in range(rows):
            for k in range(out.shape[1]):
                sums[k, _place(row)] = out[first + row, k]
        for tree in range(len(depths)):
            if depths[tree] >= 0:
                _add_sliced(trees, tree, words, scratch)
                continue
            for row in range(rows):
                leaf = _walk(nodes, roots[tree], block, absent, row)
                for j in range(values.shape[1]):
                    sums[outputs[tree] + j, _place(row)] += values[leaf, j]
        for row in range(rows):
            for k in range(out.shape[1]):
                out[first + row, k] = sums[k, _place(row)]


@jit
def leaf_nodes(nodes: Any, codes: Any, missing: Any, out: Any) -> None:
    """Write each row's leaf in each tree, counted from the tree's root."""
    roots = nodes[0]
    for row in range(out.shape[0]):
        for tree in range(out.shape[1]):
            out[row, tree] = _walk(nodes, roots[tree], codes, missing, row) - roots[tree]
