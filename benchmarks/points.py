"""The 24 models that `score` measures, and the rows each scores at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import WORK
from libraries import LIBRARIES, Library

from data import Array, Rows

FLIGHTS, PLAIN = Rows(), Rows(missing=False)
ALL = 10**9


@dataclass(frozen=True)
class Point:
    """A model by its library, trees and parameters, trained on `trained` of the rows; `batch` of them are scored at a time."""

    by: str
    shape: str
    trees: int
    params: dict[str, Any] = field(default_factory=dict)
    rows: Rows = FLIGHTS
    trained: int = ALL
    batch: int = 100_000

    @property
    def name(self) -> str:
        """Says all that the tables need: `--points` asks by it."""
        batch = {1: "one row", ALL: "all rows"}.get(self.batch, f"{self.batch:,} rows")
        return f"{self.by} {self.trees:,} × {self.shape}, {self.rows.name}, {batch}"

    @property
    def library(self) -> Library:
        """What trained the model."""
        return LIBRARIES[self.by]

    def make(self, limit: int | None) -> tuple[Array, Array]:
        """Return the rows and labels: enough to train and to score, about `limit` at most."""
        return self.rows.make(max(self.trained, 0 if self.batch == ALL else self.batch), limit)

    def model(self, X: Array, y: Array) -> Path:
        """Return the file of the trained model; made once for its parameters and rows."""
        known = [self.by, self.rows.name, min(self.trained, len(X)), self.trees, *sorted(self.params.items())]
        path = WORK / "points" / f"{re.sub(r'[^0-9A-Za-z_.]+', '-', str(known)).strip('-')}.{self.library.suffix}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            trained = self.library.train(X[: self.trained], y[: self.trained], self.trees, self.params)
            part = path.with_name(f"part-{path.name}")
            self.library.save(trained, part)
            part.rename(path)
        return path


def depth(levels: int, name: str = "max_depth") -> dict[str, Any]:
    """Return the parameter that limits depth."""
    return {name: levels}


LEAVES_63 = {"max_depth": 0, "max_leaves": 63, "grow_policy": "lossguide"}
POINTS = (
    Point("XGBoost", "d6", 500, depth(6), batch=ALL),
    Point("XGBoost", "d6", 500, depth(6), batch=64),
    Point("XGBoost", "d6", 500, depth(6), batch=1),
    Point("XGBoost", "d8", 500, depth(8)),
    Point("XGBoost", "d3", 1000, depth(3)),
    Point("XGBoost", "63 leaves", 500, LEAVES_63),
    Point("XGBoost", "d12", 100, depth(12)),
    Point("XGBoost", "d16", 50, depth(16), Rows(64), 100_000, 50_000),
    Point("XGBoost", "d4", 5000, depth(4), Rows(32, missing=False), 20_000, 10_000),
    Point("XGBoost", "d6", 10, depth(6), Rows(8, missing=False), 100_000, 1_000_000),
    Point("XGBoost", "d6", 200, depth(6), Rows(512), 20_000, 20_000),
    Point("LightGBM", "63 leaves", 500, {"num_leaves": 63}),
    Point("LightGBM", "63 leaves", 500, {"num_leaves": 63}, batch=1),
    Point("LightGBM", "31 leaves", 100, {"num_leaves": 31}, Rows(28), 100_000, 1_000_000),
    Point("LightGBM", "255 leaves", 100, {"num_leaves": 255}),
    Point("LightGBM", "31 leaves", 1000, {"num_leaves": 31}, Rows(256, missing=False), 20_000, 20_000),
    Point("CatBoost", "d6", 500, depth(6, "depth"), batch=ALL),
    Point("CatBoost", "d6", 500, depth(6, "depth"), batch=1),
    Point("CatBoost", "d8", 1000, depth(8, "depth"), Rows(128), 20_000, 20_000),
    Point("random forest", "unlimited", 100),
    Point("random forest", "d8", 100, depth(8), PLAIN),
    Point("random forest", "d12", 300, depth(12), Rows(64, missing=False), 50_000, 20_000),
    Point("gradient boosting", "d3", 100, depth(3), PLAIN, 40_000),
    Point("HistGradientBoosting", "31 leaves", 100),
)


def chosen(names: list[str] | None) -> tuple[Point, ...]:
    """Return the points whose name holds one of `names`, or all."""
    found = tuple(point for point in POINTS if not names or any(name in point.name for name in names))
    if not found:
        raise SystemExit("no point is called so; choose of\n" + "\n".join(point.name for point in POINTS))
    return found
