"""Folding: a column's splits, asked through its transforms, become edges or category classes of the raw column.

A split asks whether feature value g(x) is at or above a threshold, or in a set, where g is the chain of steps from the
raw column to the model's float32. Every step is monotone to the last bit (+ − × ÷, fill, clip) or a table over
categories, so the answer for all raw values is known from finitely many of them: the exact raw edge is found by
bisection with the chain itself, a category by asking the chain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing.features import Affine, Step, evaluate, evaluate_categories
from mlcore.scoring import line
from mlcore.scoring.line import Array, Keys, NumericKind

MAX_CODES: Final = 65536
_CATEGORY_LIMIT: Final = 2**24  # XGBoost: a category at or above takes the left branch


@dataclass(frozen=True)
class Split:
    """One question of the model about one of its features; `category_set` is None for a threshold."""

    feature: int
    threshold: np.float32
    category_set: frozenset[int] | None
    default_left: bool


@dataclass(frozen=True)
class Source:
    """How a feature comes from its raw column: its steps, and the categories the model itself stores, if any."""

    steps: tuple[Step, ...]
    stored_categories: tuple[str, ...] | None


@dataclass(frozen=True)
class Predicate:
    """A split over codes. True means right, unless `inverted`. A threshold is `code >= threshold`, else `members`."""

    threshold: int
    members: Array | None  # bool, one a code
    missing: bool
    inverted: bool = False


@dataclass(frozen=True)
class FoldedColumn:
    """A raw column ready to be coded: edges of a numeric one, or classes of a string one."""

    edges: Array | None
    categories: tuple[str, ...]
    classes: Array | None  # uint16, one a category, then the unknown ones'
    accepted: tuple[str, ...] | None  # the only categories that the model takes; None: it takes any
    n_codes: int
    predicates: tuple[Predicate, ...]  # one a split, in the order given


def fold_numeric(
    splits: Sequence[Split], sources: dict[int, Source], kind: NumericKind, extra_edges: Array | None
) -> FoldedColumn:
    """Return the column's edges in its own type, and its splits as predicates over them.

    Raises:
        UnsupportedModel: the column needs more than 65,535 edges.
    """
    rising = {feature: _rises(source.steps) for feature, source in sources.items()}
    asked = [_thresholds(split) for split in splits]
    counts = [len(values) for values in asked]
    first = np.cumsum([0, *counts]).tolist()
    thresholds = np.array([value for values in asked for value in values], np.float32)
    owners = np.repeat(np.array([split.feature for split in splits], np.int64), counts)
    found, reachable = _raw_edges(thresholds, owners, sources, rising, kind)
    extra = line.keys(extra_edges) if extra_edges is not None else np.zeros(0, np.int64)
    edge_keys = np.unique(np.concatenate([found[reachable], extra]))
    edges = line.values(edge_keys, kind)
    n_codes = len(edges) + 1
    if n_codes > MAX_CODES:
        raise UnsupportedModel(f"a column needs {len(edges)} edges; at most {MAX_CODES - 1} fit its code")
    codes = [*np.where(reachable, np.searchsorted(edge_keys, found) + 1, n_codes).tolist(), 0]
    missing = {feature: float(evaluate(source.steps, np.array([np.nan]))[0]) for feature, source in sources.items()}
    lowest = line.values(np.array(line.ends(kind)[:1], np.int64), kind)
    representatives = np.concatenate([lowest, edges])
    predicates = [
        _numeric_predicate(split, sources[split.feature].steps, codes[at], rising[split.feature], representatives,
                           _missing_goes_right(split, missing[split.feature]))
        for split, at in zip(splits, first, strict=False)
    ]  # fmt: skip
    return FoldedColumn(edges, (), None, None, n_codes, tuple(predicates))


def _rises(steps: Sequence[Step]) -> bool:
    return sum(isinstance(step, Affine) and step.scale < 0 for step in steps) % 2 == 0


def _thresholds(split: Split) -> Sequence[float | np.float32]:
    """The feature values at which the split's answer may change."""
    if split.category_set is None:
        return (split.threshold,)
    inside = [value for value in split.category_set if value < _CATEGORY_LIMIT]
    return sorted({float(bound) for value in inside for bound in (value, value + 1)})


def _raw_edges(
    thresholds: Array, owners: Array, sources: dict[int, Source], rising: dict[int, bool], kind: NumericKind
) -> tuple[Keys, Array]:
    """For each threshold the lowest raw value that has crossed it, going up the raw line."""
    found, reachable = np.zeros(len(thresholds), np.int64), np.zeros(len(thresholds), bool)
    for feature, source in sources.items():
        mine = np.flatnonzero(owners == feature)
        limits, steps, up = thresholds[mine], source.steps, rising[feature]

        def crossed(raw: Array, limits: Array = limits, steps: tuple[Step, ...] = steps, up: bool = up) -> Array:
            value = evaluate(steps, raw)
            return (value >= limits) if up else (value < limits)

        found[mine], reachable[mine] = line.first_true(crossed, _guess(limits, steps, kind), kind)
    return found, reachable


def _guess(limits: Array, steps: tuple[Step, ...], kind: NumericKind) -> Keys:
    """About where the chain crosses the limits: half a float32 below them, back through shifts and scales."""
    with np.errstate(over="ignore", invalid="ignore"):
        raw = (limits.astype(np.float64) + np.nextafter(limits, np.float32(-np.inf))) / 2
        for step in reversed(steps):
            if isinstance(step, Affine):
                raw = raw * step.scale + step.center
        if kind[0] == "i":
            bound = 2.0 ** (30 if kind == "i4" else 62)
            return line.keys(np.clip(np.nan_to_num(np.ceil(raw)), -bound, bound).astype(kind))
        return line.keys(np.nan_to_num(raw, posinf=np.inf, neginf=-np.inf).astype(kind))


def _numeric_predicate(
    split: Split, steps: tuple[Step, ...], code: int, rises: bool, representatives: Array, missing: bool
) -> Predicate:
    if split.category_set is None:
        return Predicate(code, None, missing != (not rises), inverted=not rises)
    return Predicate(0, _goes_right(split, evaluate(steps, representatives)), missing)


def _goes_right(split: Split, value: Array) -> Array:
    """The model's own answer for feature values; NaN takes the default branch."""
    nan = np.isnan(value)
    if split.category_set is None:
        right = value >= split.threshold
    else:
        valid = (value >= 0) & (value < _CATEGORY_LIMIT)
        category = np.where(valid, value, 0).astype(np.int64)
        right = valid & np.isin(category, np.fromiter(split.category_set, np.int64, len(split.category_set)))
    right[nan] = not split.default_left
    return right


def _missing_goes_right(split: Split, value: float) -> bool:
    """The model's answer for what the steps make of a missing value: most often NaN, sometimes a number."""
    return not split.default_left if math.isnan(value) else bool(_goes_right(split, np.array([value], np.float32))[0])


def fold_categories(
    splits: Sequence[Split], sources: dict[int, Source], extra_categories: Sequence[str] = ()
) -> FoldedColumn:
    """Return the column's categories grouped into classes that no split tells apart, and its splits over classes.

    `extra_categories`, which something else tells apart, are listed after the model's own.
    Classes are ordered by how many splits they answer with right, so that the splits of a single ordinal or target
    encoding become thresholds; a split that cuts across this order keeps the set of its classes.
    """
    own = dict.fromkeys(name for source in sources.values() for name in _categories_of(source))
    categories = tuple(own | dict.fromkeys(extra_categories))
    values = {feature: _category_values(source, categories) for feature, source in sources.items()}
    answers = np.empty((len(splits), len(categories) + 1), bool)
    for row, split in zip(answers, splits, strict=True):
        row[:] = _goes_right(split, values[split.feature][0])
    unique, class_of = _unique_columns(answers)
    order = np.argsort(unique.sum(axis=0), kind="stable")
    by_class = unique[:, order]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    if len(order) > MAX_CODES:
        raise UnsupportedModel(f"a column needs {len(order)} category classes; at most {MAX_CODES} fit its code")
    ones, rises = by_class.sum(axis=1).tolist(), np.all(by_class[:, :-1] <= by_class[:, 1:], axis=1).tolist()
    missing = [_missing_goes_right(split, values[split.feature][1]) for split in splits]
    predicates = [
        Predicate(len(order) - ones[i], None, missing[i]) if rises[i] else Predicate(0, by_class[i], missing[i])
        for i in range(len(splits))
    ]
    classes = rank[class_of].astype(np.uint16)
    refuses = any(source.stored_categories is not None for source in sources.values())
    return FoldedColumn(None, categories, classes, tuple(own) if refuses else None, len(order), tuple(predicates))


def _unique_columns(answers: Array) -> tuple[Array, Array]:
    """The distinct columns as they first come, and each column's place among them."""
    packed = np.ascontiguousarray(np.packbits(answers, axis=0).T)
    numbers: dict[bytes, int] = {}
    place = np.array([numbers.setdefault(column.tobytes(), len(numbers)) for column in packed], np.int64)
    first = np.full(len(numbers), answers.shape[1])
    np.minimum.at(first, place, np.arange(answers.shape[1]))
    return answers[:, first], place


def _categories_of(source: Source) -> tuple[str, ...]:
    if source.stored_categories is not None:
        return source.stored_categories
    names: list[str] = []
    for step in source.steps:
        category = getattr(step, "category", None)
        names.extend(getattr(step, "categories", ()) or ([category] if category is not None else []))
    return tuple(names)


def _category_values(source: Source, categories: tuple[str, ...]) -> tuple[Array, float]:
    """The feature's value for each category and the unknown one; and for missing."""
    if source.stored_categories is not None:
        position = {name: float(i) for i, name in enumerate(source.stored_categories)}
        known = [position.get(name, np.nan) for name in categories]
        return np.array([*known, np.nan], np.float32), float("nan")
    known_values, unknown, missing = evaluate_categories(source.steps, categories)
    return np.append(known_values, np.float32(unknown)), float(missing)


def describe_steps(steps: Sequence[Any]) -> str:
    """Return the steps' names in order, as `describe()` shows them."""
    return " → ".join(type(step).__name__.lower() for step in steps) or "as it is"
