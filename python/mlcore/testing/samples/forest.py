"""Samples of forest and leaves: random trees of every shape over coded columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from mlcore.ops import ForestArrays
from mlcore.testing.samples.arrays import SIZES, Array, Out, missing_words

Tree = tuple[Any, Any, Any]  # predicate, left, right; or (-1, None, None)
Shape = Callable[[np.random.Generator, int], Tree]
LEAF: Final[Tree] = (-1, None, None)
N_CODES: Final = (1, 2, 41, 256, 257, 3000)  # of the columns; two bytes a code above 256


def full(rng: np.random.Generator, depth: int, predicates: int) -> Tree:
    """A complete tree."""
    if depth == 0:
        return LEAF
    return int(rng.integers(predicates)), full(rng, depth - 1, predicates), full(rng, depth - 1, predicates)


def ragged(rng: np.random.Generator, depth: int, predicates: int) -> Tree:
    """A tree that ends anywhere up to `depth`."""
    if depth == 0 or rng.random() < 0.2:
        return LEAF
    return int(rng.integers(predicates)), ragged(rng, depth - 1, predicates), ragged(rng, depth - 1, predicates)


def chain(rng: np.random.Generator, depth: int, predicates: int) -> Tree:
    """A tree whose every node has a leaf on one side."""
    tree = LEAF
    for _ in range(depth):
        sides = (tree, LEAF) if rng.random() < 0.5 else (LEAF, tree)
        tree = (int(rng.integers(predicates)), *sides)
    return tree


def lean(rng: np.random.Generator, leaves: int, predicates: int) -> Tree:
    """A tree of this many leaves that leans to one side or the other, as leaf-wise growth makes them."""
    if leaves == 1:
        return LEAF
    left = min(leaves - 1, max(1, int(rng.beta(0.6, 0.6) * leaves)))
    return (
        int(rng.integers(predicates)), lean(rng, left, predicates), lean(rng, leaves - left, predicates),
    )  # fmt: skip


def arrays(
    rng: np.random.Generator, trees: Sequence[Tree], predicates: dict[str, Array], n_codes: Array,
    *, outputs: int = 1, vectors: bool = False, dtype: str = "float32",
) -> ForestArrays:  # fmt: skip
    """The trees as ForestArrays; but for the root, a tree's nodes come in random order. Trees take turns with outputs."""
    starts = [0]
    pred: list[Array] = []
    left: list[Array] = []
    right: list[Array] = []
    for tree in trees:
        nodes = [tree]
        for node in nodes:
            nodes.extend(child for child in node[1:] if child is not None)
        place = np.append(0, 1 + rng.permutation(len(nodes) - 1))
        part = np.zeros((3, len(nodes)), np.int32)
        child = 1
        for at, node in zip(place.tolist(), nodes, strict=True):
            part[0, at] = node[0]
            if node[0] >= 0:
                part[1:, at] = place[child], place[child + 1]
                child += 2
        starts.append(starts[-1] + len(nodes))
        for values, found in zip((pred, left, right), part, strict=True):
            values.append(found)
    empty = np.zeros(0, np.int32)
    return ForestArrays(
        **predicates, tree_start=np.array(starts, np.int64),
        tree_output=(np.arange(len(trees)) % (1 if vectors else outputs)).astype(np.int32),
        node_pred=np.concatenate([empty, *pred]), node_left=np.concatenate([empty, *left]),
        node_right=np.concatenate([empty, *right]),
        node_value=rng.standard_normal((starts[-1], outputs if vectors else 1)).astype(dtype),
        n_codes=n_codes, n_outputs=outputs,
    )  # fmt: skip


def predicates(
    rng: np.random.Generator, count: int, n_codes: Array, *, sets: int = 0, least: int = 0
) -> dict[str, Array]:
    """Random questions: thresholds from `least` (0: always) to n_codes (never), both often; the last `sets` ask for members."""
    column = rng.integers(0, max(1, len(n_codes)), count).astype(np.int32)
    code = rng.integers(least, n_codes[column] + 1).astype(np.int32) if count else np.zeros(0, np.int32)
    code[::16], code[8::16] = least, n_codes[column[8::16]]
    members = np.where(np.arange(count) >= count - sets, np.arange(count) - (count - sets), -1).astype(np.int32)
    words = (int(n_codes.max(initial=1)) + 63) // 64
    return {
        "pred_column": column,
        "pred_code": code,
        "pred_set": members,
        "pred_missing": rng.integers(0, 2, count).astype(np.uint8),
        "sets": rng.integers(0, 2**64, (sets, words), np.uint64),
    }


def _arguments(
    shapes: Sequence[Shape], rows: int, *, n_codes: Sequence[int] = N_CODES,
    asked: int = 60, sets: int = 6, least: int = 0, share: float | None = 0.1, by_tree: bool = False, outputs: int = 1,
    vectors: bool = False, dtype: str = "float32",
) -> tuple[Any, ...]:  # fmt: skip
    rng = np.random.default_rng(6)
    widths = np.array(n_codes, np.int32)
    trees = [shape(rng, asked) for shape in shapes]
    asking = predicates(rng, asked, widths, sets=sets, least=least)
    made = arrays(rng, trees, asking, widths, outputs=outputs, vectors=vectors, dtype=dtype)
    codes = [rng.integers(0, n, rows).astype(np.uint16 if n > 256 else np.uint8) for n in n_codes]
    for column, n in zip(codes, n_codes, strict=True):
        column[:1], column[-1:] = 0, n - 1
    missing = [
        missing_words(rng, rows, share) if share is not None and c % 3 < 2 else None for c in range(len(n_codes))
    ]
    return made, codes, missing, Out("int32", (rows, len(trees))) if by_tree else Out(dtype, (rows, outputs), first=-3)


def shaped(kind: Callable[[np.random.Generator, int, int], Tree], depth: int) -> Shape:
    """A maker of one shape of tree, of this depth or this many leaves."""
    return lambda rng, predicates: kind(rng, depth, predicates)


def _samples(by_tree: bool) -> dict[str, Callable[[], tuple[Any, ...]]]:
    make = partial(_arguments, by_tree=by_tree)
    mixed = [shaped(ragged, depth) for depth in (3, 6, 8, 11)] + [shaped(full, 0), shaped(chain, 20), shaped(full, 2)]
    deep = [shaped(chain, 150), shaped(full, 3), shaped(chain, 300)]
    return {
        **{f"{rows} rows": partial(make, mixed, rows) for rows in SIZES},
        **{f"complete, depth {depth}": partial(make, [shaped(full, depth)] * 5, 200) for depth in range(11)},
        "several spans": partial(make, [shaped(full, 2), shaped(chain, 9)], 17_000),
        "500 stumps": partial(make, [shaped(full, 1)] * 500, 70),
        "chains": partial(make, deep, 300),
        "chains, 40 columns": partial(make, deep, 300, n_codes=(9, 300) * 20, asked=900),
        "chains, three outputs, doubles": partial(make, deep, 300, outputs=3, dtype="float64"),
        "chains, vector leaves": partial(make, deep, 300, outputs=2, vectors=True),
        "chains, many columns": partial(make, deep, 300, n_codes=(9,) * 100, asked=900, least=1),
        **{
            f"1,024 leaves, {codes:,} codes": partial(
                make, [shaped(full, 10)] * 3, 300, n_codes=(codes,) * 2, asked=200
            )
            for codes in (65534, 65535, 65536)
        },
        # Node by node, whatever the instruction set, unless a threshold is 0.
        "1,024 leaves, many columns": partial(
            make, [shaped(full, 10)] * 3, 300, n_codes=(9,) * 100, asked=900, least=1
        ),
        "1,024 leaves, 65,535 codes, none always": partial(
            make, [shaped(full, 10)] * 3, 300, n_codes=(65535,) * 2, asked=200, least=1
        ),
        "65,537 leaves": partial(make, [lambda rng, asked: (0, full(rng, 16, asked), LEAF)], 130),
        "no trees": partial(make, [], 100),
        "no trees, no columns": partial(make, [], 100, n_codes=(), asked=0, sets=0),
        "leaves alone, no columns": partial(make, [shaped(full, 0)] * 3, 100, n_codes=(), asked=0, sets=0),
        "thresholds alone": partial(make, mixed, 130, sets=0, share=None),
        "sets alone": partial(make, mixed, 130, asked=9, sets=9),
        "all missing": partial(make, mixed, 130, share=1.0),
        "every code": partial(make, mixed, 600, n_codes=(65536, 256), asked=3000),
        "many columns": partial(make, mixed, 130, n_codes=(9,) * 300, asked=900),
        "networks": partial(make, [shaped(lean, size) for size in (5, 31, 63, 64, 65, 255, 256, 257)], 700),
        **{
            f"doubles, complete, depth {depth}": partial(make, [shaped(full, depth)] * 3, 600, dtype="float64")
            for depth in range(9)
        },
        "doubles": partial(make, mixed, 700, dtype="float64"),
        "three outputs": partial(make, mixed, 700, outputs=3),
        "three outputs, doubles": partial(make, mixed, 700, outputs=3, dtype="float64"),
        "vector leaves": partial(make, mixed, 700, outputs=5, vectors=True),
        "vector leaves, doubles": partial(make, mixed, 700, outputs=2, vectors=True, dtype="float64"),
        "planes not asked": partial(make, [shaped(full, 2)], 130, asked=2000),
    }


FOREST: Final = _samples(False)
LEAVES: Final = _samples(True)
