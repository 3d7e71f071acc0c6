"""Run an op's sample on a backend, wherever its arrays must lie, and compare with the oracle."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np

from mlcore import ops
from mlcore.backend import Backend
from mlcore.ops import ExplainerArrays, ForestArrays
from mlcore.testing.oracles import ORACLES
from mlcore.testing.samples import SAMPLES
from mlcore.testing.samples.arrays import Array, Out

Results = tuple[Any, ...]  # what the op returned, then each output


@dataclass(frozen=True)
class Place:
    """Where a backend's arrays lie: `put` takes a NumPy array there, `fetch` takes one back."""

    put: Callable[[Array], Any]
    fetch: Callable[[Any], Array]


def place_of(backend: str) -> Place:
    """Return the place of a backend's arrays: host memory, or the device's for CUDA."""
    if backend != "cuda":
        return Place(put=lambda array: array, fetch=lambda array: array)
    cupy = importlib.import_module("cupy")
    return Place(put=cupy.asarray, fetch=cupy.asnumpy)


@dataclass(frozen=True)
class Call:
    """An op about to run on a sample: its arguments lie where the backend wants them."""

    make: Callable[[], Any]
    outputs: list[Any]
    place: Place

    def results(self) -> Results:
        """Run it, and return its return value, then its outputs."""
        returned = self.make()
        return returned, *(self.place.fetch(array) for array in self.outputs)


def call(op: str, sample: str, backend: Backend, *, threads: int = 1) -> Call:
    """Return the op on the sample, ready to run; outputs start as the sample says."""
    place = place_of(backend.name)
    outputs: list[Any] = []

    def placed(value: Any) -> Any:
        if isinstance(value, Out):
            outputs.append(place.put(value.start()))
            return outputs[-1]
        if isinstance(value, np.ndarray):
            return place.put(value)
        if isinstance(value, ForestArrays | ExplainerArrays):
            return ops.prepare(value, backend=backend)
        if isinstance(value, list | tuple):
            return type(value)(placed(item) for item in value)
        return value

    arguments = [placed(value) for value in SAMPLES[op][sample]()]
    options = {"threads": threads} if op in ("forest", "leaves", "explain", "score") else {}
    return Call(partial(getattr(ops, op), *arguments, backend=backend, **options), outputs, place)


def run(op: str, sample: str, backend: Backend, *, threads: int = 1) -> Results:
    """Return what the op gives on the sample: its return value, then its outputs."""
    return call(op, sample, backend, threads=threads).results()


@cache
def expected(op: str, sample: str) -> Results:
    """Return what the oracle says of the sample."""
    return tuple(ORACLES[op](*SAMPLES[op][sample]()))


def same(found: Results, wanted: Results) -> bool:
    """Are both equal bit for bit? Any NaN equals any other."""
    return len(found) == len(wanted) and all(
        _bits(a) == _bits(b) if isinstance(b, np.ndarray) else a == b for a, b in zip(found, wanted, strict=True)
    )


INEXACT: Final = {"sigmoid": 2e-7, "explain": 1e-12}
"""How far an op's results may be from the oracle's, where they are not equal bit for bit; they are on all backends."""


def agree(op: str, found: Results, wanted: Results) -> bool:
    """Are results what the oracle says, bit for bit or as near as the op promises?"""
    if op not in INEXACT:
        return same(found, wanted)
    bound = INEXACT[op]
    return all(
        np.allclose(a.astype(np.float64), b, rtol=bound, atol=10 * bound, equal_nan=True)
        for a, b in zip(found[1:], wanted[1:], strict=True)
    )


def digests(backend: Backend) -> dict[str, str]:
    """Return a digest of the results of every sample, by "op/sample": equal on machines that give equal bits.

    Ops that the backend does not have are left out.
    """
    found = {}
    for op in ops.NAMES:
        if not hasattr(backend.kernels, op):
            continue
        for sample in SAMPLES[op]:
            returned, *outputs = run(op, sample, backend)
            text = repr(returned).encode() + b"".join(repr(_bits(array)).encode() for array in outputs)
            found[f"{op}/{sample}"] = hashlib.sha256(text).hexdigest()
    return found


def _bits(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return str(array.dtype), array.shape, array.tobytes()
