"""Arguments are checked before any kernel runs, as csrc/bind/checks.h does: wrong types are refused, never cast."""

from __future__ import annotations

import operator
from typing import Any, NoReturn

import numpy as np

Array = np.ndarray[Any, Any]
Where = tuple[str, str]  # op, argument
NUMERIC = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int32), np.dtype(np.int64))


def refuse(where: Where, what: str) -> NoReturn:
    """Raise ValueError naming the op and the argument."""
    raise ValueError(f"{where[0]}: {where[1]} {what}")


def as_array(value: Any, where: Where) -> Array:
    """Return `value`, which must be a NumPy array."""
    if not isinstance(value, np.ndarray):
        refuse(where, "must be a NumPy array")
    return value


def contiguous(value: Any, dtype: Any, where: Where, length: int | None = None) -> Array:
    """Return `value`, a contiguous vector of exactly this type; `length` None takes any."""
    array = as_array(value, where)
    if array.dtype != dtype:
        refuse(where, f"must have dtype {np.dtype(dtype)}")
    if array.ndim != 1:
        refuse(where, "must have one dimension")
    if len(array) > 1 and array.strides[0] != array.itemsize:
        refuse(where, "must be contiguous")
    if length is not None and len(array) != length:
        refuse(where, f"must have length {length}, not {len(array)}")
    return array


def output(value: Any, dtype: Any, where: Where, length: int | None = None) -> Array:
    """Return `value`, a contiguous vector that can be written."""
    array = contiguous(value, dtype, where, length)
    if not array.flags.writeable:
        refuse(where, "must be writeable")
    return array


def codes_output(value: Any, wide: bool, rows: int, where: Where) -> Array:
    """Return `value`, codes of `rows` rows that can be written."""
    return output(value, np.uint16 if wide else np.uint8, where, rows)


def numeric(array: Array, where: Where) -> None:
    """Refuse a dtype that is no column's."""
    if array.dtype not in NUMERIC:
        refuse(where, "must have dtype float32, float64, int32 or int64")


def column(values: Any, validity: Any, offset: Any, op: str, prefix: str = "") -> tuple[Array, Array | None, int]:
    """Return a raw column: values of any stride, and the bitmap that has a bit for each of them."""
    where = (op, prefix + "values")
    array = as_array(values, where)
    if array.ndim != 1:
        refuse(where, "must have one dimension")
    numeric(array, where)
    first = operator.index(offset)
    where = (op, prefix + "validity")
    if validity is None:
        return array, None, 0
    bits = contiguous(validity, np.uint8, where)
    if first < 0:
        refuse(where, "has a negative bit offset")
    rows = len(array)
    if rows > 0 and (first + rows + 7) // 8 > len(bits):
        refuse(where, f"has {len(bits)} bytes, too few for {rows} rows from bit {first}")
    return array, bits, first


def edges(values: Array, given: Any, where: Where) -> Array:
    """Return the edges of a numeric column: its dtype, ascending, free of NaN."""
    array = as_array(given, where)
    if array.ndim != 1:
        refuse(where, "must have one dimension and the dtype of values")
    numeric(array, where)
    if array.dtype != values.dtype:
        refuse(where, "must have one dimension and the dtype of values")
    if len(array) > 1 and array.strides[0] != array.itemsize:
        refuse(where, "must be contiguous")
    if len(array) > 65535:
        refuse(where, "must hold at most 65535 values")
    if len(array) and array[0] != array[0]:
        refuse(where, "must not hold NaN")
    if not (array[:-1] < array[1:]).all():
        refuse(where, "must ascend strictly, without NaN")
    return array


def threads(value: Any, op: str) -> int:
    """Return the number of threads, at least 1."""
    count = operator.index(value)
    if count < 1:
        refuse((op, "threads"), "must be at least 1")
    return count


def words_for(rows: int) -> int:
    """Return how many 64-bit words hold a bit for each row."""
    return (rows + 63) // 64
