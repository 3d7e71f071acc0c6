"""Rows to train on and to score: the flights' 28 columns, and seeded tables of any width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import flights

LEAKS = ("dep_time", "dep_delay", "arr_time", "air_time", "arr_delay")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rows:
    """What to make rows of: the flights (`columns` 0), or a seeded table of `columns`; with missing values or without."""

    columns: int = 0
    missing: bool = True

    @property
    def name(self) -> str:
        """Names the rows in files and tables."""
        return (f"{self.columns} columns" if self.columns else "flights") + ("" if self.missing else ", none missing")

    def make(self, count: int, limit: int | None) -> tuple[Array, Array]:
        """Return a float32 matrix in C order and labels: `count` seeded rows, or all flights; about `limit` at most."""
        if self.columns:
            return mixed(self.columns, min(count, limit or count), missing=self.missing)
        X, late = matrix(limit)
        return (X if self.missing else np.nan_to_num(X, nan=-1.0)), late


def matrix(rows: int | None) -> tuple[Array, Array]:
    """Return 28 columns known before departure (strings as float32 codes), and whether the flight was late."""
    files = sorted((flights(rows) / "data").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(path) for path in files])
    late = table["arr_delay"].to_numpy(zero_copy_only=False)
    columns = []
    for name in [name for name in table.column_names if name not in (*LEAKS, "year", "time_hour")]:
        values = table[name].combine_chunks()
        if pa.types.is_string(values.type):
            values = values.dictionary_encode().indices
        columns.append(values.to_numpy(zero_copy_only=False).astype(np.float32))
    X = np.stack(columns, axis=1)[:, :28]
    known = ~np.isnan(late)
    return np.ascontiguousarray(X[known]), late[known] > 15


def mixed(columns: int, rows: int, *, missing: bool) -> tuple[Array, Array]:
    """Return continuous, skewed, counted and few-valued columns in turn, and labels that a few of them explain in part."""
    random = np.random.default_rng(columns)
    X = np.empty((rows, columns), dtype=np.float32)
    for at in range(columns):
        kind = at % 4
        if kind == 0:
            X[:, at] = random.normal(0, 10 ** random.uniform(-2, 3), rows)
        elif kind == 1:
            X[:, at] = random.lognormal(random.uniform(0, 6), 1.5, rows)
        elif kind == 2:
            X[:, at] = random.poisson(random.uniform(1, 2000), rows)
        else:
            X[:, at] = random.integers(0, random.integers(2, 60), rows)
    labels = _labels(X, random)
    if missing:
        for at in range(0, columns, 3):
            X[random.random(rows) < random.uniform(0.01, 0.3), at] = np.nan
    return X, labels


def _labels(X: Array, random: np.random.Generator) -> Array:
    """Ask up to twelve columns whether they lie above their median, weigh answers and pairs of answers, add noise."""
    asked = X[:, : min(12, X.shape[1])]
    above = asked > np.median(asked, axis=0)
    score = above @ random.normal(size=above.shape[1]) + (above ^ np.roll(above, 1, axis=1)) @ random.normal(
        size=above.shape[1]
    )
    score += random.normal(size=len(X))
    return np.asarray(score > np.median(score))
