"""From a model's file to a Scorer that has answered a row: seconds, and memory beside the file's own size."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from common import RESULTS, WORK, write

import mlcore
from data import Array, matrix

TRAINED = 100_000
FOREST = {"eta": 1, "max_depth": 18, "subsample": 0.6, "colsample_bynode": 0.6, "lambda": 0, "min_child_weight": 1}
MODELS: dict[str, tuple[int, int, dict[str, Any]]] = {  # boosting rounds, trees of each, parameters
    "XGBoost 1,000 × d8": (1000, 1, {"eta": 0.1, "max_depth": 8, "objective": "binary:logistic"}),
    "XGBoost forest of 160 × d18": (1, 160, FOREST),
}


def model(name: str, X: Array, late: Array) -> Path:
    """Return the file of a trained model; made once. The forest fits noise, so that its trees grow large."""
    path = WORK / "compile" / f"{name.replace(' ', '-')}-{len(X)}.ubj"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        rounds, parallel, params = MODELS[name]
        labels = late if parallel == 1 else np.random.default_rng(0).random(len(X), np.float32)
        data = xgboost.DMatrix(X[:TRAINED], labels[:TRAINED])
        booster = xgboost.train({"nthread": 2, "num_parallel_tree": parallel, **params}, data, rounds)
        part = path.with_name(f"part-{path.name}")
        booster.save_model(part)
        part.rename(path)
    return path


def main(rows: int | None = None, repeats: int = 5, results: Path = RESULTS) -> list[dict[str, Any]]:
    """Measure each model in fresh processes; XGBoost reads the same file beside."""
    X, late = matrix(rows)
    small = WORK / "compile" / "small.ubj"
    row = WORK / "compile" / "row.npy"
    found = []
    for name in MODELS:
        path = model(name, X, late)
        np.save(row, X[:1])
        xgboost.train({"max_depth": 2}, xgboost.DMatrix(X[:100], late[:100]), 2).save_model(small)
        for side in ("mlcore", "xgboost"):
            runs = [_run(side, path, small, row) for _ in range(repeats)]
            found.append(
                {"model": name, "file MB": path.stat().st_size / 1e6, "side": side}
                | {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            )
    notes = [
        "a process of its own each time, which has read, compiled and asked a small model before: imports do not count",
        "memory: the process's highest resident size above what it was before, beside the file's size",
        "mlcore: read, compile, plan, prepare and answer one row; xgboost: read and answer one row",
    ]
    write("compile", "From a model's file to the first answer", found, notes, results)
    return found


def _run(side: str, path: Path, small: Path, row: Path) -> dict[str, float]:
    command = [sys.executable, __file__, side, str(path), str(small), str(row)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return dict(json.loads(ended.stdout))


def measure(side: str, path: Path, small: Path, row: Array) -> dict[str, float]:
    """Return the figures of one side, in this process."""

    def read(model: Path) -> Any:
        return mlcore.compile(model, threads=1) if side == "mlcore" else xgboost.Booster(model_file=str(model))

    def answer(made: Any) -> Any:
        return made.margin(row) if side == "mlcore" else made.inplace_predict(row, predict_type="margin")

    answer(read(small))
    before = _resident("VmRSS")
    started = time.perf_counter()
    made = read(path)
    compiled = time.perf_counter()
    answer(made)
    ended = time.perf_counter()
    peak = _resident("VmHWM") - before
    return {
        "read, compile s": compiled - started,
        "first answer s": ended - compiled,
        "peak MB": peak / 1e6,
        "× file": peak / path.stat().st_size,
    }


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), np.load(sys.argv[4]))))
