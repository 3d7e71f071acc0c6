"""Scoring files: inputs that change, runs that were killed, outputs that cannot be written, options that make no sense."""

from __future__ import annotations

import itertools
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

import mlcore
from mlcore.errors import DataError, OutputError, ProfileMismatch, SchemaMismatch, UsageError
from mlcore.profile import Profile
from mlcore.scoring import score_files
from mlcore.scoring.manifest import Manifest

xgboost = pytest.importorskip("xgboost")

NAMES = ["a", "b"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3_000, 2)).astype(np.float32)
BOOSTER = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, X[:, 0] > 0, feature_names=NAMES), 5)


def write(path: Path, values: Any = X, **columns: Any) -> Path:
    pq.write_table(pa.table({**dict(zip(NAMES, values.T, strict=True)), **columns}), path, row_group_size=1_000)
    return path


def listed(folder: Path) -> list[str]:
    return sorted(json.loads((folder / "manifest.json").read_text())["files"])


def test_an_input_replaced_while_it_is_scored_is_an_error_and_not_recorded(tmp_path: Path) -> None:
    source, other = write(tmp_path / "in.parquet"), write(tmp_path / "other", -X)

    def replace_once(rows: int) -> None:
        if other.exists():
            os.replace(other, source)

    with pytest.raises(DataError, match=r"in\.parquet changed while it was being scored"):
        mlcore.score(BOOSTER, source, tmp_path / "out", threads=1, progress=replace_once)
    assert list((tmp_path / "out").glob("*.parquet")) == []
    assert mlcore.score(BOOSTER, source, tmp_path / "out").skipped == 0
    found = pq.read_table(tmp_path / "out" / "in.parquet")["score"].to_numpy()
    assert np.array_equal(found, mlcore.compile(BOOSTER).predict_value(-X))


CATEGORIES: dict[str, Any] = {"int": [3, 10, -7], "float": [0.5, 2.25, -1e9], "bool": [True, False], "str": list("abc")}


@pytest.mark.parametrize(
    ("library", "kind"),
    [("xgboost", "int"), ("xgboost", "str"), *itertools.product(["lightgbm", "histograms"], CATEGORIES)],
)
def test_categories_of_a_file_are_those_that_pandas_wrote(library: str, kind: str, tmp_path: Path) -> None:
    """Parquet keeps no dictionaries but of strings; what pandas noted says which columns held categories."""
    values = np.array(CATEGORIES[kind])[RNG.integers(0, len(CATEGORIES[kind]), len(X))]
    frame = pd.DataFrame({"a": X[:, 0], "k": pd.Categorical(values), "b": X[:, 1]})
    model: Any = {
        "lightgbm": lightgbm.LGBMRegressor(n_estimators=4, verbose=-1, n_jobs=1),
        "xgboost": xgboost.XGBRegressor(n_estimators=4, n_jobs=1, enable_categorical=True),
        "histograms": HistGradientBoostingRegressor(max_iter=4),
    }[library]
    model.fit(frame, X[:, 0] + 3 * (values == values[0]))
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=700)
    found = pq.read_table(mlcore.score(model, tmp_path / "rows.parquet", tmp_path / "out").files[0])
    expected = model.predict(frame)
    assert np.array_equal(found["score"].to_numpy(), expected)
    assert np.array_equal(mlcore.compile(model).predict(pq.read_table(tmp_path / "rows.parquet")), expected)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_numbers_that_pandas_noted_as_categories_are_numbers_to_a_model_of_numbers(
    library: str, tmp_path: Path
) -> None:
    """pandas itself reads them as numbers again."""
    codes = RNG.integers(0, 9, len(X))
    frame = pd.DataFrame({"k": pd.Categorical(codes), "text": pd.Categorical(codes % 3).rename_categories(list("abc"))})
    frame.to_parquet(tmp_path / "rows.parquet")
    read = pd.read_parquet(tmp_path / "rows.parquet").astype({"k": np.int64, "text": "category"})
    model: Any = lightgbm.LGBMRegressor(n_estimators=4, verbose=-1, n_jobs=1)
    if library == "xgboost":
        model = xgboost.XGBRegressor(n_estimators=4, n_jobs=1, enable_categorical=True)
    model.fit(read, X[:, 0] + codes)
    found = pq.read_table(mlcore.score(model, tmp_path / "rows.parquet", tmp_path / "out").files[0])
    assert np.array_equal(found["score"].to_numpy(), model.predict(read))


def test_numbers_of_a_file_that_pandas_did_not_write_are_no_categories(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "k": pd.Categorical(RNG.integers(0, 3, len(X)))})
    model = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1).fit(frame, X[:, 1] + 0)
    plain = pa.table({"a": X[:, 0], "k": frame["k"].astype(int)})
    for noted in ({}, {"pandas": "{"}, {"pandas": '{"columns": [{}]}'}, {"pandas": "[]"}):
        pq.write_table(plain.replace_schema_metadata(noted), tmp_path / "rows.parquet")
        with pytest.raises(
            SchemaMismatch, match="rows.parquet, row group 0: the model was trained on 1 columns of categ"
        ):
            mlcore.score(model, tmp_path / "rows.parquet", tmp_path / "out")


def test_the_manifest_of_another_job_is_emptied_before_its_outputs_are_replaced(tmp_path: Path) -> None:
    write(tmp_path / "in.parquet")
    mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out")
    assert listed(tmp_path / "out") == ["in"]
    Manifest.open(tmp_path / "out", job={"model": "another"}, resume=True)
    assert listed(tmp_path / "out") == []


@pytest.mark.parametrize("damage", ["", "[]", '{"format": 1, "job": {}, "files": []}', '{"format": 99}'])
def test_a_damaged_manifest_means_scoring_again(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "in.parquet")
    mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out")
    (tmp_path / "out" / "manifest.json").write_text(damage)
    assert mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out").skipped == 0
    assert mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out").skipped == 1


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    write(tmp_path / "in.parquet")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".in.parquet.4711.partial").write_bytes(b"half")
    mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["in.parquet", "manifest.json"]


def test_the_first_error_is_the_one_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet")
    write(tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_bytes(b"junk" * 100)
    whole = Manifest._write

    def once(self: Manifest) -> None:
        if not list((tmp_path / "out").glob("b.parquet")):
            return whole(self)
        raise OutputError("cannot write manifest.json")

    monkeypatch.setattr(Manifest, "_write", once)
    files = [tmp_path / f"{name}.parquet" for name in "abc"]
    with pytest.raises(DataError, match=r"c\.parquet is not a whole Parquet file"):
        mlcore.score(BOOSTER, files, tmp_path / "out", threads=1)


def test_an_output_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    write(tmp_path / "in.parquet")
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        mlcore.score(BOOSTER, tmp_path / "in.parquet", tmp_path / "out")


@pytest.mark.parametrize("keep", [["score"], ["a", "a"]])
def test_a_column_written_twice_is_refused(tmp_path: Path, keep: list[str]) -> None:
    with pytest.raises(UsageError, match="written twice"):
        mlcore.score(BOOSTER, write(tmp_path / "in.parquet"), tmp_path / "out", keep=keep)


def test_csv_is_sent_to_ingest(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="`mlcore ingest` makes Parquet"):
        mlcore.score(BOOSTER, tmp_path / "in.csv", tmp_path / "out")
    with pytest.raises(DataError, match=r"no file ends in \.parquet"):
        mlcore.score(BOOSTER, tmp_path, tmp_path / "out")


def test_a_time_column_that_is_no_time_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", day=pa.array(["monday"] * len(X)))
    with pytest.raises(SchemaMismatch, match=r"in\.parquet: time column 'day': expected a timestamp or date"):
        score_files(mlcore.compile(BOOSTER), source, tmp_path / "out", time="day", since=date(2013, 1, 1))


def test_an_error_in_the_rows_names_file_and_row_group(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", np.stack([X[:, 0], X[:, 1]], axis=1))
    table = pq.read_table(source)
    pq.write_table(table.set_column(1, "b", pa.array([["x"]] * len(X))), source)
    with pytest.raises(DataError, match=r"in\.parquet, row group 0: column 'b'"):
        mlcore.score(BOOSTER, source, tmp_path / "out")


def test_a_column_called_prediction_is_refused_where_predictions_are_profiled() -> None:
    profile = Profile.fit(pa.table({"prediction": X[:, 0]}))
    with pytest.raises(ProfileMismatch, match="'prediction' of its own; give it another name"):
        profile.with_column("prediction", X[:, 0])


@pytest.mark.parametrize("encoded", [False, True])
def test_strings_stored_as_views_count_and_score_like_others(encoded: bool) -> None:
    from sklearn.pipeline import Pipeline

    from mlcore.preprocessing import ColumnTransformer, OrdinalEncoder

    plain = pa.table({"c": pa.array(["x", "y", None, "x"] * 50)})
    views = pa.array(["x", "y", None, "x"] * 50, pa.string_view())
    viewed = pa.table({"c": views.dictionary_encode() if encoded else views})
    steps = ColumnTransformer([("c", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["c"])])
    target = np.array([1, 0, 0, 1] * 50)
    scorer = mlcore.compile(Pipeline([("t", steps), ("m", xgboost.XGBClassifier(n_estimators=3))]).fit(plain, target))
    assert np.array_equal(scorer.margin(viewed), scorer.margin(plain))
    assert Profile.fit(viewed).equals(Profile.fit(plain))
