"""Margins and leaves of coded or raw columns, span by span: the twin of csrc/cpu/score.cpp."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple, Protocol, SupportsIndex

import numpy as np

from mlcore.backend.numba import checks
from mlcore.backend.numba.columns import SPAN_ROWS, bin_span, edge_table, encode_span, nulls, outside
from mlcore.backend.numba.engine import BLOCK_ROWS, BLOCK_WORDS, leaf_nodes, margins
from mlcore.backend.numba.forest import Forest
from mlcore.backend.numba.tally import tally_span

Array = np.ndarray[Any, Any]
Coded = tuple[Array, Array]  # codes uint16 (columns, SPAN_ROWS), missing uint64 (columns, SPAN_ROWS / 64)


class Asked(Protocol):
    """A handle whose columns rows are coded for."""

    @property
    def n_codes(self) -> tuple[int, ...]:
        """How many codes each column has."""


class RawColumn(NamedTuple):
    """A raw column of `score`: numbers with their edge table, or dictionary indices with a code for each."""

    values: Array
    bits: Array | None
    offset: int
    edges: tuple[Array, Array, int] | None
    table: Array


def forest(handle: Any, codes: Any, missing: Any, out: Any, threads: Any) -> None:
    """Write margins of coded columns; see mlcore.ops.forest."""
    model = _handle(handle, "forest")
    target = _margins_of(model, out, "forest")
    columns = coded(model, codes, missing, len(target), "forest")

    def work(first: int, end: int) -> None:
        _margins(model, load(model, columns, first, end, "forest"), target[first:end])

    for_spans(len(target), checks.threads(threads, "forest"), work)


def leaves(handle: Any, codes: Any, missing: Any, out: Any, threads: Any) -> None:
    """Write the leaf of each row in each tree; see mlcore.ops.leaves."""
    model = _handle(handle, "leaves")
    where = ("leaves", "out")
    target = checks.as_array(out, where)
    shaped = target.dtype == np.int32 and target.ndim == 2 and target.shape[1] == model.trees
    if not shaped or not target.flags.c_contiguous or not target.flags.writeable:
        checks.refuse(where, f"must be a writeable C-contiguous int32 array of shape (rows, {model.trees})")
    columns = coded(model, codes, missing, len(target), "leaves")

    def work(first: int, end: int) -> None:
        leaf_nodes(model.layout.nodes, *load(model, columns, first, end, "leaves"), target[first:end])

    for_spans(len(target), checks.threads(threads, "leaves"), work)


def score(handle: Any, columns: Any, out: Any, counts: Any, threads: Any) -> None:
    """Write margins of raw columns, and add to `counts`; see mlcore.ops.score."""
    model = _handle(handle, "score")
    target = _margins_of(model, out, "score")
    check_count(columns, model, ("score", "columns"))
    workers = checks.threads(threads, "score")
    raw = [_raw_column(model, item, c, len(target)) for c, item in enumerate(columns)]
    slots = _slots(model, raw, counts)

    totals = [None if slot is None else np.zeros_like(slot) for slot in slots]
    lock = Lock()

    def work(first: int, end: int) -> None:
        coded = _scratch(model)
        for c, column in enumerate(raw):
            _code(column, coded, c, first, end)
            total = totals[c]
            if total is not None:
                found = np.zeros_like(total)
                _count(column, coded, c, first, end, found)
                with lock:
                    total += found
        _margins(model, coded, target[first:end])

    for_spans(len(target), workers, work)
    for slot, total in zip(slots, totals, strict=True):
        if slot is not None and total is not None:  # only now: a refused column leaves the caller's counts as they were
            np.add(slot, total, out=slot)


def for_spans(rows: int, threads: int, work: Callable[[int, int], None], step: int = SPAN_ROWS) -> None:
    """Call work(first, end) for each span; spans, and so results, never depend on the number of threads."""
    spans = [(first, min(rows, first + step)) for first in range(0, rows, step)]
    if min(threads, len(spans)) <= 1:
        for first, end in spans:
            work(first, end)
        return
    with ThreadPoolExecutor(min(threads, len(spans))) as pool:  # of this call alone: a fork finds no dead threads
        for _ in pool.map(lambda span: work(*span), spans):
            pass


def _scratch(model: Asked, step: int = SPAN_ROWS) -> Coded:
    """Room for the codes and missing words of a span."""
    columns = len(model.n_codes)
    return np.zeros((columns, step), np.uint16), np.zeros((columns, step // 64), np.uint64)


def _margins(model: Forest, coded: Coded, out: Array) -> None:
    numbers = np.empty(8 * BLOCK_WORDS, np.uint64)
    hot = np.empty((model.layout.ranks + 1, BLOCK_WORDS), np.uint64)
    planes = np.empty((model.layout.planes + 1) * BLOCK_WORDS, np.uint64)
    scratch = (hot, planes, numbers, numbers.view(np.uint8), np.zeros((model.outputs, BLOCK_ROWS), model.dtype))
    margins(*model.layout, *coded, scratch, out)


def load(
    model: Asked, columns: list[tuple[Array, Array | None]], first: int, end: int, op: str, step: int = SPAN_ROWS
) -> Coded:
    """Take a span's codes and missing words out of whole columns; rows past the end have code 0."""
    codes, missing = _scratch(model, step)
    rows = end - first
    for c, (given, words) in enumerate(columns):
        codes[c, :rows] = given[first:end]
        if codes[c, :rows].max() >= model.n_codes[c]:
            row = int(np.argmax(codes[c, :rows] >= model.n_codes[c]))
            what = f"column {c}, row {first + row}: code {codes[c, row]} is not below {model.n_codes[c]}"
            checks.refuse((op, "codes"), what)
        if words is not None:
            missing[c, : checks.words_for(rows)] = words[first // 64 : checks.words_for(end)]
    return codes, missing


def _code(column: RawColumn, coded: Coded, c: int, first: int, end: int) -> None:
    codes, missing = coded[0][c], coded[1][c, : checks.words_for(end - first)]
    values, validity = np.array(column.values[first:end]), nulls(column.bits, column.offset, first, end)
    if column.edges is not None:
        bin_span(values, validity, column.edges, codes, missing)
        return
    _, bad = encode_span(values, validity, column.table, codes, missing)
    if bad >= 0:
        checks.refuse(("score", f"column {c}: indices"), outside(first + bad, values[bad], len(column.table)))


def _count(column: RawColumn, coded: Coded, c: int, first: int, end: int, counts: Array) -> None:
    """Count a span of a numeric column by code, of a dictionary column by index."""
    rows = end - first
    codes = coded[0][c, :rows] if column.edges is not None else np.array(column.values[first:end])
    tally_span(codes, coded[1][c, : checks.words_for(rows)], counts)


def _handle(handle: Any, op: str) -> Forest:
    if not isinstance(handle, Forest):
        checks.refuse((op, "handle"), "must be a forest prepared for the Numba backend")
    return handle


def _margins_of(model: Forest, out: Any, op: str) -> Array:
    """The margins that leaf values are added to."""
    where = (op, "out")
    target = checks.as_array(out, where)
    shaped = target.dtype == model.dtype and target.ndim == 2 and target.shape[1] == model.outputs
    if not shaped or not target.flags.c_contiguous or not target.flags.writeable:
        checks.refuse(where, f"must be a writeable C-contiguous {model.dtype} array of shape (rows, {model.outputs})")
    return target


def check_count(given: Sequence[Any], model: Asked, where: checks.Where) -> None:
    """Refuse a list that has not one entry a column."""
    if len(given) != len(model.n_codes):
        checks.refuse(where, f"must have {len(model.n_codes)} entries, not {len(given)}")


def coded(model: Asked, codes: Any, missing: Any, rows: int, op: str) -> list[tuple[Array, Array | None]]:
    """Return the codes and missing words of each column, checked."""
    check_count(codes, model, (op, "codes"))
    check_count(missing, model, (op, "missing"))
    columns = []
    for c, (given, words) in enumerate(zip(codes, missing, strict=True)):
        dtype = np.uint16 if model.n_codes[c] > 256 else np.uint8
        values = checks.contiguous(given, dtype, (op, f"column {c}: codes"), rows)
        if words is not None:
            checks.contiguous(words, np.uint64, (op, f"column {c}: missing"), checks.words_for(rows))
        columns.append((values, words))
    return columns


def _is_offset(value: Any) -> bool:
    return isinstance(value, SupportsIndex) and -(2**63) <= operator.index(value) < 2**63


def _raw_column(model: Forest, item: Any, c: int, rows: int) -> RawColumn:
    at = f"column {c}: "
    where = ("score", at + "columns")
    if not isinstance(item, tuple) or len(item) != 4 or not _is_offset(item[2]):
        checks.refuse(where, "must be (values, validity, offset, edges or table)")
    aux = checks.as_array(item[3], where)
    checks.as_array(item[0], where)
    values, bits, offset = checks.column(item[0], item[1], item[2], "score", at)
    if len(values) != rows:
        checks.refuse(where, f"must have {rows} rows, not {len(values)}")
    codes = model.n_codes[c]
    if aux.dtype == np.uint16:
        if values.dtype != np.int32:
            checks.refuse(where, "must have int32 indices beside a table")
        table = np.array(checks.contiguous(aux, np.uint16, ("score", at + "table")))
        if (table >= codes).any():
            checks.refuse(("score", at + "table"), f"holds a code that is not below {codes}")
        return RawColumn(values, bits, offset, None, table)
    edges = checks.edges(values, aux, ("score", at + "edges"))
    if len(edges) + 1 != codes:
        checks.refuse(("score", at + "edges"), f"must hold {codes - 1} values, not {len(edges)}")
    return RawColumn(values, bits, offset, edge_table(edges), np.empty(0, np.uint16))


def _slots(model: Forest, raw: list[RawColumn], counts: Any) -> list[Array | None]:
    """The caller's counts of each column, checked; None where nothing is counted."""
    if counts is None:
        return [None] * len(raw)
    check_count(counts, model, ("score", "counts"))
    sizes = [len(column.table) + 1 if column.edges is None else column.edges[2] + 2 for column in raw]
    return [
        None if given is None else checks.output(given, np.int64, ("score", f"column {c}: counts"), size)
        for c, (given, size) in enumerate(zip(counts, sizes, strict=True))
    ]
