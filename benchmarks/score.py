"""Scoring alone: a 500 × depth-6 XGBoost model on 28 float32 columns of the flights, in memory, one thread, to margins."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost
from common import RESULTS, WORK, alternate, copy_bandwidth, flights, spread, write

import mlcore
from mlcore import backend as backends

LEAKS = ("dep_time", "dep_delay", "arr_time", "air_time", "arr_delay")


def matrix(rows: int | None) -> tuple[np.ndarray, np.ndarray]:
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


def model(X: np.ndarray, late: np.ndarray, trees: int, depth: int = 6) -> xgboost.Booster:
    """Return the trained model; made once a shape."""
    path = WORK / f"score-{len(X)}-{X.shape[1]}-{trees}-{depth}.ubj"
    if not path.exists():
        params = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.1, "nthread": 2}
        xgboost.train(params, xgboost.DMatrix(X, late), trees).save_model(path)
    return xgboost.Booster(model_file=str(path))


def main(rows: int | None = None, repeats: int = 5, results: Path = RESULTS, trees: int = 500) -> list[dict[str, Any]]:
    """Measure every side that runs here; each instruction set has a process of its own, with XGBoost beside it."""
    X, late = matrix(rows)
    booster = model(X, late, trees)
    np.save(WORK / "score-X.npy", X)
    booster.save_model(WORK / "score.ubj")
    native = [("cpu", isa) for isa in backends.select("cpu").kernels.isas()]
    found = []
    for backend, isa in [*native, ("numba", "")]:
        environment = {**os.environ, "MLCORE_ISA": isa} if isa else dict(os.environ)
        command = [sys.executable, __file__, backend, str(repeats)]
        subprocess.run(command, env=environment, check=True)
        found += [dict(row) for row in json.loads((WORK / "score-side.json").read_text())]
    bandwidth = copy_bandwidth()
    for row in found:
        row["share of copy bandwidth"] = X.nbytes / row["median_s"] / bandwidth
    notes = [
        f"{len(X):,} rows × {X.shape[1]} columns, {trees} trees of depth 6; margins bit-equal before anything is timed",
        f"the peer is the faster of inplace_predict on C- and F-order arrays (predict on a DMatrix keeps its last answer); xgboost {xgboost.__version__}, nthread=1",
        f"one thread copies {bandwidth / 1e9:.1f} GB/s here",
    ]
    write("score", "Scoring in memory, one thread", found, notes, results)
    return found


def side(backend: str, repeats: int) -> None:
    """Measure one backend against XGBoost, alternating."""
    X = np.load(WORK / "score-X.npy")
    F, booster = np.asfortranarray(X), xgboost.Booster(model_file=str(WORK / "score.ubj"))
    booster.set_param({"nthread": 1})
    scorer = mlcore.compile(booster, backend=backend, threads=1)
    peers = {
        "inplace_predict, C order": lambda: booster.inplace_predict(X, predict_type="margin"),
        "inplace_predict, F order": lambda: booster.inplace_predict(F, predict_type="margin"),
    }
    ours = scorer.margin(F)
    for name, peer in peers.items():
        if peer().tobytes() != ours.tobytes():
            raise SystemExit(f"margins differ from XGBoost's {name}")
    quick = {name: statistics.median(times) for name, times in alternate(peers, 1).items()}
    best = min(quick, key=lambda name: quick[name])
    name = f"mlcore {backend} {scorer.backend.isa}"
    seconds = alternate({best: peers[best], name: lambda: scorer.margin(F)}, repeats)
    trees = len(X) * scorer.model.n_trees
    rows = [
        {"side": f"{label} (beside {name})" if label == best else label, **spread(times), "Mrows/s": len(X) / statistics.median(times) / 1e6,
         "G row·trees/s": trees / statistics.median(times) / 1e9,
         "× XGBoost": statistics.median(seconds[best]) / statistics.median(times)}
        for label, times in seconds.items()
    ]  # fmt: skip
    (WORK / "score-side.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    side(sys.argv[1], int(sys.argv[2]))
