"""What samples are made of: sizes about every block boundary, awkward numbers, bitmaps, and outputs full of rubbish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

SIZES: Final = (0, 1, 63, 64, 65, 511, 512, 513, 3000)  # words have 64 rows, blocks 512
MANY: Final = 20_000  # rows enough for several spans of every backend
RUBBISH: Final = 0xA5


@dataclass(frozen=True)
class Out:
    """An output: where nothing is added to it (`first` None), it starts as rubbish that must all be written over."""

    dtype: str
    shape: tuple[int, ...]
    first: int | None = None

    def start(self) -> Array:
        """The array as the op is given it."""
        if self.first is not None:
            return np.arange(self.first, self.first + np.prod(self.shape)).astype(self.dtype).reshape(self.shape)
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        return np.full(size, RUBBISH, np.uint8).view(self.dtype).reshape(self.shape)


def words(rows: int) -> Out:
    """Room for missing words."""
    return Out("uint64", ((rows + 63) // 64,))


def bitmap(rng: np.random.Generator, rows: int, offset: int, share: float = 0.2) -> Array:
    """A validity bitmap with about `share` nulls, rubbish before `offset`, and no byte more than is needed."""
    valid = rng.random(offset + rows + 8) >= share
    return np.packbits(valid, bitorder="little")[: (offset + rows + 7) // 8].copy()


def missing_words(rng: np.random.Generator, rows: int, share: float = 0.2) -> Array:
    """Missing words whose bits beyond the last row are rubbish."""
    return np.packbits(rng.random((rows + 63) // 64 * 64) < share, bitorder="little").view(np.uint64)


def numbers(rng: np.random.Generator, dtype: Any, rows: int) -> Array:
    """Values about 0, some equal; floats hold a few NaN and infinities."""
    if np.dtype(dtype).kind == "i":
        return rng.integers(-1000, 1000, rows).astype(dtype)
    values = (rng.standard_normal(rows) * 300).round(1).astype(dtype)
    values[rng.random(rows) < 0.05] = np.nan
    values[rng.random(rows) < 0.02] = np.inf
    values[rng.random(rows) < 0.02] = -np.inf
    return values


def edges(rng: np.random.Generator, dtype: Any, count: int) -> Array:
    """Strictly ascending edges among the values of `numbers`."""
    width = max(1000, 2 * count)
    whole = np.sort(rng.choice(2 * width, count, replace=False)) - width
    return whole.astype(dtype)


def awkward(dtype: Any) -> Array:
    """Every float that behaves unlike the others: signed zeros, subnormals, limits, infinities, NaN of both signs."""
    info = np.finfo(dtype)
    base = np.array([0.0, 1.0, info.smallest_subnormal, info.tiny, info.max, np.inf, np.nan, 1 / 3], dtype)
    return np.concatenate([base, -base, np.nextafter(base[1:2], dtype(2)), np.nextafter(base[1:2], dtype(0))])


def strided(values: Array, step: int) -> Array:
    """The same values, `step` items apart in memory, backwards when it is negative."""
    room = np.full(max(1, len(values)) * abs(step), RUBBISH, values.dtype)
    view = room[::step][: len(values)]
    view[:] = values
    return view
