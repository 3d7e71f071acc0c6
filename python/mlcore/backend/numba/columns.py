"""Raw columns to codes: the twin of csrc/cpu/columns.cpp."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlcore.backend.numba import checks
from mlcore.backend.numba.jit import jit

Array = np.ndarray[Any, Any]

SPAN_ROWS: Final = 8192  # rows a kernel takes at a time: their values and codes stay in the L1 and L2 caches

_ONE: Final = np.uint64(1)


def bin(values: Any, validity: Any, offset: Any, edges: Any, codes: Any, missing: Any) -> int:
    """Write codes of numbers; see mlcore.ops.bin."""
    array, bits, first_bit = checks.column(values, validity, offset, "bin")
    given = checks.edges(array, edges, ("bin", "edges"))
    rows = len(array)
    out = checks.codes_output(codes, len(given) > 255, rows, ("bin", "codes"))
    words = checks.output(missing, np.uint64, ("bin", "missing"), checks.words_for(rows))
    table = edge_table(given)
    span = np.empty(SPAN_ROWS, np.uint16)
    count: int = 0
    for first in range(0, rows, SPAN_ROWS):
        end = min(rows, first + SPAN_ROWS)
        part = words[first // 64 : checks.words_for(end)]
        count += bin_span(np.array(array[first:end]), nulls(bits, first_bit, first, end), table, span, part)
        out[first:end] = span[: end - first]
    return count


def encode(indices: Any, validity: Any, offset: Any, table: Any, codes: Any, missing: Any) -> Any:
    """Write codes of dictionary indices; see mlcore.ops.encode."""
    array, bits, first_bit = checks.column(indices, validity, offset, "encode")
    if array.dtype != np.int32:
        checks.refuse(("encode", "indices"), "must have dtype int32")
    entries = np.array(checks.contiguous(table, np.uint16, ("encode", "table")))
    wide = checks.as_array(codes, ("encode", "codes")).dtype == np.uint16
    if not wide and (entries > 255).any():
        checks.refuse(("encode", "codes"), "must have dtype uint16: the table holds codes above 255")
    rows = len(array)
    out = checks.codes_output(codes, wide, rows, ("encode", "codes"))
    words = checks.output(missing, np.uint64, ("encode", "missing"), checks.words_for(rows))
    span = np.empty(SPAN_ROWS, np.uint16)
    count = 0
    for first in range(0, rows, SPAN_ROWS):
        end = min(rows, first + SPAN_ROWS)
        given = np.array(array[first:end])
        part = words[first // 64 : checks.words_for(end)]
        found, bad = encode_span(given, nulls(bits, first_bit, first, end), entries, span, part)
        if bad >= 0:
            checks.refuse(("encode", "indices"), outside(first + bad, given[bad], len(entries)))
        count += found
        out[first:end] = span[: end - first]
    return count


def outside(row: int, index: int, size: int) -> str:
    """What is wrong with an index that the table does not have."""
    return f"row {row}: index {index} outside the table of {size}"


def nulls(bits: Array | None, offset: int, first: int, end: int) -> tuple[Array, int]:
    """The validity bytes of rows [first, end), owned, and the bit of the first row; no bytes when all are valid."""
    if bits is None:
        return np.empty(0, np.uint8), 0
    bit = offset + first
    return np.array(bits[bit // 8 : (offset + end + 7) // 8]), bit % 8


def edge_table(edges: Array) -> tuple[Array, Array, int]:
    """Edges padded for a search in steps of 16: to 255, 4,095 or 65,535 of them; every 16th; how many are real."""
    count = len(edges)
    size = 256 if count <= 255 else 4096 if count <= 4095 else 65536
    top = np.inf if edges.dtype.kind == "f" else np.iinfo(edges.dtype).max
    padded = np.full(size, top, edges.dtype)
    padded[:count] = edges
    return padded, padded[15::16].copy(), count


@jit
def _four_steps(edges: Any, at: Any, step: Any, value: Any) -> Any:
    """Four halvings without a branch: the answer lies in [at, at + 2 * step)."""
    half, quarter, eighth = step >> np.uint32(1), step >> np.uint32(2), step >> np.uint32(3)
    at = np.uint32(at + step * np.uint32(edges[np.uint32(at + step - np.uint32(1))] <= value))
    at = np.uint32(at + half * np.uint32(edges[np.uint32(at + half - np.uint32(1))] <= value))
    at = np.uint32(at + quarter * np.uint32(edges[np.uint32(at + quarter - np.uint32(1))] <= value))
    return np.uint32(at + eighth * np.uint32(edges[np.uint32(at + eighth - np.uint32(1))] <= value))


@jit
def _search(values: Any, edges: Any, tops: Any, codes: Any) -> None:
    """Write how many edges are <= each value; NaN is below every edge."""
    rows = len(values)
    if len(edges) == 256:
        codes[:rows] = 0
        for j in range(15):
            top = tops[j]
            for i in range(rows):  # 16 rows side by side
                codes[i] += np.uint16(top <= values[i])
        for i in range(rows):
            codes[i] = _four_steps(edges, np.uint32(codes[i]) * np.uint32(16), np.uint32(8), values[i])
        return
    large = len(edges) > 4096
    for i in range(rows):
        value = values[i]
        at = np.uint32(0)
        if large:
            at = _four_steps(edges, at, np.uint32(32768), value)
        at = _four_steps(edges, at, np.uint32(2048), value)
        at = _four_steps(edges, at, np.uint32(128), value)
        codes[i] = _four_steps(edges, at, np.uint32(8), value)


@jit
def _missing_words(values: Any, validity: Any, missing: Any) -> Any:
    """Write the words of null and NaN rows, and return how many rows that is."""
    bits, offset = validity
    rows = len(values)
    count = 0
    for w in range(len(missing)):
        end = min(64, rows - 64 * w)
        word = np.uint64(0)
        for i in range(end):
            word |= np.uint64(np.isnan(values[64 * w + i])) << np.uint64(i)
        if len(bits) > 0:
            for i in range(end):
                bit = offset + 64 * w + i
                word |= np.uint64(((bits[bit >> 3] >> (bit & 7)) & 1) ^ 1) << np.uint64(i)
        missing[w] = word
        while word != np.uint64(0):
            word &= word - _ONE
            count += 1
    return count


@jit
def bin_span(values: Any, validity: Any, table: Any, codes: Any, missing: Any) -> Any:
    """Write the codes and missing words of one span; a missing row has code 0. Return how many are missing."""
    edges, tops, real = table
    _search(values, edges, tops, codes)
    rows = len(values)
    for i in range(rows):
        codes[i] = min(codes[i], np.uint16(real))  # the type's highest value counts the padding too
    count = _missing_words(values, validity, missing)
    if count > 0:
        for i in range(rows):
            if (missing[i >> 6] >> np.uint64(i & 63)) & _ONE:
                codes[i] = 0
    return count


@jit
def encode_span(indices: Any, validity: Any, table: Any, codes: Any, missing: Any) -> tuple[int, int]:
    """Write codes and missing words; return how many rows are missing and the first row that has no code, or -1."""
    count = _missing_words(indices, validity, missing)
    for i in range(len(indices)):
        if (missing[i >> 6] >> np.uint64(i & 63)) & _ONE:
            codes[i] = 0
        elif indices[i] < 0 or indices[i] >= len(table):
            return count, i
        else:
            codes[i] = table[indices[i]]
    return count, -1
