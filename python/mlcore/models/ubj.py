"""Universal Binary JSON, draft 12, as far as model files use it: read from bytes, every length checked first."""

from __future__ import annotations

from typing import Final

import numpy as np

from mlcore.errors import ModelFormatError

_NUMBERS: Final = {
    ord("i"): ">i1",
    ord("U"): ">u1",
    ord("I"): ">i2",
    ord("l"): ">i4",
    ord("L"): ">i8",
    ord("d"): ">f4",
    ord("D"): ">f8",
}
_CONSTANTS: Final = {ord("Z"): None, ord("T"): True, ord("F"): False}
_MAX_DEPTH: Final = 64  # XGBoost nests 7 deep; a hostile file must not exhaust the interpreter's stack


def loads(data: bytes) -> object:
    """Return the document in `data`: dict, list, NumPy array (typed arrays), str, int, float, bool or None.

    Arrays are views of `data`, in its byte order: a forest's numbers are in memory once until they are converted.

    Raises:
        ModelFormatError: the bytes end early, hold an unknown marker, or nest too deep.
    """
    reader = _Reader(data)
    document = reader.value(reader.byte(), 0)
    if reader.position != len(data):
        raise ModelFormatError(f"UBJ: {len(data) - reader.position} bytes follow the end of the document")
    return document


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def skip(self, count: int) -> None:
        if count < 0 or count > len(self.data) - self.position:
            raise ModelFormatError(
                f"UBJ: {count} bytes expected at byte {self.position}, the file ends at {len(self.data)}: cut short?"
            )
        self.position += count

    def take(self, count: int) -> bytes:
        self.skip(count)
        return self.data[self.position - count : self.position]

    def byte(self) -> int:
        marker = self.take(1)[0]
        while marker == ord("N"):  # no-op
            marker = self.take(1)[0]
        return marker

    def number(self, marker: int) -> int | float:
        dtype = _NUMBERS.get(marker)
        if dtype is None:
            raise ModelFormatError(f"UBJ: number expected at byte {self.position - 1}, found marker {chr(marker)!r}")
        item = np.frombuffer(self.take(int(dtype[-1])), dtype)[0].item()
        assert isinstance(item, int | float)
        return item

    def length(self) -> int:
        count = self.number(self.byte())
        if not isinstance(count, int) or count < 0:
            raise ModelFormatError(f"UBJ: bad length {count} at byte {self.position}")
        return count

    def text(self) -> str:
        try:
            return self.take(self.length()).decode()
        except UnicodeDecodeError as error:
            raise ModelFormatError(f"UBJ: text before byte {self.position} is not UTF-8") from error

    def value(self, marker: int, depth: int) -> object:
        if depth > _MAX_DEPTH:
            raise ModelFormatError(f"UBJ: nested deeper than {_MAX_DEPTH} at byte {self.position}")
        if marker == ord("{"):
            return self.mapping(depth)
        if marker == ord("["):
            return self.array(depth)
        if marker == ord("S"):
            return self.text()
        if marker == ord("H"):
            return _high_precision(self.text())
        if marker == ord("C"):
            return chr(self.take(1)[0])
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        return self.number(marker)

    def container(self) -> tuple[int | None, int | None]:
        """Element type and count where the container states them."""
        kind = count = None
        if self.peek() == ord("$"):
            self.take(1)
            kind = self.take(1)[0]
        if self.peek() == ord("#"):
            self.take(1)
            count = self.length()
        elif kind is not None:
            raise ModelFormatError(f"UBJ: typed container without a count at byte {self.position}")
        return kind, count

    def peek(self) -> int:
        return self.data[self.position] if self.position < len(self.data) else -1

    def mapping(self, depth: int) -> dict[str, object]:
        kind, count = self.container()
        result: dict[str, object] = {}
        while count is None or len(result) < count:
            if count is None and self.peek() == ord("}"):
                self.take(1)
                break
            key = self.text()
            if key in result:
                raise ModelFormatError(f"UBJ: key {key!r} stands twice at byte {self.position}")
            result[key] = self.value(self.byte() if kind is None else kind, depth + 1)
        return result

    def array(self, depth: int) -> object:
        kind, count = self.container()
        if kind is not None and count is not None and kind in _NUMBERS:
            dtype = np.dtype(_NUMBERS[kind])
            self.skip(count * dtype.itemsize)
            return np.frombuffer(self.data, dtype, count, self.position - count * dtype.itemsize)
        if kind is not None:
            raise ModelFormatError(f"UBJ: array of type {chr(kind)!r} at byte {self.position} is not supported")
        result: list[object] = []
        while count is None or len(result) < count:
            marker = self.byte()
            if count is None and marker == ord("]"):
                break
            result.append(self.value(marker, depth + 1))
        return result


def _high_precision(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ModelFormatError(f"UBJ: {text[:40]!r} is not a number") from error


__all__ = ["loads"]
