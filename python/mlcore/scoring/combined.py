"""Combinations of features, made of a block's columns as another column: codes of members first, then one hash a code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from mlcore.data.tables import Column
from mlcore.models.combinations import Combination, Member, hashed
from mlcore.scoring.inputs import Block, valid_rows
from mlcore.scoring.line import Array

_FEW_CODES: Final = 1 << 12


def combined(block: Block, combinations: Mapping[str, Combination], names: Sequence[str]) -> Block:
    """Return the block with a column behind the others for each combination; `names` are the raw features' columns."""
    by_name = {item.name: item for item in block.columns}
    more = [_column(name, item, by_name, names, block.rows) for name, item in combinations.items()]
    return replace(block, columns=(*block.columns, *more))


def _column(
    name: str, combination: Combination, by_name: Mapping[str, Column], names: Sequence[str], rows: int
) -> Column:
    parts = [_coded(member, by_name[names[member.feature]]) for member in combination.members]
    sizes = [len(values) for _, values in parts]
    if math.prod(sizes) <= max(rows, _FEW_CODES):
        known: Any = np.arange(math.prod(sizes))
        codes = np.ravel_multi_index([codes for codes, _ in parts], sizes) if rows else np.zeros(0, np.int64)
    else:
        known, codes = _distinct(parts, rows)
    places: Any = _digits(known, sizes) if known.ndim == 1 else known
    keys = hashed([values[place] for (_, values), place in zip(parts, places, strict=True)])
    return Column(name, codes.astype(np.int32), None, 0, pa.array(keys))


def _digits(codes: Array, sizes: Sequence[int]) -> Any:
    return np.unravel_index(codes, sizes) if len(codes) else [codes] * len(sizes)


def _distinct(parts: Sequence[tuple[Array, Array]], rows: int) -> tuple[Array, Array]:
    """The members' codes that stand together in a row, and each row's place among them; no number grows too large."""
    place = np.zeros(rows, np.int64)
    known = np.zeros((0, 1), np.int64)
    for codes, values in parts:
        both, place = np.unique(place * len(values) + codes, return_inverse=True)
        known = np.concatenate([known[:, both // len(values)], (both % len(values))[None]])
    return known, place


def _coded(member: Member, item: Column) -> tuple[Array, Array]:
    """A code for each row, and what the member gives for each code, int64."""
    if member.kind == "above":
        answer = np.where(valid_rows(item), _at_or_above(item.values, member), member.missing)
        return answer.astype(np.int64), np.arange(2)
    assert item.dictionary is not None  # the columns of categories are dictionaries of their hashes
    hashes = item.dictionary.to_numpy(zero_copy_only=False)
    if member.kind == "is":
        return (hashes == member.limit).astype(np.int64)[item.values], np.arange(2)
    return item.values, hashes.astype(np.uint32).view(np.int32).astype(np.int64)


def _at_or_above(values: Array, member: Member) -> Array:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return np.where(np.isnan(narrow), member.missing, narrow >= np.float32(member.limit))
