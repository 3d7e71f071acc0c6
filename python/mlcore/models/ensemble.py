"""TreeEnsemble: trees in mlcore's own neutral form, whatever library trained them, and that form as Arrow."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Literal, get_args

import numpy as np
import pyarrow as pa

from mlcore.errors import ModelFormatError
from mlcore.models.combinations import Combination
from mlcore.models.damage import reading
from mlcore.models.leaves import LinearLeaves

Link = Literal[
    "argmax", "exp", "halflogit", "identity", "isolation", "opposite", "probability", "ramp", "rising", "share", "shares",
    "sigmoid", "signed_square", "softmax", "softplus", "sorted", "step", "variance",
]  # fmt: skip
Categories = tuple[str, ...] | tuple[float, ...]
FORMAT: Final = 2
_METADATA_KEY: Final = b"mlcore.tree_ensemble"

Array = np.ndarray[Any, Any]
I4 = np.ndarray[tuple[int], np.dtype[np.int32]]
I8 = np.ndarray[tuple[int], np.dtype[np.int64]]
U1 = np.ndarray[tuple[int], np.dtype[np.uint8]]


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """Sums of trees over numeric features, one sum an output, followed by a link.

    A feature value is first cast to `threshold`'s type, float32 or float64. A row starts at node 0 of each tree. At a node
    with `feature >= 0` it goes right when its value is `>= threshold`; where `interval_set >= 0`, when its value lies in
    that set, which is to say, when an odd number of the set's ascending `bounds` are <= the value: sets are unions of
    intervals [b0, b1), [b2, b3), … A missing value goes left where `default_left` is 1. The margin of output k is
    `base_margin[k]` plus what leaves add to it, in `value`'s type, in tree order: a leaf's `value` has one column, added to
    the output `tree_output` of its tree, or one an output.

    Nodes of all trees lie one after another; `tree_start` (trees + 1) bounds them and `left`, `right` count from the
    tree's own first node. `leaf_id` is what the library calls a leaf. `cover` is the weight of the training rows that
    passed a node; empty where the source does not say. `stored_categories[f]` holds what feature f was trained on where
    the model recodes it; the nodes then ask for positions in it. Where the library knows no more than the order of such
    columns, `category_lists` holds a list for each instead: the k-th belongs to a table's k-th column of categories.
    Where `accepts_missing` is not set, a missing feature is an error, as it is to the library.

    Two libraries average trees, at two places. `divisor` divides the sum of base margin and leaves: what is left is the
    margin. `averaged` leaves the margin a sum, and divides it only before the link, by the iterations of a random forest
    whose leaves are not yet their mean. A sigmoid multiplies what it gets by `steepness`. One multiplies that sum by
    `scale` and then adds `bias`, one number an output, if there is one: what is left is the margin. The last features
    are not columns of a row but `combinations` of those before.
    """

    source: str
    objective: str
    link: Link
    base_margin: tuple[float, ...]
    feature_names: tuple[str, ...]
    named: bool  # whether the library knew the names, or f0, f1, … stand in
    stored_categories: tuple[Categories | None, ...]
    tree_start: I8
    tree_output: I4
    feature: I4
    threshold: Array
    default_left: U1
    left: I4
    right: I4
    value: Array  # (nodes, 1 or outputs)
    leaf_id: I4
    cover: Array  # float64 (nodes) or empty
    interval_set: I4
    bound_start: I8
    bounds: Array  # in threshold's type
    divisor: float = 1.0
    accepts_missing: bool = True
    averaged: int = 1
    steepness: float = 1.0
    scale: float = 1.0
    bias: tuple[float, ...] = ()
    category_lists: tuple[Categories, ...] = ()
    linear_leaves: LinearLeaves | None = None
    combinations: tuple[Combination, ...] = ()

    def __post_init__(self) -> None:
        check_structure(self)

    @property
    def n_features(self) -> int:
        """How many features nodes ask about: the columns of a row, and their combinations."""
        return len(self.feature_names)

    @property
    def n_trees(self) -> int:
        """How many trees there are."""
        return len(self.tree_start) - 1

    @property
    def n_nodes(self) -> int:
        """How many nodes all trees have, leaves included."""
        return len(self.feature)

    @property
    def n_outputs(self) -> int:
        """How many margins a row has."""
        return len(self.base_margin)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that margins are summed in."""
        return np.dtype(self.value.dtype)

    @property
    def first_node(self) -> Array:
        """The first node of each node's own tree, int64 (nodes)."""
        return np.repeat(self.tree_start[:-1], np.diff(self.tree_start))

    @cached_property
    def leaf_ids_are_nodes(self) -> bool:
        """Whether the library calls each leaf by its node, counted from the tree's first."""
        leaves = np.flatnonzero(self.feature < 0)
        return bool(np.all(self.leaf_id[leaves] == leaves - self.first_node[leaves]))

    def sets(self) -> list[Array]:
        """Return the bounds of each interval set."""
        return [self.bounds[low:high] for low, high in zip(self.bound_start[:-1], self.bound_start[1:], strict=True)]

    def trees(self, first: int, end: int) -> TreeEnsemble:
        """Return the trees [first, end) alone, with all interval sets."""
        low, high = int(self.tree_start[first]), int(self.tree_start[end])
        nodes = {name: getattr(self, name)[low:high] for name in (*_NODE_COLUMNS, "threshold", "value", "cover")}
        return replace(
            self,
            **nodes,
            tree_start=self.tree_start[first : end + 1] - low,
            tree_output=self.tree_output[first:end],
            linear_leaves=None if self.linear_leaves is None else self.linear_leaves.nodes(low, high),
        )

    def weighted(self, weights: Array) -> TreeEnsemble:
        """Return the ensemble with each tree's leaves multiplied by its weight, in `value`'s type."""
        if np.all(weights == 1):
            return self
        of_node = np.repeat(weights, np.diff(self.tree_start)).astype(self.value.dtype)
        return replace(self, value=self.value * of_node[:, None])

    def to_arrow(self) -> pa.Table:
        """Return one row a node; trees, interval sets and the scalars travel as schema metadata."""
        scalars = {
            "format": FORMAT,
            "source": self.source,
            "objective": self.objective,
            "link": self.link,
            "base_margin": [float(value).hex() for value in self.base_margin],
            "feature_names": self.feature_names,
            "named": self.named,
            "stored_categories": self.stored_categories,
            "averaged": self.averaged,
            "steepness": float(self.steepness).hex(),
            "scale": float(self.scale).hex(),
            "bias": [float(value).hex() for value in self.bias],
            "category_lists": self.category_lists,
            "tree_start": self.tree_start.tolist(),
            "tree_output": self.tree_output.tolist(),
            "bound_start": self.bound_start.tolist(),
            "bounds": [float(bound).hex() for bound in self.bounds],
            "divisor": float(self.divisor).hex(),
            "accepts_missing": self.accepts_missing,
        }
        columns: dict[str, Any] = {name: getattr(self, name) for name in _NODE_COLUMNS}
        columns["threshold"] = self.threshold
        if len(self.cover):
            columns["cover"] = self.cover
        for k in range(self.value.shape[1]):
            columns[f"value_{k}"] = np.ascontiguousarray(self.value[:, k])
        if self.combinations:
            scalars["combinations"] = [item.to_json() for item in self.combinations]
        if self.linear_leaves is not None:
            columns |= self.linear_leaves.columns()
            scalars["leaf_zero"] = float(self.linear_leaves.zero).hex()
        return pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(scalars).encode()})

    @staticmethod
    def from_arrow(table: pa.Table) -> TreeEnsemble:
        """Return the ensemble that `to_arrow` wrote, in this format or the one before.

        Raises:
            ModelFormatError: the table is not one, is of an unknown format, or its trees are malformed.
        """
        with reading("tree table", "tree ensemble"):
            scalars = _scalars(table)
            return (_from_format_1 if scalars["format"] == 1 else _from_format_2)(table, scalars)


_NODE_COLUMNS: Final[dict[str, type[np.generic]]] = {
    "feature": np.int32,
    "default_left": np.uint8,
    "left": np.int32,
    "right": np.int32,
    "leaf_id": np.int32,
    "interval_set": np.int32,
}


def categories_as_bounds(categories: Sequence[Sequence[int]], dtype: type[np.generic]) -> tuple[I8, Array]:
    """Return `bound_start` and `bounds` of sets of whole numbers: a value is in one when cutting it off gives a member."""
    parts: list[Array] = [np.zeros(0, dtype)]
    for members in categories:
        known = np.unique(np.asarray(members, np.int64))
        ends, count = np.unique(np.concatenate([known, known + 1]), return_counts=True)
        parts.append(ends[count == 1].astype(dtype))  # where one member follows another, no bound is left
    return np.cumsum([len(part) for part in parts], dtype=np.int64), np.concatenate(parts)


def _scalars(table: pa.Table) -> dict[str, Any]:
    text = (table.schema.metadata or {}).get(_METADATA_KEY)
    if text is None:
        raise ModelFormatError("this Arrow table holds no tree ensemble (metadata 'mlcore.tree_ensemble' is absent)")
    scalars: dict[str, Any] = json.loads(text)
    if scalars.get("format") not in (FORMAT - 1, FORMAT):
        raise ModelFormatError(f"format {scalars.get('format')}, this version reads {FORMAT - 1} and {FORMAT}")
    return scalars


def _node_array(table: pa.Table, name: str, *dtypes: type[np.generic]) -> Any:
    wanted = [pa.from_numpy_dtype(dtype) for dtype in dtypes]
    if name not in table.column_names or table.schema.field(name).type not in wanted:
        types = " or ".join(str(type_) for type_ in wanted)
        raise ModelFormatError(f"column '{name}' of type {types} is missing")
    return table[name].combine_chunks().to_numpy()


def _common(scalars: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "source": scalars["source"],
        "objective": scalars["objective"],
        "link": scalars["link"],
        "feature_names": tuple(scalars["feature_names"]),
        "named": scalars["named"],
        "stored_categories": tuple(None if c is None else tuple(c) for c in scalars["stored_categories"]),
        "tree_start": np.array(scalars["tree_start"], np.int64),
    }


def _from_format_2(table: pa.Table, scalars: Mapping[str, Any]) -> TreeEnsemble:
    nodes = {name: _node_array(table, name, dtype) for name, dtype in _NODE_COLUMNS.items()}
    threshold = _node_array(table, "threshold", np.float32, np.float64)
    width = sum(name.startswith("value_") for name in table.column_names)
    values = [_node_array(table, f"value_{k}", np.float32, np.float64) for k in range(width)]
    return TreeEnsemble(
        **_common(scalars),
        **nodes,
        base_margin=tuple(float.fromhex(text) for text in scalars["base_margin"]),
        tree_output=np.array(scalars["tree_output"], np.int32),
        threshold=threshold,
        value=np.stack(values, axis=1),
        cover=_node_array(table, "cover", np.float64) if "cover" in table.column_names else np.zeros(0),
        bound_start=np.array(scalars["bound_start"], np.int64),
        bounds=np.array([float.fromhex(text) for text in scalars["bounds"]], threshold.dtype),
        divisor=float.fromhex(scalars["divisor"]),
        accepts_missing=bool(scalars["accepts_missing"]),
        averaged=scalars["averaged"],
        steepness=float.fromhex(scalars["steepness"]),
        scale=float.fromhex(scalars.get("scale", "0x1p+0")),
        bias=tuple(float.fromhex(text) for text in scalars.get("bias", ())),
        category_lists=tuple(tuple(categories) for categories in scalars["category_lists"]),
        combinations=tuple(Combination.from_json(item) for item in scalars.get("combinations", ())),
        linear_leaves=(
            LinearLeaves.from_columns(table, float.fromhex(scalars["leaf_zero"])) if "leaf_zero" in scalars else None
        ),
    )


def _from_format_1(table: pa.Table, scalars: Mapping[str, Any]) -> TreeEnsemble:
    """Format 1 had one output, float32 alone, and sets of categories."""
    starts, members = scalars["set_start"], scalars["set_values"]
    sets = [[c for c in members[low:high] if c < 2**24] for low, high in pairwise(starts)]
    bound_start, bounds = categories_as_bounds(sets, np.float32)
    common = _common(scalars)
    names = {name: dtype for name, dtype in _NODE_COLUMNS.items() if name not in ("leaf_id", "interval_set")}
    first = np.repeat(common["tree_start"][:-1], np.diff(common["tree_start"]))
    return TreeEnsemble(
        **common,
        **{name: _node_array(table, name, dtype) for name, dtype in names.items()},
        base_margin=(float.fromhex(scalars["base_margin"]),),
        tree_output=np.zeros(len(common["tree_start"]) - 1, np.int32),
        threshold=_node_array(table, "threshold", np.float32),
        value=_node_array(table, "value", np.float32)[:, None],
        leaf_id=(np.arange(len(first)) - first).astype(np.int32),
        cover=np.zeros(0),
        interval_set=_node_array(table, "category_set", np.int32),
        bound_start=bound_start,
        bounds=bounds,
    )


def check_structure(model: TreeEnsemble) -> None:
    """Raise ModelFormatError unless every tree is a tree and every index lies where it may.

    A node that is the child of at most one node, under a root that is the child of none, cannot lie on a cycle that
    the root reaches; so walking from the root always ends at a leaf.
    """
    n_nodes = len(model.feature)
    if model.link not in get_args(Link):
        raise ModelFormatError(f"unknown link {model.link!r}")
    starts = model.tree_start
    if len(starts) < 1 or starts[0] != 0 or starts[-1] != n_nodes or np.any(np.diff(starts) < 1):
        raise ModelFormatError("tree bounds do not cover the nodes, or a tree is empty")
    for name in (*_NODE_COLUMNS, "threshold", "value", *(["cover"] if len(model.cover) else [])):
        if len(getattr(model, name)) != n_nodes:
            raise ModelFormatError(f"array '{name}' has {len(getattr(model, name))} entries for {n_nodes} nodes")
    if len(model.stored_categories) != model.n_features or len(set(model.feature_names)) != model.n_features:
        raise ModelFormatError("feature names are not unique, or categories are given for another number of features")
    split = model.feature >= 0
    _refuse(model, split & (model.feature >= model.n_features), "asks for a feature that the model does not have")
    _refuse(model, split & np.isnan(model.threshold) & (model.interval_set < 0), "has a NaN threshold")
    _check_outputs(model)
    _check_children(model, split)
    _check_sets(model, split)
    for item in model.combinations:
        item.check(model.n_features - len(model.combinations))
    if model.linear_leaves is not None:
        if model.value.shape[1] != 1:
            raise ModelFormatError("linear leaves add to one output, and these hold a value for each")
        model.linear_leaves.check(n_nodes, model.n_features)


def _check_outputs(model: TreeEnsemble) -> None:
    width, outputs = model.value.shape[1] if model.value.ndim == 2 else 0, model.n_outputs
    if outputs < 1 or width not in (1, outputs):
        raise ModelFormatError(f"leaves hold {width} values for {outputs} outputs")
    first = model.tree_output
    if len(first) != model.n_trees or np.any((first < 0) | (first > outputs - width)):
        raise ModelFormatError("a tree adds to an output that the model does not have")
    if not 0 < model.divisor < math.inf:
        raise ModelFormatError(f"the divisor {model.divisor} is not a positive number")
    if not math.isfinite(model.scale) or len(model.bias) not in (0, outputs):
        raise ModelFormatError(f"margins cannot be multiplied by {model.scale}, or there is a bias for other outputs")
    if model.averaged < 1:
        raise ModelFormatError(f"margins cannot be divided by {model.averaged}")
    for name in ("threshold", "value"):
        if getattr(model, name).dtype not in (np.float32, np.float64):
            raise ModelFormatError(f"array '{name}' is of type {getattr(model, name).dtype}")


def _check_children(model: TreeEnsemble, split: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    sizes = np.diff(model.tree_start)
    size, first = np.repeat(sizes, sizes)[split], model.first_node[split]
    seen = np.zeros(model.n_nodes, bool)
    for children in (model.left, model.right):
        child = children[split]
        outside = np.zeros(model.n_nodes, bool)
        outside[split] = (child < 1) | (child >= size)
        _refuse(model, outside, "has a child outside its tree")
        seen[first + child] = True
    if np.count_nonzero(seen) < 2 * len(first):
        parents = np.bincount(np.concatenate([first + child[split] for child in (model.left, model.right)]))
        _refuse(model, parents > 1, "has two parents")


def _check_sets(model: TreeEnsemble, split: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    n_sets = len(model.bound_start) - 1
    _refuse(model, split & (model.interval_set >= n_sets), "asks for a set that the model does not have")
    starts, bounds = model.bound_start, model.bounds
    if n_sets < 0 or starts[0] != 0 or starts[-1] != len(bounds) or np.any(np.diff(starts) < 0):
        raise ModelFormatError("interval sets are malformed")
    if bounds.dtype != model.threshold.dtype:
        raise ModelFormatError(f"bounds are of type {bounds.dtype}, thresholds of {model.threshold.dtype}")
    rising = np.ones(len(bounds) + 1, bool)
    rising[1:-1] = bounds[1:] > bounds[:-1]
    rising[starts] = True
    if np.any(np.isnan(bounds)) or not rising.all():
        raise ModelFormatError("the bounds of a set do not ascend")


def _refuse(model: TreeEnsemble, bad: np.ndarray[Any, np.dtype[np.bool_]], what: str) -> None:
    if bad.any():
        node = int(np.argmax(bad))
        tree = int(np.searchsorted(model.tree_start, node, side="right")) - 1
        raise ModelFormatError(f"tree {tree}, node {node - int(model.tree_start[tree])}: {what}")
