"""The drift report as one HTML page: no script or style from elsewhere, pictures as inline SVG, no raw rows."""

from __future__ import annotations

import platform
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from mlcore.drift import pictures
from mlcore.drift.compare import METHOD, ColumnDrift
from mlcore.drift.groups import number
from mlcore.drift.report import DriftReport
from mlcore.drift.style import SCRIPT, STYLE
from mlcore.profile import NumericColumn

MOST_DETAILS: Final = 60  # columns drawn in detail; the rest stand in the table
_WORDS: Final = {"ok": "no drift", "drift": "drift", "insufficient": "too few rows to tell"}
PREDICTION: Final = "prediction"


def page(report: DriftReport, *, title: str, model: str | None) -> str:
    """Return the page's text; every name in it is escaped."""
    sections = [
        _head(report, title, model),
        _timeline(report),
        _table(report),
        _details(report),
        _skipped(report),
        _foot(report),
    ]
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body><main>{''.join(sections)}</main><script>{SCRIPT}</script></body></html>\n"
    )


def _head(report: DriftReport, title: str, model: str | None) -> str:
    rows = sum(window.rows for window in report.windows)
    drifted = {name for window in report.windows for name in window.drifted}
    facts = [
        ("model", escape(model) if model else "not given"),
        ("reference", f"{report.reference.rows:,} rows"),
        ("current", f"{rows:,} rows in {len(report.windows)} window{'s' if len(report.windows) != 1 else ''}"),
        ("columns", f"{len(drifted)} of {len(report.columns)} drifted in some window"),
    ]
    listed = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in facts)
    return (
        f'<header><h1>{escape(title)}</h1><p class="verdict {report.verdict}"><b>{_WORDS[report.verdict]}</b>'
        f"<span>{escape(report.headline())}</span></p><dl>{listed}</dl></header>"
    )


def _timeline(report: DriftReport) -> str:
    heat = pictures.heat_map(report)
    lines = pictures.performance_lines(report)
    under = f"<h3>Performance, where labels are known</h3>{lines}" if lines else ""
    note = (
        f"Colour is the {METHOD} to the reference, full at twice the threshold of {report.settings.threshold:g}; "
        "a ring marks drift. Columns are ordered by their farthest window."
    )
    return f'<section><h2>Windows</h2><p class="note">{note}</p><div class="wide">{heat}</div>{under}</section>'


def _table(report: DriftReport) -> str:
    names = ("column", "verdict", "worst window", "distance", "threshold", "noise floor", "PSI", "missing Δ", "unseen",
             "reference / current")  # fmt: skip
    head = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in names[:-1])
    body = "".join(_row(report, name) for name in report.columns)
    return (
        f'<section><h2>Columns</h2><div class="wide"><table id="columns"><thead><tr>{head}'
        f'<th scope="col">{names[-1]}</th></tr></thead><tbody>{body}</tbody></table></div></section>'
    )


def _row(report: DriftReport, name: str) -> str:
    window, item = report.worst(name)
    change = None
    if item.missing_current is not None and item.missing_reference is not None:
        change = item.missing_current - item.missing_reference
    cells = [
        _cell(item.score, "{:.3f}"),
        _cell(report.settings.threshold, "{:.3f}"),
        _cell(item.floor, "{:.3f}"),
        _cell(item.psi, "{:.3f}"),
        _cell(change, "{:+.2%}"),
        _cell(item.unseen, "{:.2%}"),
    ]
    spark = "" if item.groups is None else pictures.spark(item.groups)
    return (
        f'<tr class="{item.verdict}"><th scope="row">{escape(name)}</th><td data-sort="{item.score or 0}">'
        f'<span class="chip {item.verdict}">{escape(item.verdict)}</span></td><td>{escape(window.name)}</td>'
        f"{''.join(cells)}<td>{spark}</td></tr>"
    )


def _cell(value: float | None, shape: str) -> str:
    text = "–" if value is None else shape.format(value)
    return f'<td class="n" data-sort="{-1 if value is None else value}">{text}</td>'


def _details(report: DriftReport) -> str:
    names = [name for name in report.columns if report.worst(name)[1].groups is not None]
    names.sort(key=lambda name: name != PREDICTION)  # the model's own scores first
    blocks = "".join(_detail(report, name, opened=i < 4) for i, name in enumerate(names[:MOST_DETAILS]))
    more = len(names) - MOST_DETAILS
    note = f'<p class="note">{more} more columns, all nearer to the reference, are left out.</p>' if more > 0 else ""
    return f"<section><h2>Distributions</h2>{blocks}{note}</section>"


def _detail(report: DriftReport, name: str, *, opened: bool) -> str:
    window, item = report.worst(name)
    assert item.groups is not None
    figures = pictures.overlay(item.groups)
    before = report.reference.columns.get(name)
    if isinstance(before, NumericColumn) and item.ks is not None:
        figures += pictures.gap(before, item, report, name)
    what = "the model's scores" if name == PREDICTION else escape(window.name)
    return (
        f"<details{' open' if opened else ''}><summary><b>{escape(name)}</b> "
        f'<span class="chip {item.verdict}">{item.verdict}</span> <span class="note">{what}, distance '
        f"{0 if item.score is None else item.score:.3f}</span></summary>"
        f'<div class="figures">{figures}</div>{_quantiles(before, item)}</details>'
    )


def _quantiles(before: Any, item: ColumnDrift) -> str:
    if not isinstance(before, NumericColumn) or item.ks is None:
        return ""
    facts = [f"largest gap of the distribution functions between {item.ks.low:.4f} and {item.ks.high:.4f}"]
    found = [(q, pictures.quantile(before.edges, before.counts, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    if all(value is not None for _, value in found):
        listed = ", ".join(f"{q:.0%} {number(value)}" for q, value in found if value is not None)
        facts.append(f"reference quantiles, to the bin: {listed}")
    return f'<p class="note">{"; ".join(facts)}</p>'


def _skipped(report: DriftReport) -> str:
    odd = {"absent": "is in the reference and not in this window", "new": "is not in the reference",
           "retyped": "changed type or edges and cannot be compared",
           "insufficient": "has too few rows to tell drift from chance"}  # fmt: skip
    listed = [
        f"<li><b>{escape(item.name)}</b> {odd[item.verdict]} ({escape(window.name)})</li>"
        for window in report.windows
        for item in window.columns
        if item.verdict in odd
    ]
    if not listed:
        return ""
    more = f"<li>and {len(listed) - 200} more</li>" if len(listed) > 200 else ""
    return f"<section><h2>Not compared, or not decided</h2><ul>{''.join(listed[:200])}{more}</ul></section>"


def _foot(report: DriftReport) -> str:
    s = report.settings
    try:
        mlcore = version("mlcore")
    except PackageNotFoundError:
        mlcore = "from source"
    return (
        f"<footer>{METHOD}, base 2, over groups of about equal reference mass; drift is a distance of at least "
        f"{s.threshold:g}, above the {s.confidence:.0%} noise floor, rejected by chi-square at false discovery rate "
        f"{s.rate:g}, in {s.persistence} window{'s' if s.persistence > 1 else ''} in a row. mlcore {escape(mlcore)}, "
        f"Python {platform.python_version()}.</footer>"
    )
