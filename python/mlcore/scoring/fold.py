"""Folding: a column's splits, asked through its transforms, become edges or category classes of the raw column.

A split asks whether feature value g(x) is at or above a threshold, or in a union of intervals, where g is the chain of
steps from the raw column to the model's own float type. Every step is monotone to the last bit (+ − × ÷, fill, clip) or a
table over categories, so the answer for all raw values is known from finitely many of them: the exact raw edge is found
by bisection with the chain itself, a category by asking the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from mlcore.errors import UnsupportedModel
from mlcore.models.ensemble import Categories
from mlcore.preprocessing.features import Affine, Match, Step, Times, evaluate, evaluate_categories
from mlcore.scoring import line
from mlcore.scoring.line import Array, Keys, NumericKind

MAX_CODES: Final = 65536


@dataclass(frozen=True, eq=False)
class Splits:
    """Questions of the model about its features, one entry each.

    A value goes right when it is at or above `threshold`, in the model's own float type; where `interval_set` is not
    negative, when an odd number of the bounds `sets[interval_set]` are <= it. NaN goes left where `default_left` is set.
    """

    feature: Array
    threshold: Array
    interval_set: Array
    default_left: Array
    sets: Sequence[Array]

    def __len__(self) -> int:
        return len(self.feature)

    def take(self, places: Array) -> Splits:
        """Return some of them."""
        return Splits(
            self.feature[places],
            self.threshold[places],
            self.interval_set[places],
            self.default_left[places],
            self.sets,
        )

    def answers(self, values: Mapping[int, Array]) -> Array:
        """Return whether each split sends each of its feature's `values`, as many of each, right: bool, (splits, values)."""
        right = np.empty((len(self), len(next(iter(values.values())))), bool)
        for feature, found in values.items():
            mine = np.flatnonzero(self.feature == feature)
            right[mine] = found >= self.threshold[mine, None]
            for i in mine[self.interval_set[mine] >= 0].tolist():
                right[i] = np.searchsorted(self.sets[self.interval_set[i]], found, side="right") % 2
            absent = np.isnan(found)
            if absent.any():
                right[np.ix_(mine, absent)] = ~self.default_left[mine, None]
        return right


@dataclass(frozen=True)
class Source:
    """How a feature comes from its raw column: its steps, and the categories the model itself stores, if any.

    `dtypes` are the float types that a value passes through on its way into the model, its own type last. A category that
    is not stored is missing, or, where `refuses_unknown`, an error.
    """

    steps: tuple[Step, ...]
    stored_categories: Categories | None
    dtypes: tuple[type[np.generic], ...]
    refuses_unknown: bool = False

    def values(self, raw: Array) -> Array:
        """Return the feature of numbers in their raw type; NaN is missing."""
        with np.errstate(over="ignore", invalid="ignore"):
            value = evaluate(self.steps, raw, self.dtypes[0])
            for dtype in self.dtypes[1:]:
                value = value.astype(dtype)
            return value


@dataclass(frozen=True, eq=False)
class Predicates:
    """Splits over codes, one entry each: right where `code >= threshold`, or, where `member_row` is not negative, where
    `members[member_row]` has the code. What is `inverted` has right and left change places. `missing` answers for itself.
    """

    threshold: Array
    member_row: Array
    members: Array  # bool (rows, codes)
    missing: Array
    inverted: Array


@dataclass(frozen=True)
class FoldedColumn:
    """A raw column ready to be coded: edges of a numeric one, or classes of a string one."""

    edges: Array | None
    categories: Categories
    classes: Array | None  # uint16, one a category, then the unknown ones'
    accepted: Categories | None  # the only categories that the model takes; None: it takes any
    n_codes: int
    predicates: Predicates  # one a split, in the order given

    @cached_property
    def known(self) -> pa.Array:
        """The categories as Arrow."""
        return pa.array(self.categories)


def fold_numeric(
    splits: Splits, sources: dict[int, Source], kind: NumericKind, extra_edges: Array | None
) -> FoldedColumn:
    """Return the column's edges in its own type, and its splits as predicates over them.

    Raises:
        UnsupportedModel: the column needs more than 65,535 edges.
    """
    rising = {feature: _rises(source.steps) for feature, source in sources.items() if _match_of(source) is None}
    monotone = _of_any(splits.feature, rising)
    plain, sets = monotone & (splits.interval_set < 0), np.flatnonzero(monotone & (splits.interval_set >= 0))
    asked = [splits.sets[i] for i in splits.interval_set[sets].tolist()]
    thresholds = np.concatenate([splits.threshold[plain], *asked])
    owners = np.concatenate([splits.feature[plain], np.repeat(splits.feature[sets], [len(part) for part in asked])])
    found, reachable = _raw_edges(thresholds, owners, sources, rising, kind)
    extra = line.keys(extra_edges) if extra_edges is not None else np.zeros(0, np.int64)
    edge_keys = np.unique(np.concatenate([found[reachable], extra, *_match_edges(sources.values(), kind)]))
    edges = line.values(edge_keys, kind)
    n_codes = len(edges) + 1
    if n_codes > MAX_CODES:
        raise UnsupportedModel(f"a column needs {len(edges)} edges; at most {MAX_CODES - 1} fit its code")
    codes = np.where(reachable, np.searchsorted(edge_keys, found) + 1, n_codes)[: plain.sum()]
    members = np.zeros((0, n_codes), bool)
    if not plain.all():
        lowest = line.values(np.array(line.ends(kind)[:1], np.int64), kind)
        members = splits.take(~plain).answers(_values_of(sources, np.concatenate([lowest, edges])))
    predicates = _predicates(
        plain, codes, members,
        missing=splits.answers(_values_of(sources, np.array([np.nan])))[:, 0],
        inverted=plain & _of_any(splits.feature, [feature for feature, up in rising.items() if not up]),
    )  # fmt: skip
    return FoldedColumn(edges, (), None, None, n_codes, predicates)


def _of_any(features: Array, chosen: Iterable[int]) -> Array:
    """Which of the features are among the chosen few; np.isin takes ten times as long to begin."""
    found = np.zeros(len(features), bool)
    for feature in chosen:
        found |= features == feature
    return found


def _values_of(sources: Mapping[int, Source], raw: Array) -> dict[int, Array]:
    return {feature: source.values(raw) for feature, source in sources.items()}


def _predicates(plain: Array, codes: Array, members: Array, *, missing: Array, inverted: Array) -> Predicates:
    """Predicates of which the `plain` ones are thresholds, `codes`, and the others sets, `members`.

    A set of the highest codes is a threshold as well; without any, it is one that no code reaches.
    """
    threshold, member_row = np.zeros(len(plain), np.int64), np.full(len(plain), -1)
    lowest = members.shape[1] - np.count_nonzero(members, axis=1)
    rising = (
        (lowest > 0)
        & (lowest < MAX_CODES)
        & np.all(members == (np.arange(members.shape[1]) >= lowest[:, None]), axis=1)
    )
    threshold[plain], threshold[np.flatnonzero(~plain)[rising]] = codes, lowest[rising]
    members = members[~rising]
    member_row[np.flatnonzero(~plain)[~rising]] = np.arange(len(members))
    return Predicates(threshold, member_row, members, missing ^ inverted, inverted)


def _rises(steps: Sequence[Step]) -> bool:
    factors = [
        step.scale if isinstance(step, Affine) else step.factor for step in steps if isinstance(step, Affine | Times)
    ]
    return sum(factor < 0 for factor in factors) % 2 == 0


def _match_of(source: Source) -> Match | None:
    first = source.steps[0] if source.steps else None
    return first if isinstance(first, Match) else None


def _match_edges(sources: Iterable[Source], kind: NumericKind) -> list[Keys]:
    """Where raw values become, and cease to be, a category of a match: between two such the feature stays the same."""
    found = []
    for match in filter(None, map(_match_of, sources)):
        values = np.array(match.values, np.float64)
        limits = np.concatenate([values, np.nextafter(values, np.inf)])

        def crossed(raw: Array, limits: Array = limits) -> Array:
            return np.asarray(raw.astype(np.float64) >= limits)

        at, reachable = line.first_true(crossed, _guess(limits, (), kind), kind)
        found.append(at[reachable])
    return found


def _raw_edges(
    thresholds: Array, owners: Array, sources: dict[int, Source], rising: dict[int, bool], kind: NumericKind
) -> tuple[Keys, Array]:
    """For each threshold of a monotone feature the lowest raw value that has crossed it, going up the raw line."""
    found, reachable = np.zeros(len(thresholds), np.int64), np.zeros(len(thresholds), bool)
    for feature, up in rising.items():
        source, mine = sources[feature], np.flatnonzero(owners == feature)
        limits = thresholds[mine]

        def crossed(raw: Array, limits: Array = limits, source: Source = source, up: bool = up) -> Array:
            value = source.values(raw)
            return (value >= limits) if up else (value < limits)

        found[mine], reachable[mine] = line.first_true(crossed, _guess(limits, source.steps, kind), kind)
    return found, reachable


def _guess(limits: Array, steps: tuple[Step, ...], kind: NumericKind) -> Keys:
    """About where the chain crosses the limits: half a float32 below those, back through shifts and scales."""
    with np.errstate(over="ignore", invalid="ignore"):
        below = np.nextafter(limits, limits.dtype.type(-np.inf))
        raw = (limits.astype(np.float64) + below) / 2 if limits.dtype == np.float32 else limits
        for step in reversed(steps):
            if isinstance(step, Affine):
                raw = raw * step.scale + step.center
            if isinstance(step, Times):
                raw = (raw - step.shift) / step.factor
        raw = np.where(np.isnan(raw), 0, raw)
        if kind[0] == "i":
            bound = 2.0 ** (30 if kind == "i4" else 62)
            raw = np.clip(np.ceil(raw), -bound, bound)
        return line.keys(raw.astype(kind))


def fold_categories(
    splits: Splits, sources: dict[int, Source], extra_categories: Sequence[str | float] = ()
) -> FoldedColumn:
    """Return the column's categories grouped into classes that no split tells apart, and its splits over classes.

    `extra_categories`, which something else tells apart, are listed after the model's own.
    Classes are ordered by how many splits they answer with right, so that the splits of a single ordinal or target
    encoding become thresholds; a split that cuts across this order keeps the set of its classes.
    """
    own = dict.fromkeys(chain.from_iterable(map(_categories_of, sources.values())))
    categories: Any = tuple(own | dict.fromkeys(extra_categories))
    values = {feature: _category_values(source, categories) for feature, source in sources.items()}
    answers = splits.answers({feature: known for feature, (known, _) in values.items()})
    unique, class_of = _unique_columns(answers)
    order = np.argsort(unique.sum(axis=0), kind="stable")
    by_class = unique[:, order]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    if len(order) > MAX_CODES:
        raise UnsupportedModel(f"a column needs {len(order)} category classes; at most {MAX_CODES} fit its code")
    rises = np.all(by_class[:, :-1] <= by_class[:, 1:], axis=1)
    missing = splits.answers(
        {feature: np.array([absent], splits.threshold.dtype) for feature, (_, absent) in values.items()}
    )
    predicates = _predicates(
        rises, len(order) - by_class[rises].sum(axis=1), by_class[~rises], missing=missing[:, 0],
        inverted=np.zeros(len(splits), bool),
    )  # fmt: skip
    classes = rank[class_of].astype(np.uint16)
    refuses = any(source.stored_categories is not None and source.refuses_unknown for source in sources.values())
    accepted: Any = tuple(own) if refuses else None
    return FoldedColumn(None, categories, classes, accepted, len(order), predicates)


def _unique_columns(answers: Array) -> tuple[Array, Array]:
    """The distinct columns, and each column's place among them."""
    by_column = np.zeros((answers.shape[1], len(answers) + 1), bool)  # one more: bytes to compare even of no splits
    by_column[:, :-1] = answers.T
    packed = np.packbits(by_column, axis=1)
    whole = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    return answers[:, first], place


def _categories_of(source: Source) -> Categories:
    if source.stored_categories is not None:
        return source.stored_categories
    names: list[str] = []
    for step in source.steps:
        category = getattr(step, "category", None)
        names.extend(getattr(step, "categories", ()) or ([category] if category is not None else []))
    return tuple(names)


def _category_values(source: Source, categories: Any) -> tuple[Array, float]:
    """The feature's value for each category and the unknown one; and for missing."""
    dtype = source.dtypes[-1]
    if source.stored_categories is not None:
        position: dict[Any, float] = {name: float(i) for i, name in enumerate(source.stored_categories)}
        known = [position.get(name, np.nan) for name in categories]
        return np.array([*known, np.nan], dtype), float("nan")
    known_values, unknown, missing = evaluate_categories(source.steps, categories, source.dtypes[0])
    return np.append(known_values, unknown).astype(dtype), float(missing)


def describe_steps(steps: Sequence[Any]) -> str:
    """Return the steps' names in order, as `describe()` shows them."""
    return " → ".join(type(step).__name__.lower() for step in steps) or "as it is"
