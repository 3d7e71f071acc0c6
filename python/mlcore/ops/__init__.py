"""Ops: the work that grows with rows, one signature each, the same bits on every backend.

Kernels write into arrays that the caller passes (`codes`, `missing`, `counts`, `out`) and allocate nothing. Every
argument is checked before memory is touched; a wrong type, length or content raises KernelArgumentError.

Missing rows travel as words: uint64[ceil(n / 64)], bit (i % 64) of word i // 64 is set where row i is null or NaN. Codes
are uint8 up to 256 of them and uint16 above; a missing row has code 0. `validity` is an Arrow bitmap (uint8, or None when
every row is valid) whose bit `offset` belongs to row 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Final

from mlcore.backend import Backend, select
from mlcore.errors import BackendUnavailable, KernelArgumentError
from mlcore.ops.explain import ExplainerArrays
from mlcore.ops.forest import Array, ForestArrays

__all__ = [
    "NAMES",
    "ExplainerArrays",
    "ForestArrays",
    "affine",
    "bin",
    "clip",
    "encode",
    "explain",
    "fill",
    "forest",
    "leaves",
    "lookup",
    "prepare",
    "score",
    "sigmoid",
    "tally",
]

NAMES: Final = (
    "bin", "encode", "tally", "forest", "leaves", "explain", "score", "affine", "clip", "fill", "lookup", "sigmoid",
)  # fmt: skip

Columns = Sequence[tuple[Array, Array | None, int, Array]]


@cache
def _default() -> Backend:
    return select("auto")


def _call(name: str, backend: Backend | None, *arguments: Any) -> Any:
    chosen = backend or _default()
    kernel: Callable[..., Any] | None = getattr(chosen.kernels, name, None)
    if kernel is None:
        raise BackendUnavailable(f'{name}: backend \'{chosen.name}\' does not have this op; use "cpu" or "numba"')
    try:
        return kernel(*arguments)
    except (TypeError, ValueError) as error:
        text = str(error)
        raise KernelArgumentError(text if text.startswith(name) else f"{name}: {text}") from error


def bin(
    values: Array, validity: Array | None, offset: int, edges: Array, codes: Array, missing: Array,
    *, backend: Backend | None = None,
) -> int:  # fmt: skip
    """Write each value's code, the number of edges <= it, and return how many rows are missing.

    values: float32, float64, int32 or int64 (n), any stride; edges: the same dtype, strictly ascending; codes: uint8 (n),
    uint16 with more than 255 edges. Null and NaN are missing; ±inf are ordinary values.
    """
    return int(_call("bin", backend, values, validity, offset, edges, codes, missing))


def encode(
    indices: Array, validity: Array | None, offset: int, table: Array, codes: Array, missing: Array,
    *, backend: Backend | None = None,
) -> int:  # fmt: skip
    """Write each dictionary index's code, `table[index]`, and return how many rows are missing.

    indices: int32 (n), any stride; table: uint16 (K). An index of a valid row outside [0, K) is refused.
    """
    return int(_call("encode", backend, indices, validity, offset, table, codes, missing))


def tally(codes: Array, missing: Array | None, counts: Array, *, backend: Backend | None = None) -> None:
    """Add to counts: int64 (n_codes + 1), the rows of each code, and missing rows in the last slot.

    codes: uint8, uint16 or int32 (n); a code of a row that is not missing must be below n_codes.
    """
    _call("tally", backend, codes, missing, counts)


def prepare(arrays: ForestArrays | ExplainerArrays, engine: str = "auto", *, backend: Backend | None = None) -> Any:
    """Return the forest laid out for a backend: the handle that `forest`, `leaves` and `score` take, or `explain`'s.

    engine: "auto" picks by each tree's shape; "planes" answers all rows' questions bit by bit, "deep" walks trees with rows
    side by side, "walk" row by row. All give the same bits. The handle's `engines` says how many trees each serves.

    Raises:
        KernelArgumentError: an index points outside what it indexes, or a cover is no weight; the message names tree and
            node.
    """
    if isinstance(arrays, ForestArrays):
        return _call("Forest", backend, *_values(arrays), engine)
    own = (arrays.node_feature, arrays.node_cover, arrays.n_features)
    return _call("Explainer", backend, *_values(arrays.forest), *own)


def _values(arrays: ForestArrays) -> list[Any]:
    return [getattr(arrays, field.name) for field in fields(arrays)]


def forest(
    handle: Any, codes: Sequence[Array], missing: Sequence[Array | None], out: Array, threads: int = 1,
    *, backend: Backend | None = None,
) -> None:  # fmt: skip
    """Add each tree's leaf value to the margins of rows given as one array of codes and of missing words (or None) a column.

    out: (n, K) in the type of the forest's values; what stands in it, a base margin most often, is added to in tree order.
    """
    _call("forest", backend, handle, list(codes), list(missing), out, threads)


def leaves(
    handle: Any, codes: Sequence[Array], missing: Sequence[Array | None], out: Array, threads: int = 1,
    *, backend: Backend | None = None,
) -> None:  # fmt: skip
    """Write the leaf each row reaches in each tree, int32 (n, trees): its node, counted from the tree's root."""
    _call("leaves", backend, handle, list(codes), list(missing), out, threads)


def explain(
    handle: Any, codes: Sequence[Array], missing: Sequence[Array | None], out: Array, threads: int = 1,
    *, backend: Backend | None = None,
) -> None:  # fmt: skip
    """Add each feature's SHAP value to out: float64 (n, K, features + 1), and last the trees' expected value.

    Exact and path-dependent: a feature that is not known takes both branches, by the cover of each. A row's values are
    within 1e-12 of the exact ones, relative to the sum of its trees' largest leaves, and the same bits on all backends.
    """
    _call("explain", backend, handle, list(codes), list(missing), out, threads)


def score(
    handle: Any, columns: Columns, out: Array, counts: Sequence[Array | None] | None, threads: int = 1,
    *, backend: Backend | None = None,
) -> None:  # fmt: skip
    """Add to the margins of raw columns, and what passes to `counts`: bin or encode, forest, tally in one.

    out: as of `forest`. columns: (values, validity, offset, aux) each; aux holds a numeric column's edges, or the uint16
    code of each entry of a dictionary column's dictionary. counts: None, or one array (or None) a column: int64 (codes + 1)
    of a numeric column, int64 (entries + 1), by dictionary index, of a dictionary column; missing rows last.
    """
    _call("score", backend, handle, list(columns), out, None if counts is None else list(counts), threads)


def affine(x: Array, center: float, scale: float, out: Array, *, backend: Backend | None = None) -> None:
    """Write (x - center) / scale, float64 (n)."""
    _call("affine", backend, x, center, scale, out)


def clip(x: Array, low: float, high: float, out: Array, *, backend: Backend | None = None) -> None:
    """Write x limited to [low, high], float64 (n); NaN stays NaN."""
    _call("clip", backend, x, low, high, out)


def fill(x: Array, value: float, out: Array, *, backend: Backend | None = None) -> None:
    """Write x with NaN replaced by `value`, float64 (n)."""
    _call("fill", backend, x, value, out)


def lookup(
    indices: Array, validity: Array | None, offset: int, table: Array, missing: float, out: Array,
    *, backend: Backend | None = None,
) -> None:  # fmt: skip
    """Write `table[index]`, float64 (n), and `missing` where the row is null; indices: int32 (n), table: float64 (K)."""
    _call("lookup", backend, indices, validity, offset, table, missing, out)


def sigmoid(x: Array, out: Array, *, backend: Backend | None = None) -> None:
    """Write 1 / (exp(min(-x, 88.7)) + 1 + 1e-16), float32 (n), XGBoost's logistic; NaN stays NaN.

    Equal bit for bit on all backends; within 2e-7 relative of the exact value (one unit, where that is subnormal).
    """
    _call("sigmoid", backend, x, out)
