"""The plan: a model and its transforms compiled to raw columns, edges, predicates and trees over predicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

import numpy as np

from mlcore.errors import SchemaMismatch, UnsupportedModel
from mlcore.models import TreeEnsemble
from mlcore.models.ensemble import Categories
from mlcore.ops.forest import ForestArrays
from mlcore.preprocessing.features import Feature, Indicator, Lookup, Step
from mlcore.scoring import conventions
from mlcore.scoring.fold import FoldedColumn, Source, Splits, fold_categories, fold_numeric
from mlcore.scoring.line import Array
from mlcore.scoring.predicates import PredicateTable, unique_rows

Kind = Literal["f4", "f8", "i4", "i8", "dictionary"]


@dataclass(frozen=True)
class PlannedColumn:
    """One raw column of the plan; `folded` says how its values become codes.

    `watched` leads from codes to what a profile counts: of a string column the place of each category, then of unknown
    ones, in the profile's list; of a number the first code of each of the profile's bins. None where no profile watches.
    """

    name: str
    kind: Kind
    folded: FoldedColumn
    watched: Array | None = None


@dataclass(frozen=True)
class Plan:
    """What a backend needs to score rows whose columns have exactly these kinds."""

    columns: tuple[PlannedColumn, ...]
    forest: ForestArrays
    sources: tuple[Source, ...]  # how each of the model's features comes from its column

    @property
    def n_predicates(self) -> int:
        """How many distinct questions the trees ask."""
        return len(self.forest.pred_column)


def build(
    model: TreeEnsemble,
    features: Sequence[Feature],
    kinds: Mapping[str, Kind],
    extra_edges: Mapping[str, Array],
    extra_categories: Mapping[str, Sequence[str]],
    *,
    narrowed: bool = False,
    wide: bool = False,
    positional: bool = False,
    transformed: bool = False,
) -> Plan:
    """Return the plan for raw columns of these kinds; a profile's edges and categories are coded beside the model's own.

    Args:
        model: the trees.
        features: how each of the model's features comes from a raw column.
        kinds: of the raw columns, by name.
        extra_edges, extra_categories: what a profile tells apart, by raw column.
        narrowed: what steps make of a value passes through float32 on its way into the model, as in a Bundle's transforms.
        wide: every value passes through float64 on its way into the model, as in scikit-learn's transformers.
        positional: numbers stand for the positions of stored categories, as they do in a NumPy array.
        transformed: transformers stand before the model, so that a matrix of integers reaches it as they hand it on.

    Raises:
        UnsupportedModel: the transforms and the model disagree, or a column needs more codes than 16 bits hold.
        SchemaMismatch: a string column without a category step, or a numeric one with one.
    """
    if len(features) != model.n_features:
        raise UnsupportedModel(f"the transforms give {len(features)} features, the model takes {model.n_features}")
    splits, split_of_node = _unique_splits(model)
    columns: list[PlannedColumn] = []
    table = PredicateTable()
    sources = _sources(
        model, features, kinds, narrowed=narrowed, wide=wide, positional=positional, transformed=transformed
    )
    by_position = positional and conventions.of(model).takes_positions
    of_column: dict[str, list[int]] = {}
    for i, feature in enumerate(features):
        of_column.setdefault(feature.column, []).append(i)
    places = {name: index for index, name in enumerate(of_column)}
    column_of_split = np.array([places[feature.column] for feature in features], np.int64)[splits.feature]
    for index, (name, own) in enumerate(of_column.items()):
        edges, categories = extra_edges.get(name), extra_categories.get(name)
        mine = np.flatnonzero(column_of_split == index)
        asked = {i: sources[i] for i in own}
        folded = _fold(splits.take(mine), asked, name, kinds[name], edges, categories or (), by_position)
        watched = None
        if folded.edges is None and categories is not None:
            watched = _places_in(categories, folded.categories)
        elif folded.edges is not None and edges is not None:
            watched = np.append(0, np.searchsorted(folded.edges, edges) + 1)
        columns.append(PlannedColumn(name, kinds[name], folded, watched))
        table.add(index, mine, folded.predicates)
    arrays, pred_of_split, inverted = table.arrays(max((column.folded.n_codes for column in columns), default=1))
    inner = split_of_node >= 0
    node_pred = np.full(model.n_nodes, -1, np.int32)
    swapped = np.zeros(model.n_nodes, bool)
    node_pred[inner] = pred_of_split[split_of_node[inner]]
    swapped[inner] = inverted[split_of_node[inner]]
    forest = ForestArrays(
        **arrays,
        tree_start=model.tree_start,
        tree_output=model.tree_output,
        node_pred=node_pred,
        node_left=np.where(swapped, model.right, model.left),
        node_right=np.where(swapped, model.left, model.right),
        node_value=model.value,
        n_codes=np.array([column.folded.n_codes for column in columns], np.int32),
        n_outputs=model.n_outputs,
    )
    return Plan(tuple(columns), forest, sources)


def parts(model: TreeEnsemble, features: Sequence[Feature], most: int) -> list[TreeEnsemble]:
    """Return the trees in spans, in order, no more than `most` thresholds to a raw column in each: codes have 16 bits.

    Margins are sums in tree order, so that span after span gives the same bits. A single tree is not divided.
    """
    few = model.n_trees < 2 or model.n_nodes <= 2 * most  # fewer than half of the nodes ask
    if few or _most_thresholds(model, features) <= most:
        return [model]
    middle = model.n_trees // 2
    halves = (model.trees(0, middle), model.trees(middle, model.n_trees))
    return [part for half in halves for part in parts(half, features, most)]


def _most_thresholds(model: TreeEnsemble, features: Sequence[Feature]) -> int:
    """The distinct thresholds of the raw column that has most of them; bounds of interval sets are not counted."""
    places = {name: i for i, name in enumerate(dict.fromkeys(feature.column for feature in features))}
    column = np.array([places[feature.column] for feature in features], np.int64)
    asked = np.flatnonzero((model.feature >= 0) & (model.interval_set < 0))
    feature = model.feature[asked].astype(np.int64)
    order = np.lexsort([model.threshold[asked], feature])
    feature, threshold = feature[order], model.threshold[asked][order]
    new = np.ones(len(order), bool)
    new[1:] = (feature[1:] != feature[:-1]) | (threshold[1:] != threshold[:-1])
    return int(np.bincount(column[feature[new]], minlength=1).max())


def float_types(own: type[np.generic], feature: Feature, *, narrowed: bool, wide: bool) -> tuple[type[np.generic], ...]:
    """Return the float types that a feature passes through on its way into a model that computes in `own`."""
    if wide:
        return np.float64, own
    return (np.float32, own) if narrowed and feature.steps else (own,)


def _unique_splits(model: TreeEnsemble) -> tuple[Splits, Array]:
    """The distinct questions of all nodes, and each node's question (-1 at a leaf)."""
    sets = model.sets()
    canonical: dict[bytes, int] = {}
    set_ids = np.array([*(canonical.setdefault(part.tobytes(), i) for i, part in enumerate(sets)), -1], np.int64)
    inner = np.flatnonzero(model.feature >= 0)
    asked = set_ids[model.interval_set[inner]]  # -1 picks the last entry: no set
    zero = model.threshold.dtype.type(0)
    threshold = np.where(asked >= 0, zero, model.threshold[inner] + zero)  # −0 asks what 0 asks
    bits = np.int32 if threshold.dtype == np.float32 else np.int64
    unique, inverse = unique_rows(
        [model.feature[inner], threshold.view(bits).astype(np.int64), asked, model.default_left[inner]]
    )
    plain = unique[:, 1].astype(bits).view(threshold.dtype)
    split_of_node = np.full(model.n_nodes, -1, np.int64)
    split_of_node[inner] = inverse
    return Splits(unique[:, 0], plain, unique[:, 2], unique[:, 3].astype(bool), sets), split_of_node


def _places_in(watched: Sequence[str], categories: Categories) -> Array:
    place: dict[Any, int] = dict(zip(watched, range(len(watched)), strict=True))
    return np.array([*map(place.get, categories, repeat(len(place))), len(place)], np.int64)


def _sources(
    model: TreeEnsemble,
    features: Sequence[Feature],
    kinds: Mapping[str, Kind],
    *,
    narrowed: bool,
    wide: bool,
    positional: bool,
    transformed: bool,
) -> tuple[Source, ...]:
    own, known = model.threshold.dtype.type, conventions.of(model)
    stored = model.stored_categories
    if model.category_lists and not positional:
        stored = _listed_categories(model, features, kinds)

    def dtypes(feature: Feature) -> tuple[type[np.generic], ...]:
        if not transformed and positional and known.narrows_integers and kinds[feature.column] in ("i4", "i8"):
            return np.float32, own
        return float_types(own, feature, narrowed=narrowed, wide=wide)

    return tuple(
        Source(feature.steps, stored[i], dtypes(feature), known.refuses_unknown_categories)
        for i, feature in enumerate(features)
    )


def _listed_categories(
    model: TreeEnsemble, features: Sequence[Feature], kinds: Mapping[str, Kind]
) -> tuple[Categories | None, ...]:
    """What each feature was trained on, where all that is known is the order of the columns that have categories."""
    found = [f.column for f in features if kinds[f.column] == "dictionary" and not f.steps]
    if len(found) != len(model.category_lists):
        raise SchemaMismatch(
            f"the model was trained on {len(model.category_lists)} columns of categories, found {len(found)}"
            + (f": {', '.join(found[:40])}" if found else "")
            + "; categories are strings, or what pandas or Arrow's dictionaries hold"
        )
    lists = dict(zip(found, model.category_lists, strict=True))
    return tuple(None if feature.steps else lists.get(feature.column) for feature in features)


def _fold(
    splits: Splits,
    sources: dict[int, Source],
    name: str,
    kind: Kind,
    extra_edges: Array | None,
    extra_categories: Sequence[str],
    positional: bool,
) -> FoldedColumn:
    stored = any(source.stored_categories is not None for source in sources.values())
    if kind != "dictionary":
        if any(names_categories(source.steps) for source in sources.values()) or (stored and not positional):
            raise SchemaMismatch(f"column '{name}': the model expects categories, found numbers")
        return fold_numeric(splits, sources, kind, extra_edges)
    if not all(source.stored_categories is not None or _reads_strings(source) for source in sources.values()):
        raise SchemaMismatch(f"column '{name}': the model expects numbers, found categories")
    return fold_categories(splits, sources, extra_categories)


def _reads_strings(source: Source) -> bool:
    return bool(source.steps) and isinstance(source.steps[0], Lookup | Indicator)


def names_categories(steps: Sequence[Step]) -> bool:
    """Return whether steps read a column of strings."""
    return any(
        getattr(step, "categories", None) is not None or getattr(step, "category", None) is not None for step in steps
    )
