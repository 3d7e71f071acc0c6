"""TreeEnsemble: trees in mlcore's own neutral form, whatever library trained them, and that form as Arrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import pyarrow as pa

from mlcore.errors import ModelFormatError

Link = Literal["identity", "sigmoid", "exp"]
FORMAT: Final = 1
_METADATA_KEY: Final = b"mlcore.tree_ensemble"

I4 = np.ndarray[tuple[int], np.dtype[np.int32]]
I8 = np.ndarray[tuple[int], np.dtype[np.int64]]
F4 = np.ndarray[tuple[int], np.dtype[np.float32]]
U1 = np.ndarray[tuple[int], np.dtype[np.uint8]]


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """A sum of regression trees over float32 features, followed by a link.

    A row starts at node 0 of each tree. At a node with `feature >= 0` it goes right when its value is
    `>= threshold` (or, where `category_set >= 0`, when its value truncated to an integer is in that set), left
    otherwise; a missing value goes left where `default_left` is 1. The margin is `base_margin` plus each tree's leaf
    `value`, added in float32 in tree order.

    Nodes of all trees lie one after another; `tree_start` (trees + 1) bounds them and `left`, `right` count from the
    tree's own first node, which keeps the source library's node ids. `feature` is -1 at a leaf.
    `stored_categories[f]` holds the strings that feature f was trained on; the set then holds their positions.
    """

    source: str
    objective: str
    link: Link
    base_margin: float
    feature_names: tuple[str, ...]
    named: bool  # whether the library knew the names, or f0, f1, … stand in
    stored_categories: tuple[tuple[str, ...] | None, ...]
    tree_start: I8
    feature: I4
    threshold: F4
    default_left: U1
    left: I4
    right: I4
    value: F4
    category_set: I4
    set_start: I8
    set_values: I4

    def __post_init__(self) -> None:
        check_structure(self)

    @property
    def n_features(self) -> int:
        """How many columns a row has."""
        return len(self.feature_names)

    @property
    def n_trees(self) -> int:
        """How many trees there are."""
        return len(self.tree_start) - 1

    @property
    def n_nodes(self) -> int:
        """How many nodes all trees have, leaves included."""
        return len(self.feature)

    def to_arrow(self) -> pa.Table:
        """Return one row a node; trees, category sets and the scalars travel as schema metadata."""
        scalars = {
            "format": FORMAT,
            "source": self.source,
            "objective": self.objective,
            "link": self.link,
            "base_margin": float(self.base_margin).hex(),
            "feature_names": self.feature_names,
            "named": self.named,
            "stored_categories": self.stored_categories,
            "tree_start": self.tree_start.tolist(),
            "set_start": self.set_start.tolist(),
            "set_values": self.set_values.tolist(),
        }
        columns = {name: getattr(self, name) for name in _NODE_COLUMNS}
        return pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(scalars).encode()})

    @staticmethod
    def from_arrow(table: pa.Table) -> TreeEnsemble:
        """Return the ensemble that `to_arrow` wrote.

        Raises:
            ModelFormatError: the table is not one, is of an unknown format, or its trees are malformed.
        """
        scalars = _scalars(table)
        for name, dtype in _NODE_COLUMNS.items():
            if name not in table.column_names or table.schema.field(name).type != pa.from_numpy_dtype(dtype):
                raise ModelFormatError(f"tree table: column '{name}' of type {np.dtype(dtype)} is missing")
        nodes: dict[str, Any] = {name: table[name].combine_chunks().to_numpy() for name in _NODE_COLUMNS}
        try:
            return TreeEnsemble(
                source=scalars["source"],
                objective=scalars["objective"],
                link=scalars["link"],
                base_margin=float.fromhex(scalars["base_margin"]),
                feature_names=tuple(scalars["feature_names"]),
                named=scalars["named"],
                stored_categories=tuple(None if c is None else tuple(c) for c in scalars["stored_categories"]),
                tree_start=np.array(scalars["tree_start"], np.int64),
                set_start=np.array(scalars["set_start"], np.int64),
                set_values=np.array(scalars["set_values"], np.int32),
                **nodes,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFormatError(f"tree table: metadata is incomplete or malformed ({error})") from error


_NODE_COLUMNS: Final[dict[str, type[np.generic]]] = {
    "feature": np.int32,
    "threshold": np.float32,
    "default_left": np.uint8,
    "left": np.int32,
    "right": np.int32,
    "value": np.float32,
    "category_set": np.int32,
}


def _scalars(table: pa.Table) -> dict[str, Any]:
    text = (table.schema.metadata or {}).get(_METADATA_KEY)
    if text is None:
        raise ModelFormatError("this Arrow table holds no tree ensemble (metadata 'mlcore.tree_ensemble' is absent)")
    scalars: dict[str, Any] = json.loads(text)
    if scalars.get("format") != FORMAT:
        raise ModelFormatError(f"tree table: format {scalars.get('format')}, this version reads {FORMAT}")
    return scalars


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
    for name in _NODE_COLUMNS:
        if len(getattr(model, name)) != n_nodes:
            raise ModelFormatError(f"array '{name}' has {len(getattr(model, name))} entries for {n_nodes} nodes")
    if len(model.stored_categories) != model.n_features or len(set(model.feature_names)) != model.n_features:
        raise ModelFormatError("feature names are not unique, or categories are given for another number of features")
    split = model.feature >= 0
    _refuse(model, split & (model.feature >= model.n_features), "asks for a feature that the model does not have")
    _refuse(model, split & np.isnan(model.threshold) & (model.category_set < 0), "has a NaN threshold")
    _check_children(model, split)
    _check_sets(model, split)


def _check_children(model: TreeEnsemble, split: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    sizes = np.diff(model.tree_start)
    first = np.repeat(model.tree_start[:-1], sizes)
    size = np.repeat(sizes, sizes)
    for child in (model.left, model.right):
        _refuse(model, split & ((child < 1) | (child >= size)), "has a child outside its tree")
    children = np.concatenate([(first + child)[split] for child in (model.left, model.right)])
    parents = np.bincount(children, minlength=model.n_nodes)
    _refuse(model, parents > 1, "has two parents")


def _check_sets(model: TreeEnsemble, split: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    n_sets = len(model.set_start) - 1
    _refuse(model, split & (model.category_set >= n_sets), "asks for a category set that the model does not have")
    starts, values = model.set_start, model.set_values
    if n_sets < 0 or starts[0] != 0 or starts[-1] != len(values) or np.any(np.diff(starts) < 0) or np.any(values < 0):
        raise ModelFormatError("category sets are malformed")


def _refuse(model: TreeEnsemble, bad: np.ndarray[Any, np.dtype[np.bool_]], what: str) -> None:
    if bad.any():
        node = int(np.argmax(bad))
        tree = int(np.searchsorted(model.tree_start, node, side="right")) - 1
        raise ModelFormatError(f"tree {tree}, node {node - int(model.tree_start[tree])}: {what}")
