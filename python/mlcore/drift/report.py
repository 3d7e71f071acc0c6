"""DriftReport: the comparison as a verdict, a table, JSON and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from mlcore.data.files import write_atomically
from mlcore.drift.compare import METHOD, ColumnDrift, Settings, Window, windows
from mlcore.profile import Profile

SCHEMA_VERSION: Final = 1
Performance = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class DriftReport:
    """Reference against current, window by window. `performance` holds metrics by window where labels are known."""

    reference: Profile
    windows: tuple[Window, ...]
    settings: Settings
    performance: Performance = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """ "drift" when a column drifted in some window, "insufficient" when no window could tell, else "ok"."""
        verdicts = {item.verdict for window in self.windows for item in window.columns}
        if verdicts - {"ok", "insufficient"}:
            return "drift"
        return "insufficient" if verdicts == {"insufficient"} else "ok"

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the one that drifted most first."""
        worst: dict[str, float] = {}
        for window in self.windows:
            for item in window.columns:
                score = 2.0 if item.verdict in ("absent", "new", "retyped") else item.score or 0.0
                worst[item.name] = max(worst.get(item.name, 0.0), score)
        return tuple(sorted(worst, key=lambda name: -worst[name]))

    def history(self, name: str) -> tuple[ColumnDrift | None, ...]:
        """Return one column's results by window; None where the window does not know it."""
        return tuple(next((item for item in w.columns if item.name == name), None) for w in self.windows)

    def worst(self, name: str) -> tuple[Window, ColumnDrift]:
        """Return the window in which a column is farthest from the reference, and its result there."""
        found = [(w, item) for w, item in zip(self.windows, self.history(name), strict=True) if item is not None]
        return max(found, key=lambda pair: (pair[1].verdict in ("absent", "new", "retyped"), pair[1].score or 0.0))

    def headline(self) -> str:
        """Return the verdict in a sentence."""
        parts = [f"{len(w.drifted)} of {len(w.columns)} in {w.name}" for w in self.windows if w.drifted]
        if not parts:
            few = "; too few rows to tell" if self.verdict == "insufficient" else ""
            return f"no column drifted in {len(self.windows)} window{'s' if len(self.windows) > 1 else ''}{few}"
        return f"columns drifted: {', '.join(parts)}"

    def table(self) -> list[dict[str, Any]]:
        """Return one row a column: where it is farthest from the reference, and in how many windows it drifted."""
        rows = []
        for name in self.columns:
            window, item = self.worst(name)
            drifted = sum(1 for seen in self.history(name) if seen is not None and seen.verdict == "drift")
            rows.append(
                {
                    "column": name,
                    "verdict": item.verdict,
                    "worst window": window.name,
                    "score": item.score,
                    "threshold": self.settings.threshold,
                    "noise floor": item.floor,
                    "psi": item.psi,
                    "missing change": _change(item),
                    "unseen": item.unseen,
                    "windows drifted": drifted,
                }
            )
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return everything shown, the grouped distributions included, as JSON-ready values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict,
            "headline": self.headline(),
            "method": METHOD,
            "settings": asdict(self.settings),
            "reference_rows": self.reference.rows,
            "performance": {name: dict(metrics) for name, metrics in self.performance.items()},
            "windows": [
                {
                    "name": window.name,
                    "rows": window.rows,
                    "drifted": list(window.drifted),
                    "columns": [_column_json(item) for item in window.columns],
                }
                for window in self.windows
            ],
        }

    def save_json(self, path: str | Path) -> None:
        """Write `to_json` to a file, atomically."""
        write_atomically(Path(path), json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n")

    def to_html(self, path: str | Path, *, title: str = "Drift report", model: str | None = None) -> None:
        """Write the report as one page that needs nothing else, atomically."""
        from mlcore.drift.page import page

        write_atomically(Path(path), page(self, title=title, model=model))


def compare(
    reference: Profile,
    current: Profile | Mapping[str, Profile],
    *,
    threshold: float = 0.1,
    confidence: float = 0.99,
    rate: float = 0.05,
    persistence: int = 1,
    performance: Performance | None = None,
) -> DriftReport:
    """Return how far `current`, one profile or one a window in order, lies from the reference.

    The measure is the Jensen–Shannon distance (base 2) over groups of about equal reference mass; missing and unseen rows
    are groups of their own. A column has drifted when its distance is at least `threshold`, above the noise floor of the
    two sample sizes, its chi-square test is rejected at false discovery rate `rate` over the window's columns, and that
    held in `persistence` windows in a row. Where the floor reaches the threshold the rows are "insufficient". Columns that
    vanish, appear or change type are reported as such.

    Raises:
        DataError: the reference has no rows; ProfileMismatch: a column counts over other edges or categories than the
            reference; UsageError: a setting is out of range, or there is no window.
    """
    settings = Settings(threshold, confidence, rate, persistence)
    return DriftReport(reference, windows(reference, current, settings), settings, performance or {})


def _change(item: ColumnDrift) -> float | None:
    if item.missing_current is None or item.missing_reference is None:
        return None
    return item.missing_current - item.missing_reference


def _column_json(item: ColumnDrift) -> dict[str, Any]:
    groups = item.groups
    return {
        "column": item.name,
        "verdict": item.verdict,
        "score": item.score,
        "noise_floor": item.floor,
        "p_value": item.p_value,
        "psi": item.psi,
        "ks": None if item.ks is None else [item.ks.low, item.ks.high],
        "missing": [item.missing_reference, item.missing_current],
        "unseen": item.unseen,
        "distribution": None
        if groups is None
        else {
            "groups": list(groups.labels),
            "reference": groups.reference.tolist(),
            "current": groups.current.tolist(),
        },
    }
