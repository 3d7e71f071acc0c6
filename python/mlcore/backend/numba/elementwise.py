"""Elementwise arithmetic and lookups: the twin of csrc/cpu/elementwise.cpp, of csrc/ops/elementwise.h's formulas."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlcore.backend.numba import checks
from mlcore.backend.numba.columns import nulls
from mlcore.backend.numba.jit import jit

Array = np.ndarray[Any, Any]


def affine(x: Any, center: float, scale: float, out: Any) -> None:
    """Write (x - center) / scale; see mlcore.ops.affine."""
    values, target = _vectors(x, out, "affine", np.float64)
    _affine(values, float(center), float(scale), target)


def clip(x: Any, low: float, high: float, out: Any) -> None:
    """Write x limited to [low, high]; see mlcore.ops.clip."""
    values, target = _vectors(x, out, "clip", np.float64)
    if not low <= high:
        checks.refuse(("clip", "low"), "must not exceed high")
    _clip(values, float(low), float(high), target)


def fill(x: Any, value: float, out: Any) -> None:
    """Write x with NaN replaced; see mlcore.ops.fill."""
    values, target = _vectors(x, out, "fill", np.float64)
    _fill(values, float(value), target)


def sigmoid(x: Any, out: Any) -> None:
    """Write XGBoost's logistic of x; see mlcore.ops.sigmoid."""
    values, target = _vectors(x, out, "sigmoid", np.float32)
    _sigmoid(values, target)


def lookup(indices: Any, validity: Any, offset: Any, table: Any, missing: float, out: Any) -> None:
    """Write the table's value of each index; see mlcore.ops.lookup."""
    array, bits, first_bit = checks.column(indices, validity, offset, "lookup")
    if array.dtype != np.int32:
        checks.refuse(("lookup", "indices"), "must have dtype int32")
    entries = checks.contiguous(table, np.float64, ("lookup", "table"))
    target = checks.output(out, np.float64, ("lookup", "out"), len(array))
    validity_bits, bit = nulls(bits, first_bit, 0, len(array))
    bad = _lookup(np.array(array), validity_bits, bit, np.array(entries), float(missing), target)
    if bad >= 0:
        checks.refuse(("lookup", "indices"), f"has an index outside the table at row {bad}")


def _vectors(x: Any, out: Any, op: str, dtype: Any) -> tuple[Array, Array]:
    values = checks.contiguous(x, dtype, (op, "x"))
    target = checks.output(out, dtype, (op, "out"), len(values))
    # Numba compiles anew for arrays that cannot be written; one kernel serves both. `out` may be `x` itself.
    return values if values.flags.writeable else np.array(values), target


@jit
def _affine(x: Any, center: float, scale: float, out: Any) -> None:
    for i in range(len(x)):
        out[i] = (x[i] - center) / scale


@jit
def _clip(x: Any, low: float, high: float, out: Any) -> None:
    for i in range(len(x)):
        value = x[i]
        if value < low:
            value = low
        elif value > high:
            value = high
        out[i] = value


@jit
def _fill(x: Any, value: float, out: Any) -> None:
    for i in range(len(x)):
        out[i] = x[i] if x[i] == x[i] else value


@jit
def _lookup(indices: Any, bits: Any, offset: int, table: Any, missing: float, out: Any) -> int:
    for i in range(len(indices)):
        bit = offset + i
        if len(bits) > 0 and (bits[bit >> 3] >> (bit & 7)) & 1 == 0:
            out[i] = missing
        elif indices[i] < 0 or indices[i] >= len(table):
            return i
        else:
            out[i] = table[indices[i]]
    return -1


_LOG2_E: Final = np.float32(1.44269504088896341)
_ROUND: Final = np.float32(12582912.0)  # 1.5 * 2^23 rounds to the nearest integer
_LN2_HIGH: Final = np.float32(0.693359375)
_LN2_LOW: Final = np.float32(-2.12194440e-4)
_P0: Final = np.float32(1.9875691500e-4)
_P1: Final = np.float32(1.3981999507e-3)
_P2: Final = np.float32(8.3334519073e-3)
_P3: Final = np.float32(4.1665795894e-2)
_P4: Final = np.float32(1.6666665459e-1)
_P5: Final = np.float32(5.0000001201e-1)
_ONE: Final = np.float32(1)
_TINY: Final = np.float32(1e-16)
_LOW: Final = np.float32(-103.0)  # e^-103 adds nothing to 1
_HIGH: Final = np.float32(88.7)


@jit
def _exp(x: Any) -> Any:
    """e^x in float32 for |x| < 104, every step rounded: csrc/ops/elementwise.h's exp_one."""
    k = (x * _LOG2_E + _ROUND) - _ROUND
    r = x - k * _LN2_HIGH
    r = r - k * _LN2_LOW
    p = _P0 * r + _P1
    p = p * r + _P2
    p = p * r + _P3
    p = p * r + _P4
    p = p * r + _P5
    p = p * (r * r) + r
    p = p + _ONE
    # Two factors, so that 2^k neither overflows nor becomes subnormal before the product does.
    whole = np.int32(k)
    half = np.int32(whole >> 1)
    first = np.int32((half + 127) << 23).view(np.float32)
    second = np.int32((whole - half + 127) << 23).view(np.float32)
    return p * first * second


@jit
def _sigmoid(x: Any, out: Any) -> None:
    for i in range(len(x)):
        z = min(max(-x[i], _LOW), _HIGH)
        out[i] = _ONE / (_exp(z) + _ONE + _TINY) if x[i] == x[i] else x[i]
