"""The ops on the device: CuPy owns memory and streams, the native module launches on pointers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any  # cupy.ndarray, one-dimensional unless said


def _cupy() -> Any:
    return importlib.import_module("cupy")


def _native() -> Any:
    return importlib.import_module("mlcore._cuda")


def _stream() -> int:
    return int(_cupy().cuda.get_current_stream().ptr)


def bin(values: Array, validity: Array | None, offset: int, edges: Array, codes: Array, missing: Array) -> int:
    """As `mlcore.ops.bin`, all arrays on the device; waits for the stream to return the count."""
    cupy = _cupy()
    if edges.size and not (bool((edges[:1] == edges[:1]).all()) and bool((edges[1:] > edges[:-1]).all())):
        raise ValueError("bin: edges must ascend strictly, without NaN")
    count = cupy.zeros(1, cupy.uint64)
    _native().bin(values, validity, offset, edges, codes, missing, count, _stream())
    return int(count[0])


class Forest:
    """A forest on the current device; made from the host arrays of `ForestArrays`, in its order."""

    def __init__(self, *given: Any) -> None:
        *arrays, engine = given
        if engine not in ("auto", "deep", "walk"):
            raise ValueError(f"Forest: engine must be auto, deep or walk, not {engine}")
        cupy = _cupy()
        packed = _native().nodes(*arrays)  # checks every index
        *_, sets, tree_start, tree_output, _, _, _, node_value, n_codes, self.outputs = arrays
        self.n_codes = np.array(n_codes)
        self.trees = len(tree_start) - 1
        self.dtype = node_value.dtype
        self.arguments = (
            cupy.asarray(np.frombuffer(packed, np.uint8)),
            cupy.asarray(tree_start),
            cupy.asarray(tree_output),
            cupy.asarray(node_value.reshape(-1)),
            int(node_value.shape[1]),
            int(self.outputs),
            cupy.asarray(np.ascontiguousarray(sets).reshape(-1)),
            int(sets.shape[1]),
            cupy.asarray(n_codes),
        )

    def columns(self, codes: Sequence[Array], missing: Sequence[Array | None], rows: int) -> tuple[Array, Array]:
        """Return the columns' addresses on the device, each checked against `rows`."""
        for name, given in (("codes", codes), ("missing", missing)):
            if len(given) != len(self.n_codes):
                raise ValueError(f"forest: {name} must have {len(self.n_codes)} entries, not {len(given)}")
        native, cupy = _native(), _cupy()
        wide = [bool(count > 256) for count in self.n_codes]
        at = [native.codes_at(item, wide[c], rows, f"column {c}: codes") for c, item in enumerate(codes)]
        words = [native.missing_at(item, rows, f"column {c}: missing") for c, item in enumerate(missing)]
        return cupy.asarray(np.array(at, np.uint64)), cupy.asarray(np.array(words, np.uint64))


def forest(
    handle: Forest, codes: Sequence[Array], missing: Sequence[Array | None], out: Array, threads: int = 1
) -> None:
    """As `mlcore.ops.forest`, codes, missing and out on the device; `threads` is the host's and has no meaning here."""
    _threads("forest", threads)
    if out.ndim != 2 or out.shape[1] != handle.outputs or not out.flags.c_contiguous or out.dtype != handle.dtype:
        shape = f"(rows, {handle.outputs})"
        raise ValueError(f"forest: out must be a C-contiguous {handle.dtype} array of shape {shape}")
    columns = handle.columns(codes, missing, out.shape[0])
    bad = _cupy().zeros(1, np.int32)
    _native().forest(handle.arguments, *columns, out.shape[0], out.reshape(-1), bad, _stream())
    _refuse("forest", bad)


def leaves(
    handle: Forest, codes: Sequence[Array], missing: Sequence[Array | None], out: Array, threads: int = 1
) -> None:
    """As `mlcore.ops.leaves`, out a C-contiguous int32 device array of shape (rows, trees)."""
    _threads("leaves", threads)
    if out.ndim != 2 or out.shape[1] != handle.trees or not out.flags.c_contiguous:
        raise ValueError(f"leaves: out must be a C-contiguous int32 array of shape (rows, {handle.trees})")
    columns = handle.columns(codes, missing, out.shape[0])
    bad = _cupy().zeros(1, np.int32)
    _native().leaves(handle.arguments, *columns, out.shape[0], out.reshape(-1), bad, _stream())
    _refuse("leaves", bad)


def _threads(op: str, threads: int) -> None:
    if threads < 1:
        raise ValueError(f"{op}: threads must be at least 1")


def _refuse(op: str, bad: Array) -> None:
    if int(bad[0]):
        raise ValueError(f"{op}: codes hold a code that is not below its column's n_codes")
