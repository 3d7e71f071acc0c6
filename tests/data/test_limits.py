"""Limits in [columns]: those that could never be broken, or mean nothing, are refused by column and key."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost

import mlcore
from mlcore.data.csv import read_csv
from mlcore.data.schema import Schema
from mlcore.errors import ConfigError, DataError
from mlcore.records.secrets import redact
from mlcore.scoring import score_files

COLUMNS = pa.schema([("n", pa.float64()), ("s", pa.string()), ("t", pa.timestamp("us"))])


@pytest.mark.parametrize(
    ("column", "said", "message"),
    [
        ("n", {"min": float("nan")}, "'min' must be a number"),
        ("n", {"min": "a"}, "'min' must be a number"),
        ("n", {"max": True}, "'max' must be a number"),
        ("n", {"max_missing": "0.1"}, "'max_missing' must be a number"),
        ("n", {"max_missing": 5}, "'max_missing' must be a share, from 0 to 1"),
        ("s", {"max_unseen": -1}, "'max_unseen' must be a share, from 0 to 1"),
        ("n", {"min": 3, "max": 2}, "'min' must not be above 'max' 2"),
        ("s", {"min": 3}, "'min' is a limit of numbers, and the column holds string; declare its type"),
        ("t", {"max": 3}, "'max' is a limit of numbers"),
        ("n", {"max_unseen": 0.1}, "'max_unseen' is a limit of strings"),
        ("n", {"categories": ["a"]}, "'categories' is a limit of strings"),
        ("s", {"categories": "EWR"}, "'categories' must be a list of strings"),
        ("s", {"categories": [5]}, "'categories' must be a list of strings"),
        ("n", {"type": "foo"}, "type 'foo' is not known"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(column: str, said: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[columns\] {column}: {message}"):
        Schema.infer(COLUMNS, {column: said})


def test_limits_that_fit_are_kept() -> None:
    said = {"n": {"min": -1, "max": 2.5, "max_missing": 0.1}, "s": {"categories": ["a"], "max_unseen": 0}}
    schema = Schema.infer(COLUMNS, said)
    assert (schema.fields[0].minimum, schema.fields[0].maximum, schema.fields[1].categories) == (-1, 2.5, ("a",))


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text("a,b,a\n1,2,3\n")
    with pytest.raises(DataError, match=r"raw\.csv: column 'a' is there twice"):
        read_csv(tmp_path / "raw.csv", {})


@pytest.mark.parametrize("password", ["p", "p@ss", "p/ss", "a:b@c"])
def test_no_part_of_a_password_is_shown(password: str) -> None:
    assert redact(f"no answer from postgresql://me:{password}@host/db") == "no answer from postgresql://***@host/db"


def test_a_day_begins_at_its_own_midnight(tmp_path: Path) -> None:
    """Rows before midnight in Tokyo are the day before there, whatever day it is in UTC."""
    hours = pa.array(np.arange(0, 48 * 3_600_000_000, 3_600_000_000), pa.timestamp("us"))
    local = pa.compute.assume_timezone(hours, "Asia/Tokyo")  # 1970-01-01 and 02, hour by hour
    X = np.arange(48, dtype=np.float32).reshape(-1, 1)
    booster = xgboost.train({"max_depth": 1}, xgboost.DMatrix(X, X[:, 0] > 9, feature_names=["x"]), 1)
    pq.write_table(pa.table({"x": X[:, 0], "time": local}), tmp_path / "in.parquet")
    found = score_files(mlcore.compile(booster), tmp_path / "in.parquet", tmp_path / "out", time="time",
                        since=date(1970, 1, 2))  # fmt: skip
    assert found.rows == 24
