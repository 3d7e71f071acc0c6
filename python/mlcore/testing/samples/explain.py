"""Samples of explain: the trees of forest's samples that ask few features, with covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from mlcore.ops import ExplainerArrays, ForestArrays
from mlcore.testing.samples.arrays import SIZES, Array, Out, missing_words
from mlcore.testing.samples.forest import N_CODES, Shape, arrays, chain, full, lean, predicates, ragged, shaped


def _cover(rng: np.random.Generator, made: ForestArrays, empty: float) -> Array:
    """What passed each node: of leaves at random, `empty` of them none; of others what passed their children."""
    cover = rng.gamma(1.0, 100.0, len(made.node_pred)) * (rng.random(len(made.node_pred)) >= empty)
    for first in made.tree_start[:-1]:
        order = [0]
        for node in order:
            if made.node_pred[first + node] >= 0:
                order += [int(made.node_left[first + node]), int(made.node_right[first + node])]
        for node in order[::-1]:
            if made.node_pred[first + node] >= 0:
                children = made.node_left[first + node], made.node_right[first + node]
                cover[first + node] = max(1e-9, sum(cover[first + child] for child in children))
    return cover


def _explain(
    shapes: Sequence[Shape], rows: int, *, n_codes: Sequence[int] = N_CODES, asked: int = 40, sets: int = 4,
    share: float | None = 0.1, features: int = 5, outputs: int = 1, dtype: str = "float32", empty: float = 0.0,
) -> tuple[Any, ...]:  # fmt: skip
    rng = np.random.default_rng(11)
    widths = np.array(n_codes, np.int32)
    asking = predicates(rng, asked, widths, sets=sets)
    made = arrays(rng, [shape(rng, asked) for shape in shapes], asking, widths, outputs=outputs, dtype=dtype)
    feature = np.append(rng.integers(0, max(1, features), asked), -7)[made.node_pred].astype(np.int32)
    codes = [rng.integers(0, n, rows).astype(np.uint16 if n > 256 else np.uint8) for n in n_codes]
    missing = [
        missing_words(rng, rows, share) if share is not None and c % 3 < 2 else None for c in range(len(n_codes))
    ]
    explained = ExplainerArrays(made, feature, _cover(rng, made, empty), features)
    return explained, codes, missing, Out("float64", (rows, outputs, features + 1), first=-3)


def _unlike(rng: np.random.Generator, predicates: int) -> Any:
    """A chain whose nodes ask the predicates in turn."""
    tree: Any = (-1, None, None)
    for predicate in range(predicates):
        sides = (tree, (-1, None, None)) if rng.random() < 0.5 else ((-1, None, None), tree)
        tree = (predicate, *sides)
    return tree


_MIXED: Final = [shaped(ragged, depth) for depth in (3, 6, 9)] + [shaped(full, 0), shaped(chain, 20), shaped(full, 2)]

EXPLAIN: Final[dict[str, Callable[[], tuple[Any, ...]]]] = {
    **{f"{rows} rows": partial(_explain, _MIXED, rows) for rows in SIZES},
    **{f"complete, depth {depth}": partial(_explain, [shaped(full, depth)] * 2, 70) for depth in range(9)},
    **{
        f"{features} features": partial(_explain, [_unlike], 70, asked=features, features=features, n_codes=(41,) * 5)
        for features in (1, 2, 4, 6, 8, 10, 13)
    },
    "a chain": partial(_explain, [shaped(chain, 150)], 70),
    "networks": partial(_explain, [shaped(lean, size) for size in (5, 31, 64, 100)], 130),
    "one feature": partial(_explain, _MIXED, 130, features=1),
    "features not asked": partial(_explain, [shaped(full, 2)], 130, features=300),
    "many features": partial(_explain, [shaped(full, 2)] * 3, 530, features=900),
    "sides without rows": partial(_explain, _MIXED, 130, empty=0.5),
    "sets alone": partial(_explain, _MIXED, 130, asked=9, sets=9),
    "all missing": partial(_explain, _MIXED, 130, share=1.0),
    "every code": partial(_explain, _MIXED, 600, n_codes=(65536, 256), asked=300),
    "no trees": partial(_explain, [], 100),
    "no trees, no columns": partial(_explain, [], 100, n_codes=(), asked=0, sets=0, features=0),
    "leaves alone, no columns": partial(_explain, [shaped(full, 0)] * 3, 100, n_codes=(), asked=0, sets=0, features=0),
    "three outputs": partial(_explain, _MIXED, 130, outputs=3),
    "doubles": partial(_explain, _MIXED, 130, dtype="float64"),
    "several spans": partial(_explain, [shaped(full, 2), shaped(chain, 9)], 3000),
}
