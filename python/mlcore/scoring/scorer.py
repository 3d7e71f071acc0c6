"""Scorer: a model and its transforms compiled for one backend; immutable, and safe to call from many threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mlcore import ops
from mlcore.backend import Backend
from mlcore.models import TreeEnsemble
from mlcore.preprocessing.features import Feature
from mlcore.profile import CategoricalColumn, NumericColumn, Profile
from mlcore.scoring.fold import describe_steps
from mlcore.scoring.inputs import Block, blocks, kernel_columns, places_of
from mlcore.scoring.line import Array
from mlcore.scoring.plan import Kind, Plan, build
from mlcore.scoring.tally import Tally


@dataclass(frozen=True, eq=False)
class Scorer:
    """A compiled model. `predict` gives what the source object's own `predict` gives.

    X is 2-D NumPy (columns by position) or a table: pandas, polars, or anything that speaks Arrow (columns by name where
    the model knows names). Null and NaN both score as missing; ±inf is an ordinary value. Results are the same bits for
    any number of threads, any batch size and any backend.
    """

    model: TreeEnsemble
    features: tuple[Feature, ...]
    named: bool
    predicts: Literal["value", "label"]
    backend: Backend
    threads: int
    types: Mapping[str, pa.DataType] | None = None
    profile: Profile | None = None
    digest: str = ""
    _plans: dict[tuple[Kind, ...], tuple[Plan, Any]] = field(default_factory=dict, repr=False)
    _planning: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Raw columns the model reads, in the order a NumPy array must have them."""
        return tuple(dict.fromkeys(feature.column for feature in self.features))

    def margin(self, X: Any) -> Array:
        """Return the raw margins, float32 of shape (n,): base margin plus leaf values, before the link.

        Raises:
            SchemaMismatch: a column is missing or has another type.
            DataError: a category that the model stores no code for, where the library refuses it too.
        """
        parts = [self.score_block(block, None) for block in self.blocks_of(X)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def predict_value(self, X: Any) -> Array:
        """Return margins through the link, float32 of shape (n,): probability of the positive class, or the value."""
        return self.link(self.margin(X))

    def predict(self, X: Any) -> Array:
        """Return what the source's own `predict` returns: labels of a classifier, else `predict_value`."""
        value = self.predict_value(X)
        return (value > 0.5).astype(np.int64) if self.predicts == "label" else value

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of both classes, float32 of shape (n, 2)."""
        if self.model.link != "sigmoid":
            raise AttributeError(f"predict_proba needs a classifier; this model's objective is {self.model.objective}")
        positive = self.predict_value(X)
        return np.stack([np.float32(1) - positive, positive], axis=1)

    def leaf_ids(self, X: Any) -> Array:
        """Return the leaf each row reaches in each tree, int32 of shape (n, trees): the source library's node ids."""
        parts = [self._leaves(block) for block in self.blocks_of(X)]
        return np.concatenate(parts) if parts else np.zeros((0, self.model.n_trees), np.int32)

    def describe(self) -> dict[str, Any]:
        """Return what the model is, which transforms were folded away, and what runs it."""
        with self._planning:
            plans = [plan for plan, _ in self._plans.values()]
        return {
            "model": {
                "source": self.model.source,
                "objective": self.model.objective,
                "trees": self.model.n_trees,
                "nodes": self.model.n_nodes,
                "features": self.model.n_features,
            },
            "backend": {"name": self.backend.name, "isa": self.backend.isa, "reason": self.backend.reason},
            "threads": self.threads,
            "folded": [
                {"feature": item.name, "column": item.column, "steps": describe_steps(item.steps)}
                for item in self.features
                if item.steps
            ],
            "plans": [
                {
                    "predicates": plan.n_predicates,
                    "columns": [
                        {"name": item.name, "kind": item.kind, "codes": item.folded.n_codes} for item in plan.columns
                    ],
                }
                for plan in plans
            ],
        }

    def edges(self, schema: pa.Schema) -> dict[str, Array]:
        """Return the model's own edges of each numeric raw column, in the type it has in `schema`: what a reference
        profile must count over for a scorer's tallies to fit it.
        """
        block = next(iter(self.blocks_of(_one_row(schema, self.columns))))
        plan, _ = self._plan(block)
        return {item.name: item.folded.edges for item in plan.columns if item.folded.edges is not None}

    def tally(self) -> Tally | None:
        """Return an empty tally against the reference profile; None when the model carries none."""
        return None if self.profile is None else Tally(self.profile)

    def link(self, margins: Array) -> Array:
        """Return margins through the model's link, float32."""
        if self.model.link == "identity":
            return margins
        out = np.empty_like(margins)
        if self.model.link == "exp":
            return np.exp(margins, out=out)
        ops.sigmoid(margins, out, backend=self.backend)
        return out

    def score_block(self, block: Block, tally: Tally | None) -> Array:
        """Return the margins of one block, and count its rows in `tally` on the way."""
        plan, handle = self._plan(block)
        out = np.empty(block.rows, np.float32)
        places = places_of(plan, block)
        columns = kernel_columns(plan, block, places)
        slots = None if tally is None else tally.slots(plan, places)
        ops.score(handle, columns, out, slots, self.threads, backend=self.backend)
        if tally is not None and slots is not None:
            tally.take(plan, slots, places, block.rows)
        return out

    def blocks_of(self, X: Any) -> Iterable[Block]:
        """Yield X as blocks of this scorer's raw columns."""
        return blocks(X, self.columns, named=self.named, types=self.types)

    def _plan(self, block: Block) -> tuple[Plan, Any]:
        kinds = block.kinds()
        key = tuple(kinds.values())
        with self._planning:  # threads that start together need one plan, not one each
            if key not in self._plans:
                plan = build(self.model, self.features, kinds, self._watched_edges(kinds), self._watched_categories)
                self._plans[key] = (plan, ops.prepare(plan.forest, backend=self.backend))
            return self._plans[key]

    @cached_property
    def _watched_categories(self) -> dict[str, tuple[str, ...]]:
        columns = {} if self.profile is None else self.profile.columns
        return {name: item.categories for name, item in columns.items() if isinstance(item, CategoricalColumn)}

    def _watched_edges(self, kinds: Mapping[str, Kind]) -> dict[str, Array]:
        if self.profile is None:
            return {}
        watched = {name: self.profile.columns.get(name) for name in kinds}
        return {
            name: item.edges.astype(kinds[name]) for name, item in watched.items() if isinstance(item, NumericColumn)
        }

    def _leaves(self, block: Block) -> Array:
        plan, handle = self._plan(block)
        raw = kernel_columns(plan, block, places_of(plan, block))
        codes, missing = [], []
        for planned, (values, validity, offset, aux) in zip(plan.columns, raw, strict=True):
            codes.append(np.empty(block.rows, np.uint8 if planned.folded.n_codes <= 256 else np.uint16))
            missing.append(np.empty((block.rows + 63) // 64, np.uint64))
            operation = ops.bin if planned.folded.edges is not None else ops.encode
            operation(values, validity, offset, aux, codes[-1], missing[-1], backend=self.backend)
        out = np.empty((block.rows, self.model.n_trees), np.int32)
        ops.leaves(handle, codes, missing, out, self.threads, backend=self.backend)
        return out


def _one_row(schema: pa.Schema, columns: tuple[str, ...]) -> pa.Table:
    return pa.table({name: pa.nulls(1, schema.field(name).type) for name in columns})
