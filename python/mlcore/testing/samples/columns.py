"""Samples of bin and encode: raw columns and what turns them into codes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from mlcore.testing.samples.arrays import MANY, SIZES, Array, Out, awkward, bitmap, edges, numbers, strided, words

Arguments = tuple[Any, ...]
DTYPES: Final = ("float32", "float64", "int32", "int64")
# Codes are uint16 above 255 edges.
EDGE_COUNTS: Final = (0, 1, 6, 7, 12, 13, 15, 16, 17, 62, 63, 64, 254, 255, 256, 4095, 4096, 5000, 65535)
OFFSETS: Final = (0, 1, 7, 8, 13, 64)


def _with_outputs(values: Array, validity: Array | None, offset: int, given: Array) -> Arguments:
    rows = len(values)
    codes = Out("uint16" if len(given) > 255 else "uint8", (rows,))
    return values, validity, offset, given, codes, words(rows)


def bin_arguments(
    *, dtype: str = "float32", rows: int = 700, count: int = 40, step: int = 1, offset: int | None = None,
    share: float = 0.2,
) -> Arguments:  # fmt: skip
    """The arguments of a call of bin."""
    rng = np.random.default_rng(1)
    values = strided(numbers(rng, dtype, rows), step)
    validity = None if offset is None else bitmap(rng, rows, offset, share)
    return _with_outputs(values, validity, offset or 0, edges(rng, dtype, count))


def _bin_awkward(dtype: str) -> Arguments:
    values = awkward(np.dtype(dtype).type)
    given = np.unique(values[~np.isnan(values)])  # both zeros are one edge
    return _with_outputs(values, None, 0, given)


def _bin_about_edges(dtype: str, count: int) -> Arguments:
    given = edges(np.random.default_rng(2), dtype, count)
    if given.dtype.kind == "f":
        near = [np.nextafter(given, given.dtype.type(-np.inf)), given, np.nextafter(given, given.dtype.type(np.inf))]
    else:
        near = [given - 1, given, given + 1]
    return _with_outputs(np.stack(near, axis=1).ravel(), None, 0, given)


def _bin_limits(dtype: str, *inner: int) -> Arguments:
    """Few edges, some of them the type's own limits unless there are others, and values at the limits."""
    info = np.iinfo(dtype)
    given = np.array(inner or [info.min, -1, 0, info.max], dtype)
    return _with_outputs(
        np.array([info.min, info.min + 1, -1, 0, 1, info.max - 1, info.max] * 4, dtype), None, 0, given
    )


def _bin_dense(dtype: str, place: str, span: int, count: int) -> Arguments:
    """Integer edges close together, more rows than integers between them: a table of all of them pays."""
    info, rng = np.iinfo(dtype), np.random.default_rng(5)
    first = {"lowest": info.min, "about 0": -(span // 2), "highest": info.max - span}[place]
    inner = rng.choice(np.arange(1, span), min(count, span + 1) - 2, replace=False) if span > 1 else np.zeros(0, int)
    given = np.unique(np.concatenate([[0], inner, [span]])).astype(dtype) + np.dtype(dtype).type(first)
    rows = 2 * span + 700
    values = rng.integers(max(info.min, first - 9), min(info.max, first + span + 9), rows, dtype, endpoint=True)
    values[:4] = [info.min, info.max, given[0], given[-1]]
    return _with_outputs(values, bitmap(rng, rows, 3, 0.1), 3, given)


SPREADS: Final = (
    "even", "in pairs", "over magnitudes", "one far from the rest", "in heaps", "in one heap", "half in a heap",
    "next to each other", "as wide as the line", "about zero", "instants",
)  # fmt: skip


def _spread(spread: str, count: int, dtype: str) -> Array:
    """Where `count` edges or fewer lie, for each of SPREADS."""
    rng, kind = np.random.default_rng(6), np.dtype(dtype).kind
    if spread == "as wide as the line" and kind == "i":
        info = np.iinfo(dtype)
        whole = [info.min + (info.max - info.min) * i // (count - 1) for i in range(count)]
        return np.array([info.min, info.min + 1, *whole[2:]], dtype)  # two together, and the highest value of all
    if spread == "instants" and kind == "i":  # nanoseconds since 1970, which no double tells apart
        return np.iinfo(dtype).max // 5 * 4 + 50 * np.arange(count, dtype=dtype)
    if spread == "instants":
        return (1.7e9 + 50 * np.arange(count)).astype(dtype)
    if spread == "next to each other" and kind == "f":  # the floats from 1000 on
        bits = np.full(count, 1000, dtype).view(f"i{np.dtype(dtype).itemsize}") + np.arange(count)
        return bits.view(dtype)
    top = float(np.finfo(dtype).max) if kind == "f" else 2.0 ** (np.iinfo(dtype).bits - 2)
    least = float(np.finfo(dtype).smallest_subnormal) if kind == "f" else 1.0
    unit = 1.0 if kind == "f" else top / 1e4
    even = (np.arange(count) + rng.random(count)) / count
    half = count // 2
    raw: Array = {
        "even": unit * (1000 * even - 300),
        "in pairs": unit * np.repeat(even[::2], 2)[:count] * 1000,
        "over magnitudes": np.geomspace(1, min(top / 4, 1e30), count) * rng.choice([-1, 1], count),
        "one far from the rest": unit * np.append(even[1:], -999.0),
        "in heaps": unit * (np.exp(9 * even) + rng.choice([0, 0, 50, -1000], count) + 1e-4 * even),
        "in one heap": np.concatenate([[-top / 2], np.arange(count - 2) + 5.0, [top / 2]]),
        "half in a heap": unit * np.append(np.geomspace(1e-9, 1e9, half), 1000 + np.arange(half) * 0.0007),
        "next to each other": 1000.0 + np.arange(count),
        "as wide as the line": np.linspace(-0.999, 0.999, count) * top,
        "about zero": np.append((np.arange(count - 2) - half) * 10, [-1, 1 - (1 << (10 * half).bit_length())]) * least,
    }[spread]
    found: Array = raw.clip(-top, top).astype(dtype)
    if spread == "in pairs":
        found[1::2] = found[1::2] + 1 if kind == "i" else np.nextafter(found[1::2], np.dtype(dtype).type(np.inf))
    return found


def _bin_spread(dtype: str, spread: str, count: int, rows: int, nulls: bool) -> Arguments:
    """Edges, what is next to each of them, the ends of the line and both zeros, so often that `rows` are full."""
    type_ = np.dtype(dtype).type
    given = np.unique(_spread(spread, count, dtype))
    if np.dtype(dtype).kind == "f":
        near = [np.nextafter(given, type_(-np.inf)), np.nextafter(given, type_(np.inf))]
        ends = np.array([-np.inf, np.inf, np.nan, -np.nan, 0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny], dtype)
    else:
        near, ends = [given - 1, given + 1], np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0], dtype)
    rng = np.random.default_rng(7)
    values = rng.permutation(np.resize(np.concatenate([ends, given, *near]), rows))
    values[: len(ends)] = ends
    return _with_outputs(values, bitmap(rng, rows, 3, 0.1) if nulls else None, 3 if nulls else 0, given)


def _bin_closer_than_floats(count: int) -> Arguments:
    """Doubles of which `count` round to one float each, on either side of it, and some that no float holds."""
    steps = (np.arange(count) - count // 2) * 1e-10
    inner = (np.linspace(-2, 2, 40)[:, None] * (1 + steps)).ravel()
    given = np.unique(np.concatenate([[-1e300], inner, [1e300, 2e300]]))
    with np.errstate(over="ignore"):
        rounded = given.astype(np.float32).astype(np.float64)
    near = [np.nextafter(given, -np.inf), given, np.nextafter(given, np.inf), rounded]
    return _with_outputs(np.resize(np.append(np.stack(near, axis=1).ravel(), np.nan), 40000), None, 0, given)


def _bin_infinite_edges(dtype: str) -> Arguments:
    given = np.array([-np.inf, *np.linspace(-5, 5, 40), np.inf], dtype)
    return _with_outputs(np.resize(np.append(given, np.nan).astype(dtype), 9000), None, 0, given)


def _bin_column_of_matrix() -> Arguments:
    rng = np.random.default_rng(3)
    matrix = numbers(rng, "float32", 5 * 600).reshape(600, 5)
    matrix.flags.writeable = False
    return _with_outputs(matrix[:, 2], None, 0, edges(rng, "float32", 100))


BIN: Final[dict[str, Callable[[], Arguments]]] = {
    **{f"{rows} rows": partial(bin_arguments, rows=rows, offset=3) for rows in (*SIZES, MANY)},
    **{
        f"{dtype}, {rows} rows": partial(bin_arguments, dtype=dtype, rows=rows)
        for dtype in DTYPES
        for rows in (0, 65, 3000)
    },
    **{
        f"{dtype}, {count} edges": partial(bin_arguments, dtype=dtype, count=count)
        for dtype in DTYPES
        for count in EDGE_COUNTS
    },
    **{
        f"{dtype}, about {count} edges": partial(_bin_about_edges, dtype, count)
        for dtype in DTYPES
        for count in (16, 255, 300)
    },
    **{
        f"{dtype}, every {step}": partial(bin_arguments, dtype=dtype, step=step)
        for dtype in DTYPES
        for step in (3, -1, -2)
    },
    **{f"nulls from bit {offset}": partial(bin_arguments, offset=offset) for offset in OFFSETS},
    **{f"{dtype}, all null": partial(bin_arguments, dtype=dtype, offset=5, share=1.0) for dtype in DTYPES},
    **{f"{dtype}, awkward": partial(_bin_awkward, dtype) for dtype in ("float32", "float64")},
    **{
        f"{dtype}, dense, {place}, span {span}, {count} edges": partial(_bin_dense, dtype, place, span, count)
        for dtype in ("int32", "int64")
        for place in ("lowest", "about 0", "highest")
        for span, count in ((0, 1), (1, 2), (60, 40), (4000, 255), (4000, 300), (16383, 200), (16384, 200))
    },
    **{
        f"{dtype}, {count} edges {spread}, {rows} rows": partial(_bin_spread, dtype, spread, count, rows, nulls)
        for dtype in DTYPES
        for spread in SPREADS
        for count, rows, nulls in (
            (20, 1030, False),
            (100, 9000, True),
            (200, 701, True),
            (200, 9000, False),
            (1500, 20000, True),
        )
    },
    **{
        f"{dtype}, 1500 edges {spread}, without nulls": partial(_bin_spread, dtype, spread, 1500, 100000, False)
        for dtype in DTYPES
        for spread in ("over magnitudes", "in heaps", "half in a heap")
    },
    **{
        f"{dtype}, 20000 edges {spread}": partial(_bin_spread, dtype, spread, 20000, 140000, False)
        for dtype in ("float32", "float64")
        for spread in ("even", "over magnitudes", "in heaps")
    },
    **{
        f"{dtype}, 40000 edges {spread}": partial(_bin_spread, dtype, spread, 40000, rows, False)
        for dtype, spread, rows in (
            ("float32", "next to each other", 600000),
            ("float64", "next to each other", 140000),
            ("int64", "instants", 140000),
        )
    },
    **{f"float64, {count} edges a float": partial(_bin_closer_than_floats, count) for count in (2, 4, 5)},
    **{f"{dtype}, infinite edges": partial(_bin_infinite_edges, dtype) for dtype in ("float32", "float64")},
    **{f"{dtype}, limits": partial(_bin_limits, dtype) for dtype in ("int32", "int64")},
    **{
        f"{dtype}, limits beyond the edges": partial(_bin_limits, dtype, -(10**6), 5, 10**6)
        for dtype in ("int32", "int64")
    },
    "a column of a read-only matrix": _bin_column_of_matrix,
}


def encode_arguments(
    *, rows: int = 700, entries: int = 30, most: int = 255, wide: bool = False, step: int = 1,
    offset: int | None = None, share: float = 0.2,
) -> Arguments:  # fmt: skip
    """The arguments of a call of encode; the indices of null rows lie outside the table."""
    rng = np.random.default_rng(4)
    indices = rng.integers(0, max(1, entries), rows).astype(np.int32)
    validity = None
    if offset is not None:
        validity = bitmap(rng, rows, offset, share)
        valid = np.unpackbits(validity, bitorder="little")[offset : offset + rows].astype(bool)
        indices[~valid] = rng.choice([-(2**31), -1, 2**31 - 1], (~valid).sum())  # of a null, any index will do
    table = rng.integers(0, most + 1, entries).astype(np.uint16)
    codes = Out("uint16" if wide else "uint8", (rows,))
    return strided(indices, step), validity, offset or 0, table, codes, words(rows)


ENCODE: Final[dict[str, Callable[[], Arguments]]] = {
    **{f"{rows} rows": partial(encode_arguments, rows=rows, offset=3) for rows in (*SIZES, MANY)},
    **{f"{rows} rows, none null": partial(encode_arguments, rows=rows) for rows in (0, 1, 64, 513)},
    **{f"every {step}": partial(encode_arguments, step=step, offset=9) for step in (3, -1, -2)},
    **{f"nulls from bit {offset}": partial(encode_arguments, offset=offset) for offset in OFFSETS},
    "two bytes a code": partial(encode_arguments, entries=5000, most=65535, wide=True, offset=1),
    "two bytes for small codes": partial(encode_arguments, wide=True),
    "one entry": partial(encode_arguments, entries=1),
    "no entry, all null": partial(encode_arguments, entries=0, offset=2, share=1.0),
}
