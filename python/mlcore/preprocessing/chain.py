"""A chain: one raw column on its way through the steps of a spec, some fitted, the rest waiting."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mlcore.errors import DataError, SchemaMismatch
from mlcore.preprocessing.features import missing_rows, string_rows
from mlcore.preprocessing.specs import (
    Impute,
    Limit,
    MinMax,
    OneHot,
    Ordinal,
    Scale,
    StepSpec,
    Target,
    name_of,
)
from mlcore.preprocessing.statistics import Array, Cells, Extremes, Moments, ValueCounts, target_means
from mlcore.preprocessing.steps import (
    Affine,
    Clip,
    Fill,
    Indicator,
    Lookup,
    Step,
    category_numbers,
    fill_missing,
    numbers,
)

FOLDS: Final = 5
Statistic = Moments | Extremes | ValueCounts | Cells


@dataclass(frozen=True)
class Chain:
    """Where one column of one spec stands.

    `outputs` holds the fitted steps of each feature that comes out, with its name's suffix: one feature, or one a
    category after one-hot. `by_fold` holds, after target encoding, the cross-fitted steps of each fold. `fill`
    stands for missing strings until the category step.
    """

    column: str
    waiting: tuple[StepSpec, ...]
    strings: bool
    outputs: tuple[tuple[str, tuple[Step, ...]], ...] = (("", ()),)
    by_fold: tuple[tuple[Step, ...], ...] = ()
    fill: str | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The fitted steps, where there is a single feature."""
        return self.outputs[0][1]

    @property
    def coded(self) -> bool:
        """Whether values are numbers by now."""
        return not self.strings or bool(self.steps)


def settle(chain: Chain) -> Chain:
    """Return the chain after the waiting steps that need no statistics.

    Raises:
        SchemaMismatch: the next step does not fit the column's kind of values.

    """
    while chain.waiting:
        step, rest = chain.waiting[0], chain.waiting[1:]
        _check_kind(chain, step)
        match step:
            case Impute("constant", value) if chain.coded:
                chain = _append(chain, Fill(float(value or 0.0)), rest)
            case Impute("constant", value):
                chain = replace(chain, fill=str(value), waiting=rest)
            case Limit(low, high):
                chain = _append(chain, Clip(float(low), float(high)), rest)
            case _:
                return chain
    if not chain.coded:
        raise SchemaMismatch(
            f"column '{chain.column}' holds strings and no step turns them into numbers; "
            "add one-hot, ordinal or target to its steps, or leave the column out"
        )
    return chain


def _check_kind(chain: Chain, step: StepSpec) -> None:
    found = "numbers" if chain.coded else "strings"
    wanted = "strings" if isinstance(step, OneHot | Ordinal | Target) else "numbers"
    if isinstance(step, Impute):
        if step.strategy in ("mean", "median"):
            wanted = "numbers"
        elif step.strategy == "constant":
            wanted = "strings" if isinstance(step.value, str) else "numbers"
        else:
            wanted = found
    if found != wanted:
        raise SchemaMismatch(f"column '{chain.column}' holds {found} and step '{name_of(step)}' needs {wanted}")


def observe(chain: Chain, raw: Any, target: Array | None, fold: Array) -> Statistic:
    """Return what a batch of the raw Column says about the chain's next step."""
    step = chain.waiting[0]
    if not chain.coded:
        names, codes = string_codes(chain, raw)
        if target is None and isinstance(step, Target):
            raise DataError(f"column '{chain.column}': target encoding needs labels")
        label = np.zeros(len(codes)) if target is None else target
        return Cells.of(names, codes, label, fold, FOLDS)
    values = current_numbers(chain, raw, fold)
    match step:
        case Scale():
            _refuse_infinite(chain, values, "scale")
            return Moments.of(values)
        case Impute("mean"):
            _refuse_infinite(chain, values, "impute by the mean")
            return Moments.of(values)
        case MinMax():
            _refuse_infinite(chain, values, "min-max")
            return Extremes.of(values)
        case _:
            return ValueCounts.of(values)


def _refuse_infinite(chain: Chain, values: Array, what: str) -> None:
    if np.isinf(values).any():
        raise DataError(f"column '{chain.column}' holds infinities, which {what} cannot use; clip it first")


def string_codes(chain: Chain, raw: Any) -> tuple[list[str], Array]:
    """Return a batch's categories and each row's place in them; missing rows get their number."""
    names, codes = string_rows(raw)
    if chain.fill is None:
        return names, codes
    blank = len(names)
    names = names if chain.fill in names else [*names, chain.fill]
    return names, np.where(codes == blank, names.index(chain.fill), codes)


def current_numbers(chain: Chain, raw: Any, fold: Array) -> Array:
    """Return the rows' float64 numbers after the fitted steps, cross-fitted ones where there are any."""
    variants = chain.by_fold or (chain.steps,)
    results = [_numbers_of(steps, raw) for steps in variants]
    return results[0] if len(results) == 1 else np.choose(fold, results)


def _numbers_of(steps: tuple[Step, ...], raw: Any) -> Array:
    if raw.dictionary is None:
        missing = missing_rows(raw)
        values = raw.values.astype(np.float64)
        if missing is not None:
            values[missing] = np.nan
        return numbers(steps, values)
    first = steps[0]
    assert isinstance(first, Lookup | Indicator)
    names, codes = string_rows(raw)
    table = np.delete(category_numbers(first, names), -2)
    return numbers(steps[1:], table[codes])


def close(chain: Chain, found: Statistic) -> Chain:
    """Return the chain with its next step fitted from the statistics of all rows."""
    step, rest = chain.waiting[0], chain.waiting[1:]
    match step, found:
        case Scale(), Moments():
            return _append(chain, Affine(found.mean, found.deviation), rest)
        case MinMax(), Extremes():
            return _append(chain, Affine(found.low if math.isfinite(found.low) else 0.0, found.range), rest)
        case Impute("mean"), Moments():
            return _append(chain, Fill(_observed(chain, found.mean if found.count else math.nan)), rest)
        case Impute("median"), ValueCounts():
            return _append(chain, Fill(_observed(chain, found.median)), rest)
        case Impute("most_frequent"), ValueCounts():
            return _append(chain, Fill(_observed(chain, found.mode)), rest)
        case Impute("most_frequent"), Cells():
            return replace(chain, fill=_most_frequent(chain, found.sort()), waiting=rest)
        case OneHot(), Cells():
            return replace(chain, outputs=_one_hot(chain, found.sort()), waiting=rest)
        case Ordinal(), Cells():
            return _lookup(chain, _ordinal(chain, found.sort()), rest)
        case Target(smooth), Cells():
            cells = found.sort()
            by_fold = tuple((_target(chain, cells, smooth, k),) for k in range(FOLDS))
            return replace(_lookup(chain, _target(chain, cells, smooth, None), rest), by_fold=by_fold)
    raise AssertionError(f"{type(step).__name__} is not fitted from {type(found).__name__}")


def _append(chain: Chain, step: Step, rest: tuple[StepSpec, ...]) -> Chain:
    outputs = tuple((suffix, (*steps, step)) for suffix, steps in chain.outputs)
    by_fold = tuple((*steps, step) for steps in chain.by_fold)
    return replace(chain, outputs=outputs, by_fold=by_fold, waiting=rest)


def _lookup(chain: Chain, step: Lookup | Indicator, rest: tuple[StepSpec, ...]) -> Chain:
    return replace(chain, outputs=(("", (step,)),), waiting=rest)


def _observed(chain: Chain, value: float) -> float:
    if math.isnan(value):
        raise DataError(f"column '{chain.column}' has no values to impute from; leave it out of the features")
    return value


def _most_frequent(chain: Chain, cells: Cells) -> str:
    if not cells.categories:
        raise DataError(f"column '{chain.column}' has no values to impute from; leave it out of the features")
    return cells.categories[int(np.argmax(cells.rows[:-1]))]


def _one_hot(chain: Chain, cells: Cells) -> tuple[tuple[str, tuple[Step, ...]], ...]:
    names: list[str | None] = [*cells.categories, *([None] if cells.rows[-1] else [])]
    return tuple(
        ("_nan" if name is None else f"_{name}", (fill_missing(Indicator(name), chain.fill),)) for name in names
    )


def _ordinal(chain: Chain, cells: Cells) -> Lookup | Indicator:
    table = tuple(float(i) for i in range(len(cells.categories)))
    return fill_missing(Lookup(cells.categories, table, math.nan, math.nan), chain.fill)


def _target(chain: Chain, cells: Cells, smooth: float | str, fold: int | None) -> Lookup | Indicator:
    means, mean = target_means(*cells.without(fold), smooth)
    missing = float(means[-1]) if cells.rows[-1] else mean
    return fill_missing(Lookup(cells.categories, tuple(means[:-1].tolist()), mean, missing), chain.fill)
