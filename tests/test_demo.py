"""The main job, from raw flights to a drift report, on a sample; what it says is checked against independent counts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.metrics import log_loss, roc_auc_score

from mlcore.bundle import Bundle

LEAKS = {"dep_time", "dep_delay", "arr_time", "air_time", "arr_delay"}


@pytest.fixture(scope="module")
def raw(finished: Path) -> pd.DataFrame:
    return pd.read_csv(finished / "raw" / "flights.csv", parse_dates=["time_hour"])


@pytest.fixture(scope="module")
def scored(finished: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted((finished / "scores").glob("*.parquet"))])


def facts(finished: Path, step: str) -> dict[str, Any]:
    return dict(json.loads((finished / ".mlcore" / "steps" / f"{step}.json").read_text())["result"])


def champion(finished: Path) -> Bundle:
    return Bundle.load(finished / facts(finished, "train")["bundle"])


def test_every_flight_is_ingested_into_a_file_a_month(finished: Path, raw: pd.DataFrame) -> None:
    files = sorted((finished / "data").glob("*.parquet"))
    assert [path.stem for path in files] == [f"2013-{month:02}" for month in range(1, 13)]
    typed = pd.concat([pd.read_parquet(path) for path in files])
    counts = raw.groupby(raw.time_hour.dt.strftime("%Y-%m")).size()
    assert [len(pd.read_parquet(path)) for path in files] == counts.tolist()
    assert typed.arr_delay.isna().sum() == raw.arr_delay.isna().sum()
    assert sorted(typed.dep_delay.dropna()) == sorted(raw.dep_delay.dropna())


def test_nothing_known_only_after_departure_is_a_feature(finished: Path) -> None:
    bundle = champion(finished)
    assert not LEAKS & set(bundle.transforms.columns)
    assert {"carrier", "tailnum", "distance", "temp", "plane_year"} <= set(bundle.transforms.columns)


def test_later_months_are_scored_flights_without_arrival_too(raw: pd.DataFrame, scored: pd.DataFrame) -> None:
    later = raw[raw.time_hour >= "2013-07-01"]
    assert len(scored) == len(later)
    assert later.arr_delay.isna().any()
    assert scored.score.between(0, 1).all()
    assert scored.score.dtype == np.float32


def test_scores_are_xgboosts_own(finished: Path, scored: pd.DataFrame) -> None:
    bundle = champion(finished)
    booster = xgboost.Booster(model_file=str(next((finished / facts(finished, "train")["bundle"]).glob("*.ubj"))))
    table = pd.concat([pd.read_parquet(path) for path in sorted((finished / "data").glob("2013-*.parquet"))[6:]])
    features = bundle.transforms.apply(table_of(table, bundle))
    X = np.asarray(features, np.float32)
    assert X.shape == (len(table), len(bundle.transforms.names))
    expected = booster.predict(xgboost.DMatrix(X, feature_names=booster.feature_names))
    np.testing.assert_allclose(scored.score.to_numpy(), expected, rtol=0, atol=1e-6)


def table_of(frame: pd.DataFrame, bundle: Bundle) -> Any:
    import pyarrow as pa

    return (
        pa.Table.from_pandas(frame[list(bundle.transforms.columns)], preserve_index=False)
        .combine_chunks()
        .to_batches()[0]
    )


def test_metrics_are_scikit_learns_on_the_held_out_end(finished: Path, raw: pd.DataFrame) -> None:
    from mlcore import scoring

    measured = facts(finished, "evaluate")
    held = pd.concat([pd.read_parquet(path) for path in sorted((finished / "data").glob("2013-*.parquet"))[:6]])
    held = held[(held.time_hour >= pd.Timestamp(measured["from"])) & held.arr_delay.notna()]
    labels, scores = held.arr_delay > 15, scoring.compile(champion(finished)).predict_value(held)
    assert measured["metrics"]["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert measured["metrics"]["log_loss"] == pytest.approx(log_loss(labels, scores.astype(np.float64)), abs=1e-6)
    assert measured["metrics"]["rows"] == len(held) < len(raw)


def test_what_is_watched_equals_a_count_of_the_scored_rows(finished: Path, raw: pd.DataFrame) -> None:
    report = json.loads((finished / "report" / "drift.json").read_text())
    months = raw[raw.time_hour >= "2013-07-01"].groupby(raw.time_hour.dt.strftime("%Y-%m"))
    assert [window["name"] for window in report["windows"]] == sorted(months.groups)
    assert [window["rows"] for window in report["windows"]] == months.size().tolist()
    for window in report["windows"]:
        carrier = next(c for c in window["columns"] if c["column"] == "carrier")["distribution"]
        carriers = months.get_group(window["name"]).carrier.value_counts()
        for name, count in zip(carrier["groups"], carrier["current"], strict=True):
            if name in carriers:
                assert count == carriers[name]
        assert {"UA", "B6", "DL"} <= set(carrier["groups"])
        assert sum(carrier["current"]) == window["rows"]


def test_a_known_shift_is_found_and_a_steady_column_is_not(finished: Path) -> None:
    report = json.loads((finished / "report" / "drift.json").read_text())
    verdicts = {(w["name"], c["column"]): c["verdict"] for w in report["windows"] for c in w["columns"]}
    assert verdicts["2013-07", "temp"] == "drift"  # July is warmer than January to June
    assert {verdicts[month, "origin"] for month, name in verdicts if name == "origin"} == {"ok"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [
            value for name, value in attrs if name in ("src", "href") and value and not value.startswith("#")
        ]


def test_the_report_is_one_page_that_needs_nothing_else(finished: Path) -> None:
    page = _Page()
    page.feed((finished / "report" / "drift.html").read_text())
    assert page.tags.count("svg") > 10
    assert not page.outside


def test_a_second_run_skips_every_step(project: Path, mlcore: Any) -> None:
    before = {path: path.read_bytes() for path in project.glob("scores/*.*")}
    ended = mlcore("run", "--project", project, "--json")
    assert ended.code == 0
    assert [step["skipped"] for step in ended.json["steps"]] == [True] * 7
    assert {path: path.read_bytes() for path in project.glob("scores/*.*")} == before


@pytest.mark.slow
def test_the_whole_demo_runs_on_all_flights(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlcore.cli", "demo"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "336,776 rows in 12 files" in ended.stdout
    assert "3 of 3 gates passed" in ended.stdout
    assert "170,618 rows" in ended.stdout
    shutil.rmtree(tmp_path / "flights")
