"""SHAP values: 500 XGBoost trees of depth 6 and of depth 8 on 28 columns of the flights, in memory, one thread."""

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
from common import RESULTS, WORK, alternate, spread, write
from isas import model

import mlcore
from data import matrix
from mlcore import backend as backends

DEPTHS = (6, 8)
EXPLAINED = 500  # XGBoost needs seconds for these
WITHIN = 1e-5  # of the largest value: the peer adds up in float32


def main(rows: int | None = None, repeats: int = 3, results: Path = RESULTS, trees: int = 500) -> list[dict[str, Any]]:
    """Measure every side that runs here; each instruction set has a process of its own, with XGBoost beside it."""
    X, late = matrix(rows)
    np.save(WORK / "explain-X.npy", X[:: max(10, len(X) // EXPLAINED)][:EXPLAINED])
    for depth in DEPTHS:
        model(X, late, trees, depth).save_model(WORK / f"explain-{depth}.ubj")
    native = [("cpu", isa) for isa in backends.select("cpu").kernels.isas()]
    found = []
    for backend, isa in [*native, ("numba", "")]:
        environment = {**os.environ, "MLCORE_ISA": isa} if isa else dict(os.environ)
        subprocess.run([sys.executable, __file__, backend, str(repeats)], env=environment, check=True)
        found += [dict(row) for row in json.loads((WORK / "explain-side.json").read_text())]
    explained = len(np.load(WORK / "explain-X.npy"))
    notes = [
        f"{explained:,} of {len(X):,} rows × {X.shape[1]} columns, {trees} trees; all values within {WITHIN:g} of the largest before anything is timed",
        f"the peer is predict(pred_contribs=True) on a DMatrix that is ready, in float32; xgboost {xgboost.__version__}, nthread=1; ours is float64",
    ]
    write("explain", "SHAP values in memory, one thread", found, notes, results)
    return found


def side(backend: str, repeats: int) -> None:
    """Measure one backend against XGBoost, alternating."""
    X = np.load(WORK / "explain-X.npy")
    data, rows = xgboost.DMatrix(X, nthread=1), []
    for depth in DEPTHS:
        booster = xgboost.Booster(model_file=str(WORK / f"explain-{depth}.ubj"))
        booster.set_param({"nthread": 1})
        scorer = mlcore.compile(booster, backend=backend, threads=1)
        check(scorer.explain(X), booster.predict(data, pred_contribs=True))
        name = f"mlcore {backend} {scorer.backend.isa}"
        peer = f"pred_contribs (beside {name})"
        sides = {peer: lambda: booster.predict(data, pred_contribs=True), name: lambda: scorer.explain(X)}  # noqa: B023
        seconds = alternate(sides, repeats)
        rows += [
            {"side": label, "depth": depth, **spread(times), "rows/s": len(X) / statistics.median(times),
             "M row·trees/s": len(X) * scorer.model.n_trees / statistics.median(times) / 1e6,
             "× XGBoost": statistics.median(seconds[peer]) / statistics.median(times)}
            for label, times in seconds.items()
        ]  # fmt: skip
    (WORK / "explain-side.json").write_text(json.dumps(rows))


def check(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Stop where the values differ."""
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > WITHIN * np.abs(theirs).max():
        raise SystemExit("values differ from XGBoost's pred_contribs")


if __name__ == "__main__":
    side(sys.argv[1], int(sys.argv[2])) if sys.argv[1:] else main()
