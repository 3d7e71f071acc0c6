"""ForestArrays: trees over predicates over codes, the form every backend takes a forest in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ForestArrays:
    """A forest of P predicates, S sets, T trees, N nodes over C coded columns, with K outputs.

    A row goes right at a node when the node's predicate is true. Predicate p asks about column `pred_column[p]`:
    is the code >= `pred_code[p]` (0: always, n_codes: never), or, where `pred_set[p]` >= 0, is bit `code` of that set on;
    a row missing in the column answers `pred_missing[p]`. `node_pred` is -1 at a leaf. `node_left` and `node_right`
    count from the tree's own root, which is its first node. A tree adds its leaf's value to the margin of its output
    `tree_output`, or, where `node_value` has K columns, to all of them; in tree order and in node_value's own type.
    """

    pred_column: Array  # int32 (P)
    pred_code: Array  # int32 (P)
    pred_set: Array  # int32 (P)
    pred_missing: Array  # uint8 (P)
    sets: Array  # uint64 (S, words)
    tree_start: Array  # int64 (T + 1)
    tree_output: Array  # int32 (T); 0 where node_value has K columns
    node_pred: Array  # int32 (N)
    node_left: Array  # int32 (N)
    node_right: Array  # int32 (N)
    node_value: Array  # float32 or float64 (N, 1 or K)
    n_codes: Array  # int32 (C)
    n_outputs: int  # K
