"""Transforms.apply: raw Arrow columns to the float32 matrix, equal to evaluate() on every value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlcore.errors import SchemaMismatch
from mlcore.preprocessing.features import (
    MANY_ROWS,
    Affine,
    Clip,
    Feature,
    Fill,
    Indicator,
    Lookup,
    Transforms,
    evaluate,
    evaluate_categories,
)

ROWS = 200
CHAINS = {
    "plain": (),
    "filled": (Fill(2.5), Affine(0.1, 0.3)),
    "falling": (Affine(1.0, -3.0), Clip(-1.0, 1.0)),
    "gone": (Indicator(None), Affine(0.5, 2.0)),
}
NUMBERS: dict[str, Any] = {
    "double": np.random.default_rng(0).normal(size=ROWS) * 1e3,
    "single": np.random.default_rng(1).normal(size=ROWS).astype(np.float32),
    "int": np.random.default_rng(2).integers(-(2**31), 2**31, ROWS).astype(np.int32),
    "long": np.random.default_rng(3).integers(-(2**62), 2**62, ROWS),
}


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_equal_evaluate_bit_for_bit(kind: str, nulls: bool) -> None:
    values = NUMBERS[kind]
    mask = np.random.default_rng(4).random(ROWS) < 0.3 if nulls else np.zeros(ROWS, bool)
    table = pa.table({"x": pa.array(values, mask=mask)})
    found = Transforms(tuple(Feature(name, "x", steps) for name, steps in CHAINS.items())).apply(table)
    for j, steps in enumerate(CHAINS.values()):
        expected = evaluate(steps, values)
        expected[mask] = evaluate(steps, np.array([np.nan]))[0]
        assert found[:, j].tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", NUMBERS)
def test_many_rows_equal_evaluate_bit_for_bit(kind: str) -> None:
    values = np.tile(NUMBERS[kind], MANY_ROWS // ROWS + 1)
    mask = np.random.default_rng(4).random(len(values)) < 0.3
    transforms = Transforms(tuple(Feature(name, "x", steps) for name, steps in CHAINS.items()))
    table = pa.table({"x": pa.array(values, mask=mask)})
    found = transforms.apply(table)
    for j, steps in enumerate(CHAINS.values()):
        expected = evaluate(steps, values)
        expected[mask] = evaluate(steps, np.array([np.nan]))[0]
        assert found[:, j].tobytes() == expected.tobytes()


@pytest.mark.parametrize("form", ["string", "large_string", "dictionary"])
def test_strings_equal_evaluate_categories(form: str) -> None:
    names = [None if i % 7 == 0 else f"c{i % 5}" for i in range(ROWS)]
    array = pa.array(names)
    array = array.dictionary_encode() if form == "dictionary" else array.cast(form)
    steps = [
        (Lookup(("c1", "c3"), (0.1, 7.0), -1.0, math.nan), Fill(4.0), Affine(0.5, 3.0)),
        (Indicator("c2"),),
        (Indicator(None),),
    ]
    transforms = Transforms(tuple(Feature(f"f{j}", "x", s) for j, s in enumerate(steps)))
    found = transforms.apply(pa.table({"x": array}))
    for j, mine in enumerate(steps):
        values, _, missing = evaluate_categories(mine, [name or "" for name in names])
        values[[name is None for name in names]] = missing
        assert found[:, j].tobytes() == values.tobytes()


def test_nan_of_a_float_column_is_missing() -> None:
    table = pa.table({"x": [1.0, float("nan")]})
    assert Transforms((Feature("x", "x", (Fill(9.0),)),)).apply(table).ravel().tolist() == [1.0, 9.0]


def test_slices_chunks_and_batches_give_the_same() -> None:
    table = pa.table({"x": pa.array([1.0, None, 3.0, 4.0] * 9), "s": pa.array(["a", None, "b", "a"] * 9)})
    transforms = Transforms(
        (Feature("x", "x", (Fill(0.0),)), Feature("s", "s", (Lookup(("a", "b"), (1.0, 2.0), 0.0, -1.0),)))
    )
    whole = transforms.apply(table)
    chunked = pa.concat_tables([table.slice(0, 5), table.slice(5, 0), table.slice(5, 13), table.slice(18)])
    assert transforms.apply(chunked).tobytes() == whole.tobytes()
    batch = table.to_batches()[0].slice(3, 11)
    assert transforms.apply(batch).tobytes() == whole[3:14].tobytes()


def test_the_result_is_c_ordered_float32_in_feature_order() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    features = (
        Feature("y", "b", (Indicator("y"),)),
        Feature("a", "a", ()),
        Feature("x", "b", (Indicator("x"),)),
    )
    found = Transforms(features).apply(table)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.tolist() == [[0.0, 1.0, 1.0], [1.0, 2.0, 0.0]]


def test_no_rows_give_no_rows() -> None:
    table = pa.table({"a": pa.array([], pa.float64()), "b": pa.array([], pa.string())})
    found = Transforms((Feature("a", "a", ()), Feature("b", "b", (Indicator("x"),)))).apply(table)
    assert found.shape == (0, 2)


def test_an_absent_column_is_named() -> None:
    with pytest.raises(SchemaMismatch, match="'speed'"):
        Transforms((Feature("f", "speed", ()),)).apply(pa.table({"a": [1]}))


def test_strings_without_a_category_step_are_named() -> None:
    with pytest.raises(SchemaMismatch, match="'b' holds strings.*one-hot"):
        Transforms((Feature("f", "b", ()),)).apply(pa.table({"b": ["x"]}))


@pytest.mark.parametrize("step", [Lookup(("1",), (1.0,), 0.0, 0.0), Indicator("1")])
def test_numbers_with_a_category_step_are_named(step: Lookup | Indicator) -> None:
    with pytest.raises(SchemaMismatch, match="'a' holds numbers.*'f' expects strings"):
        Transforms((Feature("f", "a", (step,)),)).apply(pa.table({"a": [1]}))
