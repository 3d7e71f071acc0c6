"""Drift: a reference profile against current ones, with a verdict, a table, JSON and a page."""

from __future__ import annotations

from mlcore.drift.compare import ColumnDrift, Settings, Window
from mlcore.drift.report import DriftReport, compare

__all__ = ["ColumnDrift", "DriftReport", "Settings", "Window", "compare"]
