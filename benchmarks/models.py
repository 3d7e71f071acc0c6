"""Models of many kinds and shapes on the flights, in memory, one thread: each beside the library that trained it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost
from common import RESULTS, WORK, alternate, spread, write
from score import matrix
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier

import mlcore

SCORED = 100_000  # rows of a batch
ALONE = 300  # rows asked for one by one
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Point:
    """A trained model: what its library says of rows, what we say, and how far apart they may be."""

    model: Any
    theirs: Callable[[Array], Array]
    ours: Callable[[Any], Callable[[Array], Array]]
    within: float = 0.0


def xgb(X: Array, y: Array, rounds: int, **params: Any) -> Point:
    """An XGBoost model of binary:logistic; margins, equal bits."""
    name = "-".join(f"{key}{value}" for key, value in sorted({**params, "rounds": rounds, "rows": len(X)}.items()))
    path = WORK / f"xgb-{name}.ubj"
    if not path.exists():
        settings = {"objective": "binary:logistic", "eta": 0.1, "nthread": 2, **params}
        xgboost.train(settings, xgboost.DMatrix(X, y), rounds).save_model(path)
    booster = xgboost.Booster(model_file=str(path))
    booster.set_param({"nthread": 1})
    return Point(booster, lambda rows: booster.inplace_predict(rows, predict_type="margin"), lambda s: s.margin)


def lgb(X: Array, y: Array, rounds: int, **params: Any) -> Point:
    """A LightGBM model of binary; margins, equal bits."""
    name = "-".join(f"{key}{value}" for key, value in sorted({**params, "rounds": rounds, "rows": len(X)}.items()))
    path = WORK / f"lgb-{name}.txt"
    if not path.exists():
        settings = {"objective": "binary", "learning_rate": 0.1, "num_threads": 2, "verbosity": -1, **params}
        lightgbm.train(settings, lightgbm.Dataset(X, y), rounds).save_model(path)
    booster = lightgbm.Booster(model_file=path)
    return Point(booster, lambda rows: booster.predict(rows, raw_score=True, num_threads=1), lambda s: s.margin)


def skl(model: Any, X: Array, y: Array, within: float = 1e-12) -> Point:
    """A scikit-learn classifier; probabilities."""
    model.fit(X, y)
    model.set_params(**({"n_jobs": 1} if "n_jobs" in model.get_params() else {}))
    return Point(model, model.predict_proba, lambda s: s.predict_proba, within)


POINTS: dict[str, Callable[[Array, Array], Point]] = {
    "XGBoost 500 × d6": lambda X, y: xgb(X, y, 500, max_depth=6),
    "XGBoost 500 × d8": lambda X, y: xgb(X, y, 500, max_depth=8),
    "XGBoost 1000 × d3": lambda X, y: xgb(X, y, 1000, max_depth=3),
    "XGBoost 500 × 63 leaves": lambda X, y: xgb(X, y, 500, max_depth=0, max_leaves=63, grow_policy="lossguide"),
    "XGBoost 100 × d12": lambda X, y: xgb(X, y, 100, max_depth=12),
    "LightGBM 500 × 63 leaves": lambda X, y: lgb(X, y, 500, num_leaves=63),
    "LightGBM 100 × 31 leaves": lambda X, y: lgb(X, y, 100, num_leaves=31),
    "LightGBM 100 × 255 leaves": lambda X, y: lgb(X, y, 100, num_leaves=255),
    "random forest, 100 unlimited": lambda X, y: skl(RandomForestClassifier(100, n_jobs=2, random_state=0), X, y),
    "random forest, 100 × d8": lambda X, y: skl(
        RandomForestClassifier(100, max_depth=8, n_jobs=2, random_state=0), X, y
    ),
    "gradient boosting, 100 × d3": lambda X, y: skl(GradientBoostingClassifier(random_state=0), X[::8], y[::8]),
    "HistGradientBoosting, 100 × 31 leaves": lambda X, y: skl(HistGradientBoostingClassifier(random_state=0), X, y),
}


def main(
    rows: int | None = None, repeats: int = 3, results: Path = RESULTS, points: tuple[str, ...] = tuple(POINTS)
) -> list[dict[str, Any]]:
    """Measure each point: a batch, then single rows."""
    X, late = matrix(rows)
    X = np.nan_to_num(X, nan=-1.0)  # GradientBoostingClassifier takes no missing values
    found = []
    for name in points:
        point = POINTS[name](X, late)
        scorer = mlcore.compile(point.model, threads=1)
        found += [compare(name, point, scorer, X[:SCORED], repeats), alone(name, point, scorer, X[:ALONE], repeats)]
    notes = [
        f"batches of {min(SCORED, len(X)):,} rows × {X.shape[1]} float32 columns, trained on {len(X):,}; one thread on both sides, C order",
        "margins of XGBoost and LightGBM are bit-equal, probabilities of scikit-learn within 1e-12, before anything is timed",
        f"xgboost {xgboost.__version__}, lightgbm {lightgbm.__version__}",
    ]
    write("models", "Models of many kinds and shapes, one thread", found, notes, results)
    return found


def compare(name: str, point: Point, scorer: mlcore.Scorer, X: Array, repeats: int) -> dict[str, Any]:
    """Return the row of a batch."""
    ours, F = point.ours(scorer), np.asfortranarray(X)
    check(name, ours(F), point.theirs(X), point.within)
    seconds = alternate({"library": lambda: point.theirs(X), "mlcore": lambda: ours(F)}, repeats)
    return _row(name, "batch", len(X), scorer, seconds)


def alone(name: str, point: Point, scorer: mlcore.Scorer, X: Array, repeats: int) -> dict[str, Any]:
    """Return the row of single rows, one after another."""
    rows = [X[i : i + 1].copy() for i in range(len(X))]
    ours = point.ours(scorer)
    found, wanted = (np.concatenate([call(row) for row in rows]) for call in (ours, point.theirs))
    check(name, found, wanted, point.within)
    sides = {"library": lambda: [point.theirs(row) for row in rows], "mlcore": lambda: [ours(row) for row in rows]}
    return _row(name, "one row", len(rows), scorer, alternate(sides, repeats))


def check(name: str, ours: Array, theirs: Array, within: float) -> None:
    """Stop where the two sides disagree."""
    equal = ours.tobytes() == theirs.tobytes() if within == 0 else np.abs(ours - theirs).max() <= within
    if ours.shape != theirs.shape or not equal:
        raise SystemExit(f"{name}: mlcore and the library disagree")


def _row(name: str, call: str, rows: int, scorer: mlcore.Scorer, seconds: dict[str, list[float]]) -> dict[str, Any]:
    library, mine = statistics.median(seconds["library"]), statistics.median(seconds["mlcore"])
    engines = scorer.describe()["plans"][0]["engines"] if call == "batch" else {}
    return {
        "model": name, "call": call, "library µs/row": library / rows * 1e6, "mlcore µs/row": mine / rows * 1e6,
        "× library": library / mine, "engine": ", ".join(engines), **spread(seconds["mlcore"]),
    }  # fmt: skip
