"""The chain's check: whatever is done to a log behind its back is found, at its entry."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.errors import AuditError, UsageError
from mlcore.records import chain
from mlcore.records.chain import FIELDS, GENESIS, Head
from mlcore.records.decisions import DecisionLog

LAW = settings(max_examples=30, deadline=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
SAID = st.fixed_dictionaries(
    {
        "actor": st.text(max_size=5),
        "action": st.text(max_size=5),
        "object": st.text(max_size=5),
        "from": st.none() | st.text(max_size=3),
        "to": st.none() | st.text(max_size=3),
        "reason": st.text(max_size=5),
        "request_id": st.none() | st.text(max_size=3),
        "details": st.dictionaries(st.text(max_size=3), JSON, max_size=3),
    }
)


def rows_of(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows, before = [], GENESIS
    for number, item in enumerate(said, 1):
        body = {**item, "seq": number, "ts": f"2026-01-{number:02d}", "prev_hash": before}
        body["hash"] = before = chain.entry_hash(body)
        rows.append(chain.row_of(body))
    return rows


LOGS = st.lists(SAID, min_size=1, max_size=6).map(rows_of)


@LAW
@given(LOGS)
def test_an_untouched_log_verifies_and_reads_back(rows: list[dict[str, Any]]) -> None:
    assert chain.verify(rows) == Head(len(rows), rows[-1]["hash"])
    assert [chain.row_of(chain.entry_of(row).to_json()) for row in rows] == rows


@LAW
@given(LOGS, st.data())
def test_any_single_changed_field_is_found_at_its_entry(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(FIELDS[1:]))
    was = rows[at][field]
    new = data.draw((st.none() | st.text(max_size=70) | st.binary(max_size=4)).filter(lambda v: v != was))
    rows[at] = {**rows[at], field: new}
    with pytest.raises(AuditError, match=rf"entry {at + 1}:"):
        chain.verify(rows)


@LAW
@given(LOGS, st.data())
def test_a_changed_number_is_found(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    seq = data.draw(st.integers(-3, 12).filter(lambda n: n not in {row["seq"] for row in rows}))
    rows[at] = {**rows[at], "seq": seq}
    with pytest.raises(AuditError, match=rf"entry ({seq if seq < 1 else at + 1}):"):
        chain.verify(sorted(rows, key=lambda row: row["seq"]))


@LAW
@given(st.lists(SAID, min_size=2, max_size=6).map(rows_of), st.data())
def test_a_removed_entry_is_found_at_its_number(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 2))
    with pytest.raises(AuditError, match=rf"entry {at + 1}: it is missing, entry {at + 2} comes next"):
        chain.verify(rows[:at] + rows[at + 1 :])


@LAW
@given(st.lists(SAID, min_size=2, max_size=6).map(rows_of), st.data())
def test_entries_that_changed_places_are_found(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    one, other = sorted(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True)))
    moved = list(rows)
    moved[one], moved[other] = {**rows[other], "seq": one + 1}, {**rows[one], "seq": other + 1}
    with pytest.raises(AuditError, match=rf"entry {one + 1}:"):
        chain.verify(moved)


@LAW
@given(st.lists(SAID, min_size=2, max_size=6).map(rows_of), SAID, st.data())
def test_an_inserted_entry_is_found_though_the_rest_is_renumbered(
    rows: list[dict[str, Any]], said: dict[str, Any], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    body = {**said, "seq": at + 1, "ts": "2026", "prev_hash": rows[at]["prev_hash"]}
    forged = chain.row_of({**body, "hash": chain.entry_hash(body)})
    later = [{**row, "seq": row["seq"] + 1} for row in rows[at:]]
    with pytest.raises(AuditError, match=rf"entry {at + 2}:"):
        chain.verify([*rows[:at], forged, *later])


@LAW
@given(st.lists(SAID, min_size=2, max_size=6).map(rows_of), st.data())
def test_an_entry_rewritten_with_a_fitting_hash_is_found_at_the_next(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(rows) - 2))
    body = {**chain.entry_of(rows[at]).to_json(), "reason": "another reason, quite"}
    rows[at] = chain.row_of({**body, "hash": chain.entry_hash(body)})
    with pytest.raises(AuditError, match=rf"entry {at + 2}: it does not continue entry {at + 1}"):
        chain.verify(rows)


@LAW
@given(LOGS, st.data())
def test_a_head_noted_earlier_holds_while_the_log_grows(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    noted = data.draw(st.integers(0, len(rows)))
    expected = Head(noted, rows[noted - 1]["hash"] if noted else GENESIS)
    assert chain.verify(rows, Head.parse(str(expected))).seq == len(rows)


def test_a_shortened_log_is_found_by_its_head(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db", actor="ann")
    for _ in range(3):
        log.append("gate", "m")
    noted = str(log.head())
    with sqlite3.connect(tmp_path / "log.db") as other:
        other.execute("DROP TRIGGER decisions_no_delete")
        other.execute("DELETE FROM decisions WHERE seq = 3")
    other.close()
    assert log.verify().seq == 2
    with pytest.raises(AuditError, match="entry 3: the head noted as .* the log was shortened, it now ends at entry 2"):
        log.verify(expected=noted)
    (tmp_path / "log.db").unlink()
    with pytest.raises(AuditError, match="it now ends at entry 0"):
        log.verify(expected=noted)


def test_a_log_rewritten_from_the_start_is_found_by_its_head() -> None:
    said = dict.fromkeys(("actor", "action", "object", "reason"), "x") | dict.fromkeys(("from", "to", "request_id"))
    honest = rows_of([{**said, "details": {}}] * 2)
    forged = rows_of([{**said, "details": {"auc": 1.0}}] * 2)
    with pytest.raises(AuditError, match="entry 2: the head noted as .* was rewritten"):
        chain.verify(forged, Head(2, honest[-1]["hash"]))


@pytest.mark.parametrize("column", ["actor", "details", "from", "ts", "hash"])
def test_a_change_made_in_the_file_is_found(tmp_path: Path, column: str) -> None:
    log = DecisionLog(tmp_path / "log.db", actor="ann")
    for reason in "abc":
        log.append("gate", "m", reason=reason)
    with sqlite3.connect(tmp_path / "log.db") as other:
        other.execute("DROP TRIGGER decisions_no_update")
        other.execute(f"""UPDATE decisions SET "{column}" = 'x' WHERE seq = 2""")
    other.close()
    with pytest.raises(AuditError, match="entry 2:") as caught:
        log.verify()
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("text", ["", "12", "x:" + "0" * 64, "3:abc", "3:" + "G" * 64])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not the head of a decision log"):
        Head.parse(text)
