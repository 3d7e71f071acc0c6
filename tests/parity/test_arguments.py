"""Arguments that cannot be right are refused before memory is touched, in the same words on every backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlcore import ops
from mlcore.backend import Backend
from mlcore.errors import KernelArgumentError
from mlcore.ops import ExplainerArrays, ForestArrays

ROWS = 100
F4, F8, I4 = np.float32, np.float64, np.int32


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _codes(rows: int = ROWS, dtype: Any = np.uint8) -> np.ndarray:
    return np.zeros(rows, dtype)


def _words(count: int = 2) -> np.ndarray:
    return np.zeros(count, np.uint64)


BIN = {
    "values": np.zeros(ROWS, F4), "validity": None, "offset": 0, "edges": np.array([0, 1], F4), "codes": _codes(),
    "missing": _words(),
}  # fmt: skip
ENCODE = {
    "indices": np.zeros(ROWS, I4), "validity": None, "offset": 0, "table": np.array([1, 2], np.uint16),
    "codes": _codes(), "missing": _words(),
}  # fmt: skip
TALLY = {"codes": _codes(), "missing": None, "counts": np.zeros(4, np.int64)}
AFFINE = {"x": np.zeros(ROWS), "center": 0.0, "scale": 1.0, "out": np.zeros(ROWS)}
CLIP = {"x": np.zeros(ROWS), "low": 0.0, "high": 1.0, "out": np.zeros(ROWS)}
FILL = {"x": np.zeros(ROWS), "value": 0.0, "out": np.zeros(ROWS)}
SIGMOID = {"x": np.zeros(ROWS, F4), "out": np.zeros(ROWS, F4)}
LOOKUP = {
    "indices": np.zeros(ROWS, I4), "validity": None, "offset": 0, "table": np.zeros(3), "missing": 0.0,
    "out": np.zeros(ROWS),
}  # fmt: skip

BITMAP_SHORT = {"validity": np.zeros(12, np.uint8)}
BITMAP_FAR = {"validity": np.zeros(13, np.uint8), "offset": 5}
WORD_AT = {"missing": np.array([1, 0], np.uint64)}

# What is changed in a call that is right, and what is then said.
REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("bin", BIN, {"values": np.zeros(ROWS, np.float16)}, "values must have dtype float32, float64, int32 or int64"),
    ("bin", BIN, {"values": np.zeros(ROWS, ">f4")}, "values must have dtype float32"),
    ("bin", BIN, {"values": np.zeros((ROWS, 1), F4)}, "values must have one dimension"),
    ("bin", BIN, BITMAP_SHORT, "validity has 12 bytes, too few for 100 rows from bit 0"),
    ("bin", BIN, BITMAP_FAR, "validity has 13 bytes, too few for 100 rows from bit 5"),
    ("bin", BIN, {"validity": np.zeros(13, np.int8)}, "validity must have dtype uint8"),
    ("bin", BIN, {"validity": np.zeros(26, np.uint8)[::2]}, "validity must be contiguous"),
    ("bin", BIN, {"validity": [1, 2]}, "validity must be a NumPy array"),
    ("bin", BIN, {"validity": np.zeros(20, np.uint8), "offset": -1}, "validity has a negative bit offset"),
    ("bin", BIN, {"edges": np.array([1, 0], F4)}, "edges must ascend strictly, without NaN"),
    ("bin", BIN, {"edges": np.array([1, 1], F4)}, "edges must ascend strictly, without NaN"),
    ("bin", BIN, {"edges": np.array([0.0, -0.0], F4)}, "edges must ascend strictly, without NaN"),
    ("bin", BIN, {"edges": np.array([0, np.nan], F4)}, "edges must ascend strictly, without NaN"),
    ("bin", BIN, {"edges": np.array([np.nan], F4)}, "edges must not hold NaN"),
    ("bin", BIN, {"edges": np.array([0, 1], F8)}, "edges must have one dimension and the dtype of values"),
    ("bin", BIN, {"edges": np.zeros((2, 2), F4)}, "edges must have one dimension and the dtype of values"),
    ("bin", BIN, {"edges": np.arange(8, dtype=F4)[::2]}, "edges must be contiguous"),
    ("bin", BIN, {"edges": np.arange(65_536, dtype=F4)}, "edges must hold at most 65535 values"),
    ("bin", BIN, {"codes": _codes(ROWS - 1)}, "codes must have length 100, not 99"),
    ("bin", BIN, {"codes": _codes(dtype=np.uint16)}, "codes must have dtype uint8"),
    ("bin", BIN, {"edges": np.arange(300, dtype=F4)}, "codes must have dtype uint16"),
    ("bin", BIN, {"codes": _codes(2 * ROWS)[::2]}, "codes must be contiguous"),
    ("bin", BIN, {"codes": _read_only(_codes())}, "codes must be writeable"),
    ("bin", BIN, {"missing": _words(1)}, "missing must have length 2, not 1"),
    ("bin", BIN, {"missing": np.zeros(2, np.int64)}, "missing must have dtype uint64"),
    ("bin", BIN, {"missing": _read_only(_words())}, "missing must be writeable"),
    ("encode", ENCODE, {"indices": np.zeros(ROWS, np.int64)}, "indices must have dtype int32"),
    ("encode", ENCODE, {"indices": np.full(ROWS, 2, I4)}, "indices row 0: index 2 outside the table of 2"),
    ("encode", ENCODE, {"indices": np.full(ROWS, -1, I4)}, "indices row 0: index -1 outside the table of 2"),
    ("encode", ENCODE, {"table": np.zeros(0, np.uint16)}, "indices row 0: index 0 outside the table of 0"),
    ("encode", ENCODE, {"table": np.zeros(2, np.uint8)}, "table must have dtype uint16"),
    ("encode", ENCODE, {"table": np.array([1, 256], np.uint16)}, "codes must have dtype uint16: the table holds"),
    ("encode", ENCODE, {"codes": _read_only(_codes())}, "codes must be writeable"),
    ("encode", ENCODE, {"missing": _words(3)}, "missing must have length 2, not 3"),
    ("encode", ENCODE, BITMAP_FAR, "validity has 13 bytes, too few for 100 rows from bit 5"),
    ("tally", TALLY, {"codes": np.zeros(ROWS, np.int64)}, "codes must have dtype uint8, uint16 or int32"),
    ("tally", TALLY, {"codes": _codes(2 * ROWS)[::2]}, "codes must be contiguous"),
    ("tally", TALLY, {"codes": np.full(ROWS, 3, np.uint8)}, "codes holds a code that is not below 3"),
    ("tally", TALLY, {"codes": np.full(ROWS, -1, I4)}, "codes holds a code that is not below 3"),
    ("tally", TALLY, {"codes": np.full(ROWS, 3, I4), **WORD_AT}, "codes holds a code that is not below 3"),
    ("tally", TALLY, {"missing": _words(1)}, "missing must have length 2, not 1"),
    ("tally", TALLY, {"counts": np.zeros(4, I4)}, "counts must have dtype int64"),
    ("tally", TALLY, {"counts": np.zeros(0, np.int64)}, "counts must hold at least one slot, for missing rows"),
    ("tally", TALLY, {"counts": _read_only(np.zeros(4, np.int64))}, "counts must be writeable"),
    ("affine", AFFINE, {"x": np.zeros(ROWS, F4)}, "x must have dtype float64"),
    ("affine", AFFINE, {"x": [0.0]}, "x must be a NumPy array"),
    ("affine", AFFINE, {"x": np.zeros(2 * ROWS)[::2]}, "x must be contiguous"),
    ("affine", AFFINE, {"out": np.zeros(ROWS - 1)}, "out must have length 100, not 99"),
    ("affine", AFFINE, {"out": _read_only(np.zeros(ROWS))}, "out must be writeable"),
    ("clip", CLIP, {"low": 2.0}, "low must not exceed high"),
    ("clip", CLIP, {"low": float("nan")}, "low must not exceed high"),
    ("clip", CLIP, {"out": np.zeros((ROWS, 1))}, "out must have one dimension"),
    ("fill", FILL, {"out": np.zeros(ROWS, F4)}, "out must have dtype float64"),
    ("sigmoid", SIGMOID, {"x": np.zeros(ROWS)}, "x must have dtype float32"),
    ("sigmoid", SIGMOID, {"out": _read_only(np.zeros(ROWS, F4))}, "out must be writeable"),
    ("lookup", LOOKUP, {"indices": np.zeros(ROWS)}, "indices must have dtype int32"),
    ("lookup", LOOKUP, {"indices": np.array([0] * 99 + [3], I4)}, "indices has an index outside the table at row 99"),
    ("lookup", LOOKUP, {"indices": np.array([0, -1] * 50, I4)}, "indices has an index outside the table at row 1"),
    ("lookup", LOOKUP, {"table": np.zeros(3, F4)}, "table must have dtype float64"),
    ("lookup", LOOKUP, {"out": np.zeros(ROWS + 1)}, "out must have length 100, not 101"),
    ("lookup", LOOKUP, BITMAP_SHORT, "validity has 12 bytes, too few for 100 rows from bit 0"),
    ("lookup", LOOKUP, {"validity": np.zeros(20, np.uint8), "offset": -9}, "validity has a negative bit offset"),
]


@pytest.mark.parametrize(
    ("op", "right", "change", "text"), REFUSED, ids=[f"{op}-{'-'.join(c)}-{text}" for op, _, c, text in REFUSED]
)
def test_a_wrong_argument_is_refused_by_name(
    op: str, right: dict[str, Any], change: dict[str, Any], text: str, host: Backend
) -> None:
    with pytest.raises(KernelArgumentError) as refused:
        getattr(ops, op)(**{**right, **change}, backend=host)
    assert str(refused.value).startswith(f"{op}: {text}")


@pytest.mark.parametrize(
    ("op", "right"),
    [
        ("bin", BIN),
        ("encode", ENCODE),
        ("tally", TALLY),
        ("affine", AFFINE),
        ("clip", CLIP),
        ("fill", FILL),
        ("sigmoid", SIGMOID),
        ("lookup", LOOKUP),
    ],
)
def test_the_call_that_the_others_change_is_right(op: str, right: dict[str, Any], host: Backend) -> None:
    getattr(ops, op)(**right, backend=host)


@pytest.mark.parametrize("argument", ["values", "edges"])
def test_what_is_no_array_is_refused(argument: str, host: Backend) -> None:
    with pytest.raises(KernelArgumentError, match="^bin"):
        ops.bin(**{**BIN, argument: [1.0, 2.0]}, backend=host)


@pytest.mark.parametrize("offset", ["0", 0.5, None])
def test_an_offset_that_is_no_whole_number_is_refused(offset: Any, host: Backend) -> None:
    with pytest.raises(KernelArgumentError, match="^bin"):
        ops.bin(**{**BIN, "offset": offset}, backend=host)


# Column 0 has 10 codes, column 1 300; a tree of three inner nodes and a single leaf.
FOREST = ForestArrays(
    pred_column=np.array([0, 1], I4), pred_code=np.array([5, 0], I4), pred_set=np.array([-1, 0], I4),
    pred_missing=np.array([0, 1], np.uint8), sets=np.ones((1, 5), np.uint64), tree_start=np.array([0, 7, 8], np.int64),
    node_pred=np.array([0, 1, 0, -1, -1, -1, -1, -1], I4), node_left=np.array([1, 3, 5, 0, 0, 0, 0, 0], I4),
    node_right=np.array([2, 4, 6, 0, 0, 0, 0, 0], I4), node_value=np.arange(8, dtype=F4)[:, None],
    tree_output=np.zeros(2, I4), n_codes=np.array([10, 300], I4), n_outputs=1,
)  # fmt: skip


def _with(name: str, at: int, value: int) -> dict[str, np.ndarray]:
    changed = getattr(FOREST, name).copy()
    changed[at] = value
    return {name: changed}


VALUES = "must be a C-contiguous float32 or float64 array of a row for each node"
FORESTS: list[tuple[dict[str, Any], str]] = [
    (_with("pred_column", 1, 2), "predicate 1: column out of range"),
    (_with("pred_column", 0, -1), "predicate 0: column out of range"),
    (_with("pred_set", 1, 1), "predicate 1: set out of range"),
    (_with("pred_set", 0, -2), "predicate 0: set out of range"),
    (_with("pred_code", 0, 11), "predicate 0: code out of range"),
    (_with("pred_code", 0, -1), "predicate 0: code out of range"),
    ({"sets": np.ones((1, 4), np.uint64)}, "predicate 1: sets have too few words for the column's codes"),
    ({"sets": np.ones(5, np.uint64)}, "sets must be a C-contiguous uint64 array of two dimensions"),
    ({"sets": np.ones((5, 1), np.uint64).T[:, ::2]}, "sets must be a C-contiguous uint64 array of two dimensions"),
    (_with("n_codes", 0, 0), "n_codes of column 0 is not in 1..65536"),
    (_with("n_codes", 1, 65_537), "n_codes of column 1 is not in 1..65536"),
    (_with("node_pred", 1, 2), "tree 0, node 1: predicate out of range"),
    (_with("node_pred", 7, -2), "tree 1, node 0: predicate out of range"),
    (_with("node_left", 1, 7), "tree 0, node 1: child out of range"),
    (_with("node_right", 2, -1), "tree 0, node 2: child out of range"),
    (_with("node_left", 2, 0), "tree 0, node 2: child out of range"),
    (_with("node_left", 1, 1), "tree 0, node 1: child has two parents"),
    (_with("node_right", 2, 2), "tree 0, node 2: child has two parents"),
    (_with("node_left", 2, 3), "tree 0, node 2: child has two parents"),
    ({"tree_start": np.zeros(0, np.int64)}, "tree_start must hold at least one entry"),
    (_with("tree_start", 0, 1), "tree_start does not cover the nodes"),
    (_with("tree_start", 2, 9), "tree_start does not cover the nodes"),
    (_with("tree_start", 1, 8), "tree_start does not ascend"),
    (_with("tree_start", 1, 0), "tree_start does not ascend"),
    (_with("tree_start", 1, 2**62), "tree_start does not ascend"),
    (_with("tree_start", 1, -(2**62)), "tree_start does not ascend"),
    ({"tree_start": FOREST.tree_start.astype(I4)}, "tree_start must have dtype int64"),
    ({"node_value": np.zeros((8, 1), I4)}, f"node_value {VALUES}"),
    ({"node_value": np.zeros(8, F4)}, f"node_value {VALUES}"),
    ({"node_value": np.zeros((7, 1), F4)}, f"node_value {VALUES}"),
    ({"node_value": np.zeros((8, 4), F4)[:, ::2]}, f"node_value {VALUES}"),
    ({"node_value": np.zeros((8, 2), F4)}, "node_value must have 1 or n_outputs columns, not 2"),
    ({"n_outputs": 0}, "n_outputs must be at least 1"),
    (_with("tree_output", 1, 1), "tree 1: output out of range"),
    (_with("tree_output", 0, -1), "tree 0: output out of range"),
    ({"tree_output": np.zeros(3, I4)}, "tree_output must have length 2, not 3"),
    ({"node_value": np.zeros((8, 3), F4), "n_outputs": 3, "tree_output": np.array([0, 1], I4)},
     "tree 1: output out of range"),
    ({"node_left": np.zeros(9, I4)}, "node_left must have length 8, not 9"),
    ({"pred_code": np.zeros(3, I4)}, "pred_code must have length 2, not 3"),
    ({"pred_missing": np.zeros(2, bool)}, "pred_missing must have dtype uint8"),
    ({"n_codes": np.array([10, 0, 300], I4)[::2]}, "n_codes must be contiguous"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), FORESTS, ids=[f"{'-'.join(c)}-{text}" for c, text in FORESTS])
def test_a_forest_that_points_outside_is_refused(change: dict[str, Any], text: str, host: Backend) -> None:
    with pytest.raises(KernelArgumentError) as refused:
        ops.prepare(replace(FOREST, **change), backend=host)
    assert str(refused.value) == f"Forest: {text}"


EXPLAINED = ExplainerArrays(
    FOREST, np.array([0, 1, 1, -1, -1, -1, -1, -1], I4), np.array([8, 6, 2, 3, 3, 1, 1, 0.0]), 2
)


def _explained(name: str, at: int, value: float) -> dict[str, np.ndarray]:
    changed = getattr(EXPLAINED, name).copy()
    changed[at] = value
    return {name: changed}


VECTORS = replace(FOREST, node_value=np.zeros((8, 2), F4), n_outputs=2)
EXPLAINERS: list[tuple[dict[str, Any], str]] = [
    (_explained("node_feature", 1, 2), "tree 0, node 1: feature out of range"),
    (_explained("node_feature", 2, -1), "tree 0, node 2: feature out of range"),
    (_explained("node_cover", 0, 0), "tree 0, node 0: cover of a node that splits must be above 0"),
    (_explained("node_cover", 4, -1), "tree 0, node 4: cover is not a weight"),
    (_explained("node_cover", 7, np.nan), "tree 1, node 0: cover is not a weight"),
    (_explained("node_cover", 2, np.inf), "tree 0, node 2: cover is not a weight"),
    ({"n_features": 1}, "tree 0, node 1: feature out of range"),
    ({"n_features": -1}, "n_features must not be negative"),
    ({"node_cover": EXPLAINED.node_cover.astype(F4)}, "node_cover must have dtype float64"),
    ({"node_cover": np.ones(9)}, "node_cover must have length 8, not 9"),
    ({"node_feature": np.zeros(16, I4)[::2]}, "node_feature must be contiguous"),
    ({"forest": VECTORS}, "node_value must have 1 column: vector leaves are not explained"),
    ({"forest": replace(FOREST, **_with("node_left", 1, 1))}, "Forest: tree 0, node 1: child has two parents"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), EXPLAINERS, ids=[f"{'-'.join(c)}-{text}" for c, text in EXPLAINERS])
def test_an_explainer_without_weights_or_features_is_refused(change: dict[str, Any], text: str, host: Backend) -> None:
    ops.prepare(EXPLAINED, backend=host)
    with pytest.raises(KernelArgumentError) as refused:
        ops.prepare(replace(EXPLAINED, **change), backend=host)
    assert str(refused.value) == f"Explainer: {text}"


def _coded(**change: Any) -> dict[str, Any]:
    right = {"codes": [_codes(), _codes(dtype=np.uint16)], "missing": [None, _words()], "threads": 1}
    return {**right, **change}


def _above(code: int, row: int) -> np.ndarray:
    codes = _codes()
    codes[row] = code
    return codes


CODED: list[tuple[dict[str, Any], str]] = [
    (_coded(codes=[_codes()]), "codes must have 2 entries, not 1"),
    (_coded(missing=[None] * 3), "missing must have 2 entries, not 3"),
    (_coded(codes=[_codes(), _codes()]), "column 1: codes must have dtype uint16"),
    (_coded(codes=[_codes(99), _codes(dtype=np.uint16)]), "column 0: codes must have length 100, not 99"),
    (_coded(codes=[None, _codes(dtype=np.uint16)]), "column 0: codes must be a NumPy array"),
    (_coded(codes=[_above(10, 70), _codes(dtype=np.uint16)]), "codes column 0, row 70: code 10 is not below 10"),
    (_coded(missing=[None, _words(1)]), "column 1: missing must have length 2, not 1"),
    (_coded(missing=[np.zeros(2, np.int64), None]), "column 0: missing must have dtype uint64"),
    (_coded(threads=0), "threads must be at least 1"),
]


@pytest.mark.parametrize(("arguments", "text"), CODED, ids=[text for _, text in CODED])
@pytest.mark.parametrize("op", ["forest", "leaves", "explain"])
def test_coded_columns_that_do_not_fit_the_forest_are_refused(
    op: str, arguments: dict[str, Any], text: str, host: Backend
) -> None:
    out = {"forest": np.zeros((ROWS, 1), F4), "leaves": np.zeros((ROWS, 2), I4), "explain": np.zeros((ROWS, 1, 3))}[op]
    handle = ops.prepare(EXPLAINED if op == "explain" else FOREST, backend=host)
    with pytest.raises(KernelArgumentError) as refused:
        getattr(ops, op)(handle, **arguments, out=out, backend=host)
    assert str(refused.value) == f"{op}: {text}"


MARGINS = "must be a writeable C-contiguous float32 array of shape (rows, 1)"
SHAP = "must be a writeable C-contiguous float64 array of shape (rows, 1, 3)"
OUTPUTS: list[tuple[str, Any, str]] = [
    ("forest", np.zeros((ROWS, 1)), f"out {MARGINS}"),
    ("forest", np.zeros(ROWS, F4), f"out {MARGINS}"),
    ("forest", np.zeros((ROWS, 2), F4), f"out {MARGINS}"),
    ("forest", np.zeros((ROWS, 2), F4)[:, :1], f"out {MARGINS}"),
    ("forest", _read_only(np.zeros((ROWS, 1), F4)), f"out {MARGINS}"),
    ("leaves", np.zeros((ROWS, 3), I4), "out must be a writeable C-contiguous int32 array of shape (rows, 2)"),
    ("leaves", np.zeros((2, ROWS), I4).T, "out must be a writeable C-contiguous int32 array of shape (rows, 2)"),
    ("leaves", _read_only(np.zeros((ROWS, 2), I4)), "out must be a writeable C-contiguous int32 array of shape (rows, 2)"),
    ("explain", np.zeros((ROWS, 1, 3), F4), f"out {SHAP}"),
    ("explain", np.zeros((ROWS, 3)), f"out {SHAP}"),
    ("explain", np.zeros((ROWS, 1, 2)), f"out {SHAP}"),
    ("explain", np.zeros((ROWS, 1, 4))[:, :, :3], f"out {SHAP}"),
    ("explain", _read_only(np.zeros((ROWS, 1, 3))), f"out {SHAP}"),
    ("leaves", np.zeros((ROWS, 2), F4), "out must be a writeable C-contiguous int32 array of shape (rows, 2)"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "out", "text"), OUTPUTS)
def test_an_output_that_cannot_take_the_results_is_refused(op: str, out: Any, text: str, host: Backend) -> None:
    handle = ops.prepare(EXPLAINED if op == "explain" else FOREST, backend=host)
    with pytest.raises(KernelArgumentError) as refused:
        getattr(ops, op)(handle, **_coded(), out=out, backend=host)
    assert str(refused.value) == f"{op}: {text}"


NUMBERS = (np.zeros(ROWS, F4), None, 0, np.arange(9, dtype=F4))
STRINGS = (np.zeros(ROWS, I4), None, 0, np.array([7, 299], np.uint16))


def _raw(column: int, *values: Any) -> list[Any]:
    columns: list[Any] = [NUMBERS, STRINGS]
    given = list(columns[column])
    for at, value in zip(values[::2], values[1::2], strict=True):
        given[at] = value
    columns[column] = tuple(given)
    return columns


SCORED: list[tuple[dict[str, Any], str]] = [
    ({"columns": [NUMBERS]}, "columns must have 2 entries, not 1"),
    ({"columns": [NUMBERS[:3], STRINGS]}, "column 0: columns must be (values, validity, offset, edges or table)"),
    ({"columns": _raw(0, 0, np.zeros(99, F4))}, "column 0: columns must have 100 rows, not 99"),
    ({"columns": _raw(0, 0, np.zeros(ROWS, np.int16))}, "column 0: values must have dtype float32, float64, int32 or int64"),
    ({"columns": _raw(0, 1, np.zeros(12, np.uint8))}, "column 0: validity has 12 bytes, too few for 100 rows from bit 0"),
    ({"columns": _raw(0, 1, np.zeros(20, np.uint8), 2, -1)}, "column 0: validity has a negative bit offset"),
    ({"columns": _raw(0, 1, np.zeros(20, np.uint8), 2, 2**63 - 1)},
     "column 0: validity has 20 bytes, too few for 100 rows from bit 9223372036854775807"),
    ({"columns": _raw(0, 2, None)}, "column 0: columns must be (values, validity, offset, edges or table)"),
    ({"columns": _raw(0, 2, 0.5)}, "column 0: columns must be (values, validity, offset, edges or table)"),
    ({"columns": _raw(0, 2, 2**64)}, "column 0: columns must be (values, validity, offset, edges or table)"),
    ({"columns": [None, STRINGS]}, "column 0: columns must be (values, validity, offset, edges or table)"),
    ({"columns": _raw(0, 3, np.arange(8, dtype=F4))}, "column 0: edges must hold 9 values, not 8"),
    ({"columns": _raw(0, 3, np.arange(9, dtype=F4)[::-1].copy())}, "column 0: edges must ascend strictly, without NaN"),
    ({"columns": _raw(0, 3, np.arange(9))}, "column 0: edges must have one dimension and the dtype of values"),
    ({"columns": _raw(1, 0, np.zeros(ROWS, F4))}, "column 1: columns must have int32 indices beside a table"),
    ({"columns": _raw(1, 3, np.array([7, 300], np.uint16))}, "column 1: table holds a code that is not below 300"),
    ({"columns": _raw(1, 0, np.full(ROWS, 2, I4))}, "column 1: indices row 0: index 2 outside the table of 2"),
    ({"counts": [None]}, "counts must have 2 entries, not 1"),
    ({"counts": [np.zeros(10, np.int64), None]}, "column 0: counts must have length 11, not 10"),
    ({"counts": [None, np.zeros(4, np.int64)]}, "column 1: counts must have length 3, not 4"),
    ({"counts": [None, np.zeros(3, F8)]}, "column 1: counts must have dtype int64"),
    ({"counts": [_read_only(np.zeros(11, np.int64)), None]}, "column 0: counts must be writeable"),
    ({"out": np.zeros((ROWS, 1))}, f"out {MARGINS}"),
    ({"threads": 0}, "threads must be at least 1"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), SCORED, ids=[text for _, text in SCORED])
def test_raw_columns_that_do_not_fit_the_forest_are_refused(change: dict[str, Any], text: str, host: Backend) -> None:
    right: dict[str, Any] = {
        "columns": [NUMBERS, STRINGS],
        "out": np.zeros((ROWS, 1), F4),
        "counts": None,
        "threads": 1,
    }
    handle = ops.prepare(FOREST, backend=host)
    ops.score(handle, **right, backend=host)
    with pytest.raises(KernelArgumentError) as refused:
        ops.score(handle, **{**right, **change}, backend=host)
    assert str(refused.value) == f"score: {text}"


def test_a_refused_column_leaves_the_counts_as_they_were(host: Backend) -> None:
    counts = [np.zeros(11, np.int64), np.zeros(3, np.int64)]
    handle = ops.prepare(FOREST, backend=host)
    with pytest.raises(KernelArgumentError, match="outside the table"):
        ops.score(handle, _raw(1, 0, np.full(ROWS, 2, I4)), np.zeros((ROWS, 1), F4), counts, backend=host)
    assert not counts[0].any()
    assert not counts[1].any()


@pytest.mark.parametrize(("op", "right"), [("bin", BIN), ("encode", ENCODE), ("lookup", LOOKUP)])
def test_a_bit_offset_at_the_end_of_the_numbers_is_refused(op: str, right: dict[str, Any], host: Backend) -> None:
    far = {"validity": np.zeros(20, np.uint8), "offset": 2**63 - 1}
    with pytest.raises(
        KernelArgumentError, match="validity has 20 bytes, too few for 100 rows from bit 92233720368547758"
    ):
        getattr(ops, op)(**{**right, **far}, backend=host)


@pytest.mark.parametrize("edges", [255, 400])
def test_codes_written_over_the_edges_harm_nothing(edges: int, host: Backend) -> None:
    """What the output overwrites was copied before."""
    given = (np.arange(edges) * 4).astype(I4)
    top = 4 * (edges - 1)
    codes = given.view(np.uint8 if edges == 255 else np.uint16)[: 2 * edges]
    ops.bin(
        np.full(2 * edges, top, I4), None, 0, given, codes, np.zeros((2 * edges + 63) // 64, np.uint64), backend=host
    )
    assert (codes == edges).all()


@pytest.mark.parametrize("handle", [None, 7, object()])
@pytest.mark.parametrize("call", [ops.forest, ops.leaves, ops.explain])
def test_what_is_no_handle_is_refused(call: Callable[..., None], handle: Any, host: Backend) -> None:
    with pytest.raises(KernelArgumentError):
        call(handle, **_coded(), out=np.zeros((ROWS, 1), F4), backend=host)


def test_a_handle_of_another_backend_is_refused(backends_here: dict[str, Backend]) -> None:
    for mine, other in (("cpu", "numba"), ("numba", "cpu")):
        handle = ops.prepare(FOREST, backend=backends_here[mine])
        with pytest.raises(KernelArgumentError):
            ops.forest(handle, **_coded(), out=np.zeros((ROWS, 1), F4), backend=backends_here[other])


def test_a_forest_does_not_explain_and_an_explainer_does_not_score(host: Backend) -> None:
    with pytest.raises(KernelArgumentError, match="^explain"):
        ops.explain(ops.prepare(FOREST, backend=host), **_coded(), out=np.zeros((ROWS, 1, 3)), backend=host)
    with pytest.raises(KernelArgumentError, match="^forest"):
        ops.forest(ops.prepare(EXPLAINED, backend=host), **_coded(), out=np.zeros((ROWS, 1), F4), backend=host)
