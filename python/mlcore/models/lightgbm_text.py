"""LightGBM's text format: the header's and each tree's `key=value` lines, and pandas' categories at the end.

Every refusal says which line or which tree. Nothing is allocated by what a number in the text announces: arrays are as
long as the text that holds them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel

Array = np.ndarray[Any, Any]

_HEADER: Final = frozenset(
    {
        "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
        "average_output", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes",
    }
)  # fmt: skip
_TREE: Final = frozenset(
    {
        "num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type", "left_child",
        "right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight",
        "internal_count", "cat_boundaries", "cat_threshold", "is_linear", "leaf_const", "num_features",
        "leaf_features", "leaf_coeff", "shrinkage",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """The `key=value` lines of the header or of one tree."""

    of: str
    values: dict[str, str]

    def text(self, key: str) -> str:
        """Return a value as it stands there."""
        if key not in self.values:
            raise ModelFormatError(f"{self.of}: '{key}' is missing")
        return self.values[key]

    def integer(self, key: str) -> int:
        """Return a whole number."""
        return int(self.integers(key, 1)[0])

    def integers(self, key: str, count: int | None = None) -> Array:
        """Return whole numbers, int64 (count)."""
        return self._numbers(key, count, int, np.int64)

    def floats(self, key: str, count: int) -> Array:
        """Return numbers, float64 (count)."""
        return self._numbers(key, count, float, np.float64)

    def _numbers(self, key: str, count: int | None, parse: Callable[[str], Any], dtype: type[np.generic]) -> Array:
        words = self.text(key).split()
        if count is not None and len(words) != count:
            raise ModelFormatError(f"{self.of}: '{key}' has {len(words)} entries, expected {count}")
        if "_" in self.text(key):  # Python would take 1_0 for 10
            raise ModelFormatError(f"{self.of}: '{key}' holds '_'")
        try:
            return np.array([parse(word) for word in words], dtype)
        except (ValueError, OverflowError) as error:
            raise ModelFormatError(f"{self.of}: '{key}' holds what is no number: {error}") from error


@dataclass(frozen=True)
class Document:
    """A model's text, taken apart."""

    header: Fields
    trees: tuple[Fields, ...]
    pandas_categorical: list[list[Any]]


def starts_like_one(text: str | bytes) -> bool:
    """Return whether this is how the text of a model starts."""
    start = text[:6].encode(errors="replace") if isinstance(text, str) else bytes(text[:6])
    return start.replace(b"\r", b"").startswith(b"tree\n")


def read(data: bytes) -> Document:
    """Return the parts of a model's text.

    Raises:
        ModelFormatError: it is cut short or malformed.
        UnsupportedModel: it is of another version, or holds a field that is not known.
    """
    lines = _Lines(data.decode())
    if lines.take() != "tree":
        raise ModelFormatError("line 1: a LightGBM model starts with 'tree'")
    header = Fields("header", _fields(lines, "header", _HEADER))
    version = header.text("version")
    if version not in ("v2", "v3", "v4"):
        raise UnsupportedModel(
            f"format version '{version}' is not imported; v2, v3 and v4 are: load and save the model with LightGBM 4"
        )
    ends = ("end of trees", "feature importances:") if version == "v2" else ("end of trees",)
    trees: list[Fields] = []
    sizes: list[int] = []
    while not lines.next_is(ends):
        started = lines.position
        index = len(trees)
        if lines.take() != f"Tree={index}":
            raise ModelFormatError(f"line {lines.number}: expected 'Tree={index}' or 'end of trees'")
        trees.append(Fields(f"tree {index}", _fields(lines, f"tree {index}", _TREE)))
        sizes.append(lines.position - started)
    if sizes and lines.next_is("feature importances:"):
        sizes[-1] -= 1  # the empty line is theirs
    if "tree_sizes" in header.values:
        _check_sizes(sizes, header.integers("tree_sizes").tolist())
    if lines.take() not in ends:
        raise ModelFormatError(f"line {lines.number}: expected 'end of trees'")
    return Document(header, tuple(trees), _pandas_categorical(lines))


def _check_sizes(sizes: list[int], announced: list[int]) -> None:
    """The library finds its trees by these sizes."""
    if len(sizes) != len(announced):
        raise ModelFormatError(f"{len(sizes)} trees, {len(announced)} announced by 'tree_sizes'")
    for index, (size, wanted) in enumerate(zip(sizes, announced, strict=True)):
        if size != wanted:
            raise ModelFormatError(f"tree {index}: {size} bytes, {wanted} announced by 'tree_sizes'")


class _Lines:
    """The lines of a text, in order."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.number = 0  # of the line taken last, from 1
        self.position = 0  # where the next one starts

    def __iter__(self) -> Iterator[str]:
        while self.number < len(self._lines):
            yield self.take()

    def take(self) -> str:
        """Return the next line, and stand behind it."""
        if self.number == len(self._lines):
            raise ModelFormatError(f"the text ends in line {self.number}, in the middle of the model")
        line = self._lines[self.number]
        self.number += 1
        self.position += len(line) + 1
        return line.removesuffix("\r")

    def take_whole(self) -> str:
        """Return the next line, which must have an end: what a cut leaves of one has none."""
        line = self.take()
        if self.number == len(self._lines):
            self.take()
        return line

    def next_is(self, start: str | tuple[str, ...]) -> bool:
        """Return whether a next line starts like this."""
        return self.number < len(self._lines) and self._lines[self.number].startswith(start)

    def skip_blank(self) -> None:
        while self.number < len(self._lines) and self._lines[self.number] in ("", "\r"):
            self.take()


def _fields(lines: _Lines, of: str, known: frozenset[str]) -> dict[str, str]:
    """The lines up to an empty one, and behind that one."""
    found: dict[str, str] = {}
    while line := lines.take_whole():
        key, given, value = line.partition("=")
        if key not in known:
            raise UnsupportedModel(f"{of}, line {lines.number}: '{key[:40]}' is not a field that this version knows")
        if key in found or bool(given) == (key == "average_output"):
            raise ModelFormatError(f"{of}, line {lines.number}: '{key}' stands twice, or is malformed")
        found[key] = value
    lines.skip_blank()
    return found


def _pandas_categorical(lines: _Lines) -> list[list[Any]]:
    """What stands after the trees: importances and parameters, which do not matter here, and pandas' categories.

    Before LightGBM 2.2 there were no parameters, and what was written then has none when it is written again.
    """
    begun = ended = False
    for line in lines:
        if line == "parameters:":
            begun = True
        elif line == "end of parameters":
            ended = True
        elif begun == ended and line.startswith("pandas_categorical:"):  # which only the Python package writes
            return _lists(line.removeprefix("pandas_categorical:"), lines.number)
        elif ended and line:
            raise ModelFormatError(f"line {lines.number}: expected 'pandas_categorical:', found '{line[:40]}'")
    if not ended:
        raise ModelFormatError(
            "the text ends before 'end of parameters' or, where there are none, 'pandas_categorical:'"
        )
    return []


def _lists(text: str, number: int) -> list[list[Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ModelFormatError(f"line {number}: pandas_categorical is malformed: {error}") from error
    lists = [] if found is None else found
    if not isinstance(lists, list) or not all(isinstance(item, list) for item in lists):
        raise ModelFormatError(f"line {number}: pandas_categorical is not a list of lists")
    return lists
