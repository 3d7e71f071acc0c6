"""The report's pictures, as SVG text drawn from counts."""

from __future__ import annotations

import math
from html import escape
from typing import Any, Final

import numpy as np

from mlcore.drift.compare import ColumnDrift
from mlcore.drift.groups import Groups
from mlcore.drift.report import DriftReport
from mlcore.drift.statistics import shares
from mlcore.profile import NumericColumn

Array = np.ndarray[Any, Any]
_CELL: Final = 18
_MOST_ROWS: Final = 60


def heat_map(report: DriftReport) -> str:
    """Return windows across and columns down; the shade is the distance, a ring marks drift."""
    names = report.columns[:_MOST_ROWS]
    label_width = min(230, 12 + 6.6 * max(len(name) for name in names))
    cell = max(26.0, min(78.0, (1000 - label_width) / len(report.windows)))
    height = 24 + _CELL * len(names)
    width = label_width + cell * len(report.windows) + 4
    parts = [
        f'<text x="{label_width + cell * (i + 0.5):.1f}" y="14" text-anchor="middle">{escape(_short(w.name, cell))}</text>'
        for i, w in enumerate(report.windows)
    ]
    for row, name in enumerate(names):
        y = 22 + row * _CELL
        parts.append(f'<text class="strong" x="0" y="{y + 13}">{escape(_short(name, label_width))}</text>')
        for i, item in enumerate(report.history(name)):
            parts.append(_heat_cell(item, report, i, label_width + cell * i, y, cell))
    more = len(report.columns) - len(names)
    note = f'<p class="note">{more} more columns lie nearer to the reference.</p>' if more > 0 else ""
    return _svg(width, height, "Distance of each column in each window", parts) + note


def _heat_cell(item: ColumnDrift | None, report: DriftReport, window: int, x: float, y: float, cell: float) -> str:
    if item is None:
        return ""
    odd = item.verdict in ("absent", "new", "retyped")
    strength = 1.0 if odd else min(1.0, (item.score or 0.0) / (2 * report.settings.threshold))
    ring = '<rect class="ring" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"/>'
    marked = item.verdict == "drift" or odd
    hint = f"{item.name}, {report.windows[window].name}: {item.verdict}" + (
        "" if item.score is None or item.floor is None else f", distance {item.score:.3f}, noise floor {item.floor:.3f}"
    )
    return (
        f'<g><title>{escape(hint)}</title><rect class="heat" opacity="{0.04 + 0.96 * strength:.2f}" x="{x + 1:.1f}" '
        f'y="{y}" width="{cell - 2:.1f}" height="{_CELL - 2}" rx="2"/>'
        + (ring.format(x + 2, y + 1, cell - 4, _CELL - 4) if marked else "")
        + "</g>"
    )


def performance_lines(report: DriftReport) -> str:
    """Return one small line a metric over the windows; "" without performance."""
    metrics = list(dict.fromkeys(name for values in report.performance.values() for name in values))
    names = [window.name for window in report.windows if window.name in report.performance]
    drawn = [_metric_line(report, metric, names) for metric in metrics[:4]]
    return f'<div class="figures">{"".join(drawn)}</div>' if names and drawn else ""


def _metric_line(report: DriftReport, metric: str, names: list[str]) -> str:
    values = [report.performance[name].get(metric) for name in names]
    known = [(i, value) for i, value in enumerate(values) if value is not None and np.isfinite(value)]
    if not known:
        return ""
    width, height, left, top = 310, 130, 44, 26
    low, high = min(value for _, value in known), max(value for _, value in known)
    span = (high - low) or max(abs(high), 1.0) * 0.1
    low, high = low - 0.1 * span, high + 0.1 * span

    def x(i: int) -> float:
        return left + (width - left - 12) * (i + 0.5) / len(names)

    def y(value: float) -> float:
        return top + (height - top - 22) * (high - value) / (high - low)

    points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in known)
    every = max(1, math.ceil(len(names) / 4))  # four labels fit the width
    parts = [
        f'<text class="strong" x="0" y="12">{escape(metric.replace("_", " "))}</text>',
        f'<line class="axis" x1="{left}" y1="{height - 20}" x2="{width}" y2="{height - 20}"/>',
        f'<text x="0" y="{y(high) + 8:.1f}">{high:.3f}</text><text x="0" y="{y(low):.1f}">{low:.3f}</text>',
        f'<polyline class="curve" points="{points}"/>',
        *(
            f'<circle class="cur" cx="{x(i):.1f}" cy="{y(v):.1f}" r="3"><title>{escape(names[i])}: {v:.4f}</title></circle>'
            for i, v in known
        ),
        *(
            f'<text x="{x(i):.1f}" y="{height - 6}" text-anchor="middle">{escape(_short(name, 60))}</text>'
            for i, name in enumerate(names)
            if i % every == 0
        ),
    ]
    return _svg(width, height, f"{metric} by window", parts)


def spark(groups: Groups) -> str:
    """Return the two distributions as a pair of tiny outlines."""
    sides = [shares(side) for side in (groups.reference, groups.current)]
    top = max(float(side.max(initial=0)) for side in sides) or 1.0
    width, height = 90, 20
    step = width / len(groups.labels)
    parts = [
        f'<rect class="{name}" opacity="{opacity}" x="{i * step:.1f}" y="{height - height * v / top:.1f}" '
        f'width="{max(0.8, step - 0.6):.1f}" height="{height * v / top:.1f}"/>'
        for side, name, opacity in zip(sides, ("ref", "cur"), ("0.55", "0.55"), strict=True)
        for i, v in enumerate(side)
        if v > 0
    ]
    return _svg(width, height, "reference and current", parts, fixed=True)


def overlay(groups: Groups) -> str:
    """Return the shares of each group side by side, reference and current."""
    sides = [shares(side) for side in (groups.reference, groups.current)]
    top = max(float(side.max(initial=0)) for side in sides) or 1.0
    count = len(groups.labels)
    width, height, base, left = 620, 210, 128, 40
    step = (width - left) / count
    bar = max(1.5, step * 0.38)
    parts = [
        f'<rect class="ref" x="{left}" y="0" width="9" height="9"/><text x="{left + 13}" y="9">reference</text>'
        f'<rect class="cur" x="{left + 80}" y="0" width="9" height="9"/><text x="{left + 93}" y="9">current</text>',
        f'<line class="axis" x1="{left}" y1="{base}" x2="{width}" y2="{base}"/>',
        f'<text x="0" y="26">{top:.1%}</text><text x="0" y="{base}">0</text>',
    ]
    for i, label in enumerate(groups.labels):
        p, q = float(sides[0][i]), float(sides[1][i])
        x = left + step * i + step / 2
        hint = f"{label}: reference {p:.2%}, current {q:.2%}"
        tall = [(base - 18) * value / top for value in (p, q)]
        parts.append(
            f"<g><title>{escape(hint)}</title>"
            f'<rect class="ref" x="{x - bar:.1f}" y="{base - tall[0]:.1f}" width="{bar:.1f}" height="{tall[0]:.1f}"/>'
            f'<rect class="cur" x="{x:.1f}" y="{base - tall[1]:.1f}" width="{bar:.1f}" height="{tall[1]:.1f}"/></g>'
        )
        parts.append(
            f'<text transform="translate({x + 3:.1f},{base + 10}) rotate(-55)" text-anchor="end">'
            f"{escape(_short(label, 84))}</text>"
        )
    return _svg(width, height, "Share of rows by group", parts)


def gap(before: NumericColumn, item: ColumnDrift, report: DriftReport, name: str) -> str:
    """Return the difference of the distribution functions over the bins, its largest value marked."""
    window, _ = report.worst(name)
    found = next(w for w in report.windows if w.name == window.name)
    current = next(c for c in found.columns if c.name == name)
    assert current.groups is not None
    values = slice(0, len(current.groups.labels) - current.groups.special)
    p, q = (shares(side[values]) for side in (current.groups.reference, current.groups.current))
    difference = np.concatenate([[0.0], np.cumsum(p) - np.cumsum(q)])
    width, height, left = 330, 150, 44
    span = max(0.02, float(np.abs(difference).max()) * 1.15)

    def x(i: int) -> float:
        return left + (width - left - 6) * i / (len(difference) - 1)

    def y(value: float) -> float:
        return 74 - 60 * value / span

    at = int(np.argmax(np.abs(difference)))
    points = " ".join(f"{x(i):.1f},{y(float(v)):.1f}" for i, v in enumerate(difference))
    parts = [
        f'<text x="0" y="{y(span) + 4:.1f}">{span:+.2f}</text><text x="0" y="78">0</text>'
        f'<text x="0" y="{y(-span) + 4:.1f}">{-span:+.2f}</text>',
        f'<line class="axis" x1="{left}" y1="74" x2="{width}" y2="74"/><polyline class="curve" points="{points}"/>',
        f'<line class="mark" x1="{x(at):.1f}" y1="74" x2="{x(at):.1f}" y2="{y(float(difference[at])):.1f}"/>',
        f'<text x="{left}" y="{height - 2}">share below, reference minus current; D = {abs(difference[at]):.3f}</text>',
    ]
    return _svg(width, height, "Difference of the distribution functions", parts)


def quantile(edges: Array, counts: Array, q: float) -> float | None:
    """Return the lower edge of the bin that holds quantile q; None where that bin has none."""
    total = counts.sum()
    if not total or not len(edges):
        return None
    at = int(np.searchsorted(np.cumsum(counts), q * total))
    return float(edges[at - 1]) if at > 0 else None


def _short(text: str, width: float) -> str:
    most = max(3, int(width / 6.2))
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(width: float, height: float, title: str, parts: list[str], *, fixed: bool = False) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}"' if fixed else f'width="{width:.0f}"'
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" {size} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
