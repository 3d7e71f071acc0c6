"""Scorer: a model and its transforms compiled for one backend; immutable, and safe to call from many threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from mlcore import ops
from mlcore.backend import Backend
from mlcore.errors import DataError, UnsupportedModel, UsageError
from mlcore.models import LinearModel, Model, NeuralNetwork, TreeEnsemble
from mlcore.preprocessing.features import Feature, Match
from mlcore.preprocessing.sklearn_lower import Form
from mlcore.profile import CategoricalColumn, NumericColumn, Profile
from mlcore.scoring import conventions, linear, links, neural
from mlcore.scoring.categories import CategoryColumns
from mlcore.scoring.combined import combined
from mlcore.scoring.conventions import Conventions
from mlcore.scoring.explain import explainer_arrays, refuse_unexplained
from mlcore.scoring.fold import MAX_CODES, Source, describe_steps
from mlcore.scoring.inputs import (
    Block,
    arithmetic_of,
    blocks,
    is_sparse,
    kernel_columns,
    pieces,
    places_of,
    refuse_large_integers,
    refuse_missing,
    refuse_unaccepted,
    refuse_unknown_form,
    used_columns,
)
from mlcore.scoring.line import Array
from mlcore.scoring.plan import Kind, Plan, build, float_types, names_categories, parts
from mlcore.scoring.tally import Tally
from mlcore.scoring.whole import Whole

FEW_ROWS: Final = 64  # up to which a row at a time may beat laying out blocks; the kernel knows of its forest
_LINEAR_ROWS: Final = 1 << 14  # at a time: the nodes of all trees are written out for them
Key = tuple[Kind | bool, ...]


@dataclass(frozen=True, eq=False)
class Span:
    """Trees that follow one another in the model, their plan, and what the backend made of it."""

    trees: TreeEnsemble
    plan: Plan
    handle: Any


@dataclass(frozen=True, eq=False)
class Scorer:
    """A compiled model. `predict` gives what the source object's own `predict` gives.

    X is 2-D NumPy (columns by position) or a table: pandas, polars, or anything that speaks Arrow (columns by name where
    the model knows names). Null and NaN both score as missing; ±inf is an ordinary value. Results are the same bits for
    any number of threads, any batch size and any backend.
    """

    model: Model
    features: tuple[Feature, ...]
    named: bool
    predicts: Literal["value", "label", "labels", "margin"]
    """What `predict` gives: `predict_value`, a label, whether each label is there, or `margin`."""
    backend: Backend
    threads: int
    types: Mapping[str, pa.DataType] | None = None
    profile: Profile | None = None
    digest: str = ""
    missing: float = math.nan
    narrowed: bool = False
    engine: str = "auto"
    classes: Array | None = None
    """The labels that `predict` gives; None: their numbers."""
    cutoff: float | None = None
    """The lowest score of the second class, where a row has one score, or of each label; None: its probability is above
    one half."""
    flat: bool = True
    """Whether a single output has no axis of its own."""
    wide: bool = False
    """Whether features are float64 before the model's own cast."""
    inputs: tuple[str, ...] = ()
    """All columns of a matrix, where the features leave some out or have another order."""
    transformed: bool = False
    """Whether transformers, mlcore's or scikit-learn's, stand before the model in memory."""
    forms: Mapping[Form, Scorer | None] = field(default_factory=dict)
    """What scores rows of other forms, which scikit-learn's transformers compute otherwise with; None: as all are scored."""
    _plans: dict[Key, list[Span]] = field(default_factory=dict, repr=False)
    _explainers: dict[Key, list[Any]] = field(default_factory=dict, repr=False)
    _planning: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _few: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Raw columns the model reads, in the order a NumPy array must have them."""
        return tuple(dict.fromkeys(feature.column for feature in self.features[: self._raw_features]))

    @cached_property
    def _raw_features(self) -> int:
        """How many features come from columns: all but the model's combinations of these."""
        combinations = self.model.combinations if isinstance(self.model, TreeEnsemble) else ()
        return len(self.features) - len(combinations)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that a table must have, in order where their names mean nothing."""
        return self.columns if self.named or not self.inputs else self.inputs

    @property
    def whole(self) -> Whole:
        """All columns that the model, or the transformer before it, was fitted on."""
        return Whole(self.inputs or self.columns, self.named, self._conventions.joins_names)

    def columns_of(self, found: Sequence[str]) -> list[str]:
        """Return what a file with the columns `found` calls those that are read; one that is not there by its own name."""
        joined = {name.replace(" ", "_"): name for name in found} if self._conventions.joins_names else {}
        return [name if name in found else joined.get(name, name) for name in self.reads]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that margins are summed in."""
        return self.model.dtype

    def margin(self, X: Any, *, base_margin: Any = None) -> Array:
        """Return the raw margins, in the model's float type: base margin plus leaf values, before the link.

        Args:
            X: the rows.
            base_margin: each row's own margin to start from, shape (n,) or (n, outputs), instead of the model's.

        Returns:
            shape (n,), or (n, outputs) of a model with more than one.

        Raises:
            SchemaMismatch: a column is missing or has another type.
            DataError: a category that the model stores no code for, where the library refuses it too.
        """
        found = self._of_few(X, flat=self.flat) if base_margin is None else None
        return self._flat(self._margins_of_blocks(X, base_margin)) if found is None else found

    def predict_value(self, X: Any, *, base_margin: Any = None) -> Array:
        """Return margins through the link: probabilities, or values; in shape as `margin`, or (n,) of multi:softmax."""
        return self._flat(self.link(self._margins(X, base_margin)))

    def predict(self, X: Any, *, base_margin: Any = None) -> Array:
        """Return what the source's own `predict` returns: labels of a classifier, else `predict_value`."""
        if self.classes is not None and self.cutoff is not None:
            return np.asarray(self.classes[self._class_index(self._margins(X, base_margin), self.cutoff)])
        if self.predicts in ("margin", "labels"):
            margin = self.margin(X, base_margin=base_margin)
            return margin if self.predicts == "margin" else (margin >= (self.cutoff or 0.0)).astype(np.int64)
        value = self.predict_value(X, base_margin=base_margin)
        if self.predicts == "value":
            return value
        if self.classes is not None:
            return np.asarray(self.classes[np.argmax(value, axis=1) if value.ndim > 1 else (value > 0.5).astype(int)])
        if self.model.link == "argmax":
            return value.astype(np.int32)
        if self.model.link == "softmax" and self.model.n_outputs > 2:  # XGBoost takes two columns for two labels
            return np.asarray(np.argmax(value, axis=1))
        return (value > 0.5).astype(np.int64 if value.ndim == 1 else np.float64)

    def predict_proba(self, X: Any, *, base_margin: Any = None) -> Array:
        """Return the probability of each class, shape (n, classes); of each label, where a row may have several."""
        link = self.model.link
        if link not in (
            "sigmoid",
            "softmax",
            "argmax",
            "halflogit",
            "opposite",
            "probability",
            "ramp",
            "share",
            "shares",
        ):
            raise AttributeError(f"predict_proba needs a classifier; this model's objective is {self.model.objective}")
        margins = self._margins(X, base_margin)
        if link == "argmax":
            return links.softmax(margins)
        value = self.link(margins)
        return value if link == "probability" or value.shape[1] > 1 else np.concatenate([1 - value, value], axis=1)

    def score_samples(self, X: Any) -> Array:
        """Return how normal each row is to an isolation forest, shape (n,): from -1, and lower the stranger it is."""
        if self.model.link != "isolation":
            raise AttributeError(f"score_samples is an isolation forest's; this model is {self.model.objective}")
        return self.predict_value(X)

    def decision_function(self, X: Any) -> Array:
        """Return the scores that pick a label: margins; of an isolation forest `score_samples` above its offset."""
        if self.model.link == "isolation":
            return self.predict_value(X) - (self.cutoff or 0.0)
        return self.margin(X)

    def _class_index(self, margins: Array, cutoff: float) -> Array:
        """Each row's class: the one of the highest score, or the second from `cutoff` on."""
        scores = self.link(margins) if self.model.link == "isolation" else margins
        if self.model.link == "probability" or scores.shape[1] > 1:
            return np.asarray(np.argmax(scores, axis=1))
        return (scores[:, 0] >= cutoff).astype(np.intp)

    def leaf_ids(self, X: Any) -> Array:
        """Return the leaf each row reaches in each tree, int32 of shape (n, trees), as the source library numbers them.

        Raises:
            UsageError: the model has no trees.
        """
        if not isinstance(self.model, TreeEnsemble):
            raise UsageError(f"{self.model.objective} is a model without trees: it has no leaves")
        model, found = self.model, [self._nodes(block) for block in self.blocks_of(X)]
        nodes = np.concatenate([np.zeros((0, model.n_trees), np.int32), *found])
        return nodes if model.leaf_ids_are_nodes else model.leaf_id[model.tree_start[:-1] + nodes]

    def explain(self, X: Any, *, base_margin: Any = None) -> Array:
        """Return how much each feature adds to each row's margin, float64: SHAP values, exact and path-dependent.

        The last column is what remains where nothing is known of a row: the base margin plus the trees' mean over their
        training rows. A row's values sum to its margin. XGBoost's `predict(pred_contribs=True)` in float64; of a linear
        model a feature's value times its weight.

        Args:
            X, base_margin: as of `margin`.

        Returns:
            shape (n, features + 1), or (n, outputs, features + 1) of a model with more than one output; features are the
            model's own, after transforms, in the order of `model.feature_names`.

        Raises:
            UnsupportedModel: the model does not hold its nodes' cover, its leaves are linear, or it is a network.
        """
        if isinstance(self.model, NeuralNetwork):
            raise UnsupportedModel(f"{self.model.objective} is a network; only trees and linear models are explained")
        found = [self._explained(block, base) for block, base in self._based_blocks(X, base_margin)]
        shape = (0, self.model.n_outputs, self.model.n_features + 1)
        return self._flat(found[0] if len(found) == 1 else np.concatenate([np.zeros(shape), *found]))

    def describe(self) -> dict[str, Any]:
        """Return what the model is, which transforms were folded away, and what runs it."""
        spans = []
        for scorer in (self, *filter(None, self.forms.values())):
            with scorer._planning:
                spans += [span for spans in scorer._plans.values() for span in spans]
        return {
            "model": {
                "source": self.model.source,
                "objective": self.model.objective,
                "trees": self.model.n_trees,
                "nodes": self.model.n_nodes,
                "features": self.model.n_features,
                "outputs": self.model.n_outputs,
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
                    "predicates": span.plan.n_predicates,
                    "engines": span.handle.engines,
                    "columns": [
                        {"name": item.name, "kind": item.kind, "codes": item.folded.n_codes}
                        for item in span.plan.columns
                    ],
                }
                for span in spans
            ],
        }

    def edges(self, schema: pa.Schema) -> dict[str, Array]:
        """Return the model's own edges of each numeric raw column, in the type it has in `schema`: what a reference
        profile must count over for a scorer's tallies to fit it.
        """
        block = next(iter(self._blocks(_one_row(schema, self.reads))))
        plan = self._of_form(block)._spans(block)[0].plan
        return {item.name: item.folded.edges for item in plan.columns if item.folded.edges is not None}

    def on(self, threads: int) -> Scorer:
        """Return the scorer with another number of threads."""
        forms = {form: other and other.on(threads) for form, other in self.forms.items()}
        return replace(self, threads=threads, forms=forms)

    def tally(self) -> Tally | None:
        """Return an empty tally against the reference profile; None when the model carries none."""
        return None if self.profile is None else Tally(self.profile)

    def link(self, margins: Array) -> Array:
        """Return margins (rows, outputs) through the model's link."""
        model = self.model
        if not isinstance(model, TreeEnsemble):
            return links.apply(model.link, margins, self.backend)
        if model.averaged > 1:
            margins = margins / margins.dtype.type(model.averaged)
        return links.apply(model.link, margins, self.backend, steepness=model.steepness)

    def score_block(self, block: Block, tally: Tally | None, base: Array | None = None) -> Array:
        """Return the margins (rows, outputs) of one block, and count its rows in `tally` on the way.

        `base`: (rows, outputs) to start from, which is added to in place; by default the model's own.
        """
        if (other := self._of_form(block)) is not self:
            return other.score_block(block, tally, base)
        out = self._base(block.rows) if base is None else base
        if isinstance(self.model, LinearModel):
            linear.add_margins(self.model, self.features, self._sources, block, out)
            return out
        if isinstance(self.model, NeuralNetwork):
            neural.add_margins(self.model, self.features, self._sources, block, out)
            return out
        if not self.model.accepts_missing:
            refuse_missing(self.features, block)
        sums = self.model.linear_leaves is None
        for index, span in enumerate(self._spans(block)):
            plan, places = span.plan, places_of(span.plan, block)
            slots = None if tally is None or index else tally.slots(plan, places)  # rows are counted once
            if sums or slots is not None:  # the walk counts; what it sums of linear leaves is not asked for
                into = out if sums else np.zeros_like(out)
                columns = kernel_columns(plan, block, places)
                ops.score(span.handle, columns, into, slots, self.threads, backend=self.backend)
            if tally is not None and slots is not None:
                tally.take(plan, slots, places, block.rows)
        if not sums:
            self._add_linear(self.model, block, out)
        return self._finished(out)

    def blocks_of(self, X: Any) -> Iterable[Block]:
        """Yield X as blocks of this scorer's raw columns, after checking what its features accept."""
        for block in self._blocks(X):
            refuse_unaccepted(self._accepting, block)
            if self.wide and block.form not in self.forms and block.arithmetic != "float64":
                refuse_unknown_form(self.features, block, self._own)
            if self.transformed and self._conventions.narrows_integers:
                refuse_large_integers(self.features, block)
            yield block

    def _of_form(self, block: Block) -> Scorer:
        """What scores a block of this form."""
        return self.forms.get(block.form) or self if self.forms else self

    @cached_property
    def _accepting(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if feature.accepts is not None)

    @cached_property
    def _categories(self) -> CategoryColumns:
        """The columns that the model, or the transformers before it, read categories from."""
        raw = self.features[: self._raw_features]
        stored = {
            feature.column
            for feature, known in zip(raw, self.model.stored_categories, strict=False)
            if known is not None
        }
        lists = self.model.category_lists if isinstance(self.model, TreeEnsemble) and not self.transformed else ()
        return CategoryColumns(
            named=frozenset(stored.union(feature.column for feature in raw if names_categories(feature.steps))),
            listed=len(lists),
            hashed=frozenset(stored if self._conventions.hashes_categories else ()),
        )

    @property
    def _own(self) -> np.dtype[Any]:
        """The type that the model reads its features in."""
        return self.model.threshold.dtype if isinstance(self.model, TreeEnsemble) else self.model.dtype

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        """How the features of a model without trees come from their columns."""
        types = partial(float_types, self._own.type, narrowed=self.narrowed, wide=self.wide)
        return tuple(Source(feature.steps, None, types(feature)) for feature in self.features)

    @cached_property
    def _conventions(self) -> Conventions:
        """The library's; where scikit-learn's transformers stand before the model, they read the columns."""
        own = conventions.of(self.model)
        if self.wide:
            own = replace(own, recodes_numbers=False, joins_names=False)
        return replace(own, refuses_times=own.refuses_times and not self.transformed)

    def _blocks(self, X: Any) -> Iterable[Block]:
        if self.transformed and is_sparse(X) and math.isnan(self._conventions.absent):
            raise UnsupportedModel(
                "a sparse matrix is 0 where it holds nothing to transformers and missing to XGBoost, as they pass it on or "
                "do not; pass a dense one"
            )
        arithmetic = arithmetic_of(X, self.inputs or self.columns) if self.wide else "unknown"
        if self.inputs:
            X = used_columns(X, self.inputs, self.columns, named=self.named)
        found = blocks(
            X, self.columns, named=self.named, types=self.types, missing=self.missing, conventions=self._conventions,
            categories=self._categories,
        )  # fmt: skip
        if arithmetic != "unknown":
            found = (replace(block, arithmetic=arithmetic) for block in found)
        if self._raw_features == len(self.features):
            return found
        assert isinstance(self.model, TreeEnsemble)
        raw, made = self.features[: self._raw_features], self.features[self._raw_features :]
        combinations = dict(zip((item.column for item in made), self.model.combinations, strict=True))
        return (combined(block, combinations, [item.column for item in raw]) for block in found)

    def _base(self, rows: int) -> Array:
        base = np.empty((rows, self.model.n_outputs), self.dtype)
        base[:] = self.model.base_margin
        return base

    def _margins(self, X: Any, base_margin: Any) -> Array:
        """The margins of X, (rows, outputs)."""
        found = self._of_few(X, flat=False) if base_margin is None else None
        return self._margins_of_blocks(X, base_margin) if found is None else found

    def _margins_of_blocks(self, X: Any, base_margin: Any) -> Array:
        parts = [self.score_block(block, None, base) for block, base in self._based_blocks(X, base_margin)]
        return parts[0] if len(parts) == 1 else np.concatenate([self._base(0), *parts])

    def _based_blocks(self, X: Any, base_margin: Any) -> Iterator[tuple[Block, Array]]:
        """X in blocks, each with the margins to start from: the rows' own, or the model's."""
        given = None if base_margin is None else self._given_base(base_margin)
        first = 0
        for block in self.blocks_of(X):
            base = self._base(block.rows) if given is None else given[first : first + block.rows]
            if given is not None and len(base) < block.rows:
                raise DataError(f"base_margin has {len(given)} rows, X has more")
            yield block, base
            first += block.rows
        if given is not None and len(given) != first:
            raise DataError(f"base_margin has {len(given)} rows, X has {first}")

    def _of_few(self, X: Any, *, flat: bool) -> Array | None:
        """The margins of a few rows without the machinery of many, as `margin` gives them if `flat`; None where that
        machinery is needed.
        """
        if not isinstance(X, np.ndarray) or X.ndim != 2 or not 0 < len(X) <= FEW_ROWS:
            return None
        kind = X.dtype.char
        if kind not in self._few:
            if X.shape[1] != len(self.columns):
                return None
            self._few[kind] = self._make_few(X) if kind in "fd" else None
        few = self._few[kind]
        if few is None or not (self.model.accepts_missing or np.isfinite(X).all()):  # the long way names the column
            return None
        found: Array | None = few(X, flat)
        return found if found is None or self._sums_are_margins else self._finished(found)

    def _make_few(self, X: Array) -> Any:
        make = getattr(self.backend.kernels, "Rows", None)
        plain = self.types is None and math.isnan(self.missing) and self.engine == "auto" and not self._accepting
        trees = isinstance(self.model, TreeEnsemble) and self.model.linear_leaves is None
        if make is None or not plain or not trees or not self.columns or self.inputs not in ((), self.columns):
            return None
        if not self.model.accepts_missing and any(
            isinstance(step, Match) for item in self.features for step in item.steps
        ):
            return None  # a number that matches nothing may become a missing value, which the long way refuses
        block = next(iter(self.blocks_of(X)))
        spans = self._of_form(block)._spans(block)
        if len(spans) > 1:
            return None
        plan = spans[0].plan
        edges = [item.folded.edges for item in plan.columns]
        forest = tuple(getattr(plan.forest, item.name) for item in fields(plan.forest))
        return make(forest, edges, np.array(self.model.base_margin, np.float64))

    @cached_property
    def _sums_are_margins(self) -> bool:
        """Whether there is nothing that `_finished` does."""
        model = self.model
        return isinstance(model, TreeEnsemble) and model.divisor == 1 and model.scale == 1 and not any(model.bias)

    def _finished(self, margins: Array) -> Array:
        """The sums of base margin and leaves, scaled in place, and the model's bias added."""
        assert isinstance(self.model, TreeEnsemble)
        margins = self._scaled(margins)
        if any(self.model.bias):
            margins += np.array(self.model.bias, margins.dtype)
        return margins

    def _scaled(self, sums: Array) -> Array:
        """The sums of base margin and leaves, or the parts of such sums, divided or multiplied as the model's are."""
        assert isinstance(self.model, TreeEnsemble)
        if self.model.divisor != 1:
            sums /= self.model.divisor
        if self.model.scale != 1:
            sums *= self.model.scale
        return sums

    def _given_base(self, base_margin: Any) -> Array:
        if isinstance(self.model, TreeEnsemble) and self.model.bias:
            raise UsageError("this model adds its bias after its trees; no base_margin takes its place")
        given = np.array(base_margin, self.dtype)
        if given.ndim == 1:
            given = given[:, None]
        if given.ndim != 2 or given.shape[1] != self.model.n_outputs:
            raise DataError(f"base_margin must have {self.model.n_outputs} columns, found an array of {given.shape}")
        return np.ascontiguousarray(given)

    def _flat(self, values: Array) -> Array:
        return values[:, 0] if self.flat and values.shape[1] == 1 else values

    def _spans(self, block: Block) -> list[Span]:
        kinds, key = block.kinds(), _key(block)
        with self._planning:  # threads that start together need one plan, not one each
            if key not in self._plans:
                self._plans[key] = self._prepare(kinds, positional=block.positional)
            return self._plans[key]

    def _prepare(self, kinds: Mapping[str, Kind], *, positional: bool) -> list[Span]:
        assert isinstance(self.model, TreeEnsemble)
        edges = self._watched_edges(kinds)
        most = MAX_CODES - 1 - max(map(len, edges.values()), default=0)
        spans = []
        for trees in parts(self.model, self.features, most):
            plan = build(
                trees, self.features, kinds, edges, self._watched_categories, narrowed=self.narrowed, wide=self.wide,
                positional=positional, transformed=self.transformed,
            )  # fmt: skip
            spans.append(Span(trees, plan, ops.prepare(plan.forest, self.engine, backend=self.backend)))
        return spans

    def _explainers_of(self, block: Block, spans: list[Span]) -> list[Any]:
        """The handle that explains each span."""
        key = _key(block)
        with self._planning:
            if key not in self._explainers:
                assert isinstance(self.model, TreeEnsemble)
                refuse_unexplained(self.model)  # as a whole: messages number its trees
                arrays = [explainer_arrays(span.trees, span.plan) for span in spans]
                self._explainers[key] = [ops.prepare(item, backend=self.backend) for item in arrays]
            return self._explainers[key]

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

    def _add_linear(self, model: TreeEnsemble, block: Block, out: Array) -> None:
        sources = self._spans(block)[0].plan.sources
        for piece, rows in pieces(block, _LINEAR_ROWS):
            nodes = model.tree_start[:-1] + self._nodes(piece)
            linear.add_leaves(model, self.features, sources, piece, nodes, out[rows])

    def _coded(self, block: Block, plan: Plan) -> tuple[list[Array], list[Array]]:
        """The codes and the missing words of a block's columns."""
        codes, missing = [], []
        raw = kernel_columns(plan, block, places_of(plan, block))
        for planned, (values, validity, offset, aux) in zip(plan.columns, raw, strict=True):
            codes.append(np.empty(block.rows, np.uint8 if planned.folded.n_codes <= 256 else np.uint16))
            missing.append(np.empty((block.rows + 63) // 64, np.uint64))
            operation = ops.bin if planned.folded.edges is not None else ops.encode
            operation(values, validity, offset, aux, codes[-1], missing[-1], backend=self.backend)
        return codes, missing

    def _nodes(self, block: Block) -> Array:
        """The node each row ends at in each tree, counted from the tree's first, int32 (rows, trees)."""
        if (other := self._of_form(block)) is not self:
            return other._nodes(block)
        found = []
        for span in self._spans(block):
            out = np.empty((block.rows, span.trees.n_trees), np.int32)
            ops.leaves(span.handle, *self._coded(block, span.plan), out, self.threads, backend=self.backend)
            found.append(out)
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def _explained(self, block: Block, base: Array) -> Array:
        """The SHAP values of a block, (rows, outputs, features + 1)."""
        if (other := self._of_form(block)) is not self:
            return other._explained(block, base)
        model = self.model
        out = np.zeros((block.rows, model.n_outputs, model.n_features + 1))
        out[:, :, -1] = base
        if isinstance(model, LinearModel):
            linear.add_contributions(model, self.features, self._sources, block, out)
            return out
        assert isinstance(model, TreeEnsemble)
        if not model.accepts_missing:
            refuse_missing(self.features, block)
        spans = self._spans(block)
        for span, handle in zip(spans, self._explainers_of(block, spans), strict=True):
            ops.explain(handle, *self._coded(block, span.plan), out, self.threads, backend=self.backend)
        out = self._scaled(out)
        if any(model.bias):
            out[:, :, -1] += model.bias
        return out


def _key(block: Block) -> Key:
    """What a plan depends on."""
    return *block.kinds().values(), block.positional


def _one_row(schema: pa.Schema, columns: tuple[str, ...]) -> pa.Table:
    return pa.table({name: pa.nulls(1, schema.field(name).type) for name in columns})
