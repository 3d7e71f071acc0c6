"""CityHash64, version 1.0, of many strings at once: what CatBoost knows a category by are its lowest 32 bits.

The algorithm is Geoff Pike's and Jyrki Alakuijala's (Google, 2011); later versions of it hash to other numbers.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]
U8 = np.uint64

_K0: Final = U8(0xC3A5C85C97CB3127)
_K1: Final = U8(0xB492B66FBE98F273)
_K2: Final = U8(0x9AE16A3B2F90404F)
_K3: Final = U8(0xC949D7C7509E6557)
_MUL: Final = U8(0x9DDFEA08EB382D69)


def cityhash64(strings: pa.Array) -> Array:
    """Return the hash of each string's UTF-8 bytes, uint64; of a null, that of no bytes."""
    text = _Text(strings.cast(pa.large_binary()).fill_null(b""))
    out = np.empty(len(strings), np.uint64)
    shortest = 0
    for longest, of in ((0, _of_0), (3, _of_1_to_3), (8, _of_4_to_8), (16, _of_9_to_16), (32, _of_17_to_32),
                        (64, _of_33_to_64), (2**62, _of_more)):  # fmt: skip
        rows = np.flatnonzero((text.length >= U8(shortest)) & (text.length <= U8(longest)))
        if len(rows):
            out[rows] = of(text, rows)
        shortest = longest + 1
    return out


class _Text:
    """The bytes of all strings, one after another, read eight at a time from any place."""

    def __init__(self, strings: pa.Array) -> None:
        _, offsets, data = strings.buffers()
        ends = np.frombuffer(offsets, np.int64, len(strings) + 1, strings.offset * 8)
        padded = (b"" if data is None else data.to_pybytes()) + bytes(8)
        self._words = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))
        self.start, self.length = ends[:-1], np.diff(ends).astype(np.uint64)

    def word(self, rows: Array, at: int = 0, *, before_end: int | None = None) -> Array:
        """Eight bytes, `at` so many from the start, or so many before the end."""
        place = self.start[rows] + at
        if before_end is not None:
            place = place + self.length[rows].astype(np.int64) - before_end
        return np.asarray(self._words[place], np.uint64)


def _rotate(value: Array, shift: int | Array) -> Array:
    by = np.asarray(shift, np.uint64)
    return np.asarray((value >> by) | (value << (U8(64) - by)))


def _mix(value: Array) -> Array:
    return np.asarray(value ^ (value >> U8(47)))


def _hash16(u: Array, v: Array) -> Array:
    return np.asarray(_mix((v ^ _mix((u ^ v) * _MUL)) * _MUL) * _MUL)


def _of_0(text: _Text, rows: Array) -> Array:
    return np.full(len(rows), _K2)


def _of_1_to_3(text: _Text, rows: Array) -> Array:
    length, byte = text.length[rows], U8(255)
    word = text.word(rows)
    y = (word & byte) + ((word >> (length >> U8(1) << U8(3)) & byte) << U8(8))
    z = length + ((word >> (length - U8(1) << U8(3)) & byte) << U8(2))
    return np.asarray(_mix(y * _K2 ^ z * _K3) * _K2)


def _of_4_to_8(text: _Text, rows: Array) -> Array:
    half = U8(0xFFFFFFFF)
    last = text.word(rows, before_end=4) & half
    return _hash16(text.length[rows] + ((text.word(rows) & half) << U8(3)), last)


def _of_9_to_16(text: _Text, rows: Array) -> Array:
    length, last = text.length[rows], text.word(rows, before_end=8)
    return np.asarray(_hash16(text.word(rows), _rotate(last + length, length)) ^ last)


def _of_17_to_32(text: _Text, rows: Array) -> Array:
    a, b = text.word(rows) * _K1, text.word(rows, 8)
    c, d = text.word(rows, before_end=8) * _K2, text.word(rows, before_end=16) * _K0
    return _hash16(_rotate(a - b, 43) + _rotate(c, 30) + d, a + _rotate(b ^ _K3, 20) - c + text.length[rows])


def _of_33_to_64(text: _Text, rows: Array) -> Array:
    z, last = text.word(rows, 24), text.word(rows, before_end=16)
    a = text.word(rows) + (text.length[rows] + last) * _K0
    vf, vs = _half(a, z, text.word(rows, 8), text.word(rows, 16))
    a, z = text.word(rows, 16) + text.word(rows, before_end=32), text.word(rows, before_end=8)
    wf, ws = _half(a, z, text.word(rows, before_end=24), last)
    r = _mix((vf + ws) * _K2 + (wf + vs) * _K0)
    return np.asarray(_mix(r * _K0 + vs) * _K2)


def _half(a: Array, z: Array, second: Array, third: Array) -> tuple[Array, Array]:
    b, c = _rotate(a + z, 52), _rotate(a, 37)
    a = a + second
    c = c + _rotate(a, 7)
    a = a + third
    return a + z, b + _rotate(a, 31) + c


def _weak(text: _Text, rows: Array, at: int, before_end: int | None, a: Array, b: Array) -> tuple[Array, Array]:
    """Two numbers from 32 bytes and two numbers."""
    w, x, y, z = (text.word(rows, at + 8 * k, before_end=before_end) for k in range(4))
    a = a + w
    b = _rotate(b + a + z, 21)
    c = a
    a = a + x + y
    return a + z, b + _rotate(a, 44) + c


def _of_more(text: _Text, rows: Array) -> Array:
    """More than 64 bytes: 64 at a time, each string as many times as it has."""
    length = text.length[rows]
    x, y = text.word(rows), text.word(rows, before_end=16) ^ _K1
    z: Array = text.word(rows, before_end=56) ^ _K0
    v = _weak(text, rows, 0, 64, length, y)
    w = _weak(text, rows, 0, 32, length * _K1, np.full(len(rows), _K0))
    z = z + _mix(v[1]) * _K1
    state = np.stack([_rotate(z + x, 39) * _K1, _rotate(y, 33) * _K1, z, *v, *w])
    blocks = (length - U8(1)) >> U8(6)
    for block in range(int(blocks.max())):
        left = np.flatnonzero(blocks > block)
        state[:, left] = _block(text, rows[left], 64 * block, state[:, left])
    last_x, last_y, last_z, v0, v1, w0, w1 = state
    return _hash16(_hash16(v0, w0) + _mix(last_y) * _K1 + last_z, _hash16(v1, w1) + last_x)


def _block(text: _Text, rows: Array, at: int, state: Array) -> Array:
    x, y, z, v0, v1, w0, w1 = state
    x = _rotate(x + y + v0 + text.word(rows, at + 16), 37) * _K1
    y = _rotate(y + v1 + text.word(rows, at + 48), 42) * _K1
    x, y = x ^ w1, y ^ v0
    z = _rotate(z ^ w0, 33)
    v = _weak(text, rows, at, None, v1 * _K1, x + w0)
    w = _weak(text, rows, at + 32, None, z + w1, y)
    return np.stack([z, y, x, *v, *w])
