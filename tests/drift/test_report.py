"""What a comparison says: shifts found, noise not, missing and new columns named; JSON and page that stand alone."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import mlcore
from mlcore import Profile
from mlcore.errors import DataError, ProfileMismatch, UsageError


def data(seed: int, rows: int = 5_000, shift: float = 0.0, extra: str = "") -> pa.Table:
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", *([extra] if extra else [])]
    return pa.table({"x": rng.normal(shift, 1, rows), "steady": rng.gamma(2, 1, rows), "s": rng.choice(names, rows)})


REFERENCE = Profile.fit(data(0))


def counted(table: pa.Table) -> Profile:
    found = REFERENCE.empty()
    found.update(table)
    return found


def verdicts(report: mlcore.DriftReport) -> dict[str, str]:
    return {item.name: item.verdict for item in report.windows[0].columns}


def test_rows_like_the_reference_have_not_drifted() -> None:
    report = mlcore.compare(REFERENCE, counted(data(1)))
    assert report.verdict == "ok"
    assert set(verdicts(report).values()) == {"ok"}


def test_a_shift_is_found_in_its_column_only() -> None:
    report = mlcore.compare(REFERENCE, counted(data(1, shift=0.6)))
    assert verdicts(report) == {"x": "drift", "steady": "ok", "s": "ok"}
    assert report.verdict == "drift"
    assert report.columns[0] == "x"


def test_a_category_that_training_never_saw_is_drift() -> None:
    report = mlcore.compare(REFERENCE, counted(data(1, extra="new")))
    assert verdicts(report)["s"] == "drift"
    assert report.windows[0].columns[2].unseen == pytest.approx(0.25, abs=0.03)


def test_a_column_gone_missing_is_drift() -> None:
    table = data(1).set_column(0, "x", pa.nulls(5_000, pa.float64()))
    report = mlcore.compare(REFERENCE, counted(table))
    assert verdicts(report)["x"] == "drift"
    assert report.windows[0].columns[0].missing_current == 1.0


def test_too_few_rows_are_called_so() -> None:
    report = mlcore.compare(REFERENCE, counted(data(1, rows=20)))
    assert report.verdict == "insufficient"
    assert mlcore.compare(REFERENCE, REFERENCE.empty()).verdict == "insufficient"


def test_columns_that_vanish_appear_or_change_type_are_named() -> None:
    other = data(1).drop_columns(["steady"]).append_column("fresh", pa.array(np.ones(5_000)))
    other = other.set_column(0, "x", pa.array(["1"] * 5_000))
    found = verdicts(mlcore.compare(REFERENCE, Profile.fit(other)))
    assert found == {"x": "retyped", "steady": "absent", "s": "ok", "fresh": "new"}


def test_drift_must_persist_when_asked_to() -> None:
    shifted, same = counted(data(1, shift=0.6)), counted(data(2))
    report = mlcore.compare(REFERENCE, {"1": shifted, "2": same, "3": shifted, "4": shifted}, persistence=2)
    assert [item.verdict for item in report.history("x") if item] == ["ok", "ok", "ok", "drift"]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="threshold must lie between 0 and 1"):
        mlcore.compare(REFERENCE, REFERENCE, threshold=2.0)
    with pytest.raises(UsageError, match="no window"):
        mlcore.compare(REFERENCE, {})
    with pytest.raises(DataError, match="reference profile has no rows"):
        mlcore.compare(REFERENCE.empty(), REFERENCE)


def test_profiles_over_other_edges_are_refused_with_advice() -> None:
    with pytest.raises(ProfileMismatch, match=r"column 'x': .* different edges; count .* reference.empty"):
        mlcore.compare(REFERENCE, Profile.fit(data(1)))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.svg = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.svg += tag == "svg"
        if tag not in ("meta", "br", "rect", "line", "polyline", "circle", "path", "input", "link"):
            self.open.append(tag)
        self.outside += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v and v[0] != "#"]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_stands_alone_and_escapes_names(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    reference = Profile.fit(pa.table({name: np.arange(1000.0), 'a"b&c': ["<b>"] * 1000}))
    current = reference.empty()
    current.update(pa.table({name: np.arange(1000.0) ** 2, 'a"b&c': ["<i>"] * 1000}))
    report = mlcore.compare(reference, current)
    report.to_html(tmp_path / "page.html", title="<title>")
    text = (tmp_path / "page.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.outside == []
    assert page.svg >= 2
    assert "<script>alert" not in text
    assert "&lt;b&gt;" in text
    report.to_html(tmp_path / "again.html", title="<title>")
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "page.html").read_bytes()


def test_json_holds_the_verdicts_and_distributions(tmp_path: Path) -> None:
    report = mlcore.compare(REFERENCE, counted(data(1, shift=0.6)))
    report.save_json(tmp_path / "drift.json")
    read = json.loads((tmp_path / "drift.json").read_text())
    assert read == json.loads(json.dumps(report.to_json()))
    assert read["verdict"] == "drift"
    assert sum(read["windows"][0]["columns"][0]["distribution"]["current"]) == 5_000
