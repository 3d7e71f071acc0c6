"""One XGBoost model, 500 × depth 6 on all flights, in memory, to margins: every backend and instruction set, and two threads."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from common import RESULTS, WORK, alternate, copy_bandwidth, spread, write

import mlcore
from data import matrix
from mlcore import backend as backends


def model(X: np.ndarray, late: np.ndarray, trees: int, depth: int = 6) -> xgboost.Booster:
    """Return the trained model; made once a shape."""
    path = WORK / f"isas-{len(X)}-{X.shape[1]}-{trees}-{depth}.ubj"
    if not path.exists():
        params = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.1, "nthread": 2}
        xgboost.train(params, xgboost.DMatrix(X, late), trees).save_model(path)
    return xgboost.Booster(model_file=str(path))


def main(rows: int | None = None, repeats: int = 5, results: Path = RESULTS, trees: int = 500) -> list[dict[str, Any]]:
    """Measure every side that runs here; each instruction set has a process of its own, with XGBoost beside it."""
    X, late = matrix(rows)
    booster = model(X, late, trees)
    np.save(WORK / "isas-X.npy", X)
    booster.save_model(WORK / "isas.ubj")
    native = [("cpu", isa, 1) for isa in backends.select("cpu").kernels.isas()]
    found = []
    for backend, isa, threads in [*native, ("numba", "", 1), ("cpu", "", 2)]:
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # XGBoost's threads would spin in our turn
        if isa:
            environment["MLCORE_ISA"] = isa
        command = [sys.executable, __file__, backend, str(threads), str(repeats)]
        subprocess.run(command, env=environment, check=True)
        found += [dict(row) for row in json.loads((WORK / "isas-side.json").read_text())]
    bandwidth = copy_bandwidth()
    for row in found:
        row["share of copy bandwidth"] = X.nbytes / row["median_s"] / bandwidth
    notes = [
        f"{len(X):,} rows × {X.shape[1]} columns, {trees} trees of depth 6; margins bit-equal before anything is timed",
        f"the peer is the faster of inplace_predict on C- and F-order arrays (predict on a DMatrix keeps its last answer); xgboost {xgboost.__version__}, nthread=1",
        f"one thread copies {bandwidth / 1e9:.1f} GB/s here",
    ]
    write("isas", "One model on every backend and instruction set, and on two threads", found, notes, results)
    return found


def side(backend: str, threads: int, repeats: int) -> None:
    """Measure one backend against XGBoost on as many threads, alternating."""
    X = np.load(WORK / "isas-X.npy")
    F, booster = np.asfortranarray(X), xgboost.Booster(model_file=str(WORK / "isas.ubj"))
    booster.set_param({"nthread": threads})
    scorer = mlcore.compile(booster, backend=backend, threads=threads)
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
    name = f"mlcore {backend} {scorer.backend.isa}" + (f", {threads} threads" if threads > 1 else "")
    seconds = alternate({best: peers[best], name: lambda: scorer.margin(F)}, repeats)
    trees = len(X) * scorer.model.n_trees
    rows = [
        {"side": f"{label} (beside {name})" if label == best else label, **spread(times), "Mrows/s": len(X) / statistics.median(times) / 1e6,
         "G row·trees/s": trees / statistics.median(times) / 1e9,
         "× XGBoost": statistics.median(seconds[best]) / statistics.median(times)}
        for label, times in seconds.items()
    ]  # fmt: skip
    (WORK / "isas-side.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    side(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])) if sys.argv[1:] else main()
