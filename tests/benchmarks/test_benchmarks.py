"""The benchmarks run on a few rows, and stop where their two sides disagree."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlcore
from mlcore import ops

FOLDER = Path(__file__).parents[2] / "benchmarks"
ROWS = 3000


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a benchmark by name."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def results(folder: Path, name: str) -> dict[str, Any]:
    assert (folder / f"{name}.md").read_text().startswith("# ")
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    assert found["machine"]["processor"] or sys.platform != "linux"
    return found


@pytest.mark.slow
def test_each_side_is_measured_and_written(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "run.py"), "isas", "explain", "binning", "startup", "ops"]
    options = ["--rows", str(ROWS), "--repeats", "1", "--results", str(tmp_path)]
    subprocess.run([*command, *options], check=True, capture_output=True, env=dict(os.environ))
    score = {row["side"].split(" (")[0]: row for row in results(tmp_path, "isas")["rows"]}
    assert {"mlcore cpu portable", "mlcore numba llvm"} <= set(score)
    assert all(row["median_s"] > 0 and row["× XGBoost"] > 0 for row in score.values())
    explain = results(tmp_path, "explain")["rows"]
    assert {(row["side"].split(" (")[0], row["depth"]) for row in explain} >= {
        ("mlcore numba llvm", 6),
        ("pred_contribs", 8),
    }
    assert all(row["median_s"] > 0 and row["× XGBoost"] > 0 for row in explain)
    binning = results(tmp_path, "binning")["rows"]
    assert {row["values"] for row in binning} == {"float32", "float64", "int32", "int64"}
    assert all(row["ns/value"] > 0 for row in binning)
    assert "import mlcore" in {row["command"] for row in results(tmp_path, "startup")["rows"]}
    measured = {(row["op"], row["backend"]) for row in results(tmp_path, "ops")["rows"]}
    assert measured == {(op, backend) for op in ops.NAMES for backend in ("cpu", "numba")}


@pytest.mark.slow
def test_points_of_every_library_are_measured_without_their_peers(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, peer = bench("score"), bench("peer")

    def absent(*words: Any) -> None:
        raise peer.Unsupported("not installed")

    monkeypatch.setattr(score, "Peer", absent)
    asked = ["XGBoost 1,000 × d3", "LightGBM 100 × 31", "random forest 100 × d8", "HistGradientBoosting"]
    rows = score.main(ROWS, 1, tmp_path, asked)
    assert len(rows) == len(asked)
    assert all(row["× library"] > 0 and row["best peer"] is None for row in rows)
    refused = results(tmp_path, "score")["peers"]
    assert len(refused) == len(asked) * len(peer.TAKES)
    assert {row["not supported"] for row in refused} == {"not installed"}


@pytest.mark.slow
def test_the_nightly_job_agrees_with_pandas_scikit_learn_and_xgboost(bench: Any) -> None:
    batch, common = bench("batch"), bench("common")
    rows, notes = batch.measure(common.flights(ROWS), Path(sys.executable), repeats=1, watch=False)
    sides = [row["side"] for row in rows]
    assert sides[:2] == ["mlcore", "pandas + ColumnTransformer + XGBoost"]
    assert sides[2].startswith("pyarrow reads")
    assert any("counts exactly" in note for note in notes)


class Off:
    """A scorer whose margins are a last bit off."""

    def __init__(self, scorer: Any) -> None:
        self.scorer, self.backend, self.model = scorer, scorer.backend, scorer.model

    def margin(self, X: Any) -> Any:
        return np.nextafter(self.scorer.margin(X), np.float32(np.inf))


def test_margins_a_last_bit_apart_stop_the_scoring_benchmark(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xgboost = pytest.importorskip("xgboost")
    isas = bench("isas")
    X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    np.save(tmp_path / "isas-X.npy", X)
    xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, X[:, 0] > 0), 3).save_model(
        tmp_path / "isas.ubj"
    )
    monkeypatch.setattr(isas, "WORK", tmp_path)
    compiled = mlcore.compile
    isas.side("cpu", 1, 1)
    monkeypatch.setattr(isas.mlcore, "compile", lambda *words, **options: Off(compiled(*words, **options)))
    with pytest.raises(SystemExit, match="margins differ"):
        isas.side("cpu", 1, 1)


def test_values_that_differ_stop_the_explaining_benchmark(bench: Any) -> None:
    pytest.importorskip("xgboost")
    explain, values = bench("explain"), np.array([[3.0, -1.0]])
    explain.check(values + 2e-5, values)
    for other in (values + 4e-5, values[:, :1]):
        with pytest.raises(SystemExit, match="values differ"):
            explain.check(other, values)


@pytest.mark.parametrize(("shift", "counted", "message"), [(1e-3, 2, "scores differ"), (0.0, 3, "counts of carrier")])
def test_other_scores_or_counts_stop_the_nightly_benchmark(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float, counted: int, message: str
) -> None:
    batch = bench("batch")
    monkeypatch.setattr(batch, "WORK", tmp_path)
    for side, moved in (("ours", 0.0), ("peer", shift)):
        (tmp_path / side).mkdir()
        pq.write_table(pa.table({"score": pa.array([0.25, 0.5 + moved])}), tmp_path / side / "a.parquet")
    (tmp_path / "project" / "data").mkdir(parents=True)
    pq.write_table(pa.table({"carrier": ["UA", "UA"]}), tmp_path / "project" / "data" / "a.parquet")
    (tmp_path / "peer" / "counts.json").write_text(json.dumps({"carrier": {"UA": counted}}))
    with pytest.raises(SystemExit, match=message):
        batch.check(tmp_path / "project")
