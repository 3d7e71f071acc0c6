"""The decision log's entries as a hash chain: one JSON form, one hash, one check; no database in here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlcore.errors import AuditError, UsageError

GENESIS: Final = "0" * 64  # what stands before the first entry
FIELDS: Final = (
    "seq",
    "ts",
    "actor",
    "action",
    "object",
    "from",
    "to",
    "reason",
    "request_id",
    "details",
    "prev_hash",
    "hash",
)
_OPTIONAL: Final = ("from", "to", "request_id")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One decision: who did what to which object, from which version to which, and why."""

    seq: int
    ts: str
    actor: str
    action: str
    object: str
    from_: str | None
    to: str | None
    reason: str
    request_id: str | None
    details: Mapping[str, Any]
    prev_hash: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry as the dictionary whose canonical JSON, without `hash`, is hashed."""
        return {name: getattr(self, "from_" if name == "from" else name) for name in FIELDS}


@dataclass(frozen=True)
class Head:
    """The last entry of a log; kept elsewhere, it tells whether a log was shortened or rewritten."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @staticmethod
    def parse(text: str) -> Head:
        """Return the head that `str` wrote.

        Raises:
            UsageError: the text is not a number, a colon and 64 hexadecimal digits.
        """
        seq, _, digest = text.strip().partition(":")
        if not seq.isdecimal() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise UsageError(f"'{text}' is not the head of a decision log; one looks like 12:9f86d0…")
        return Head(int(seq), digest)


def canonical(value: object) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, UTF-8 kept.

    Raises:
        UsageError: the value holds NaN, an infinity, a lone surrogate, or something that JSON does not know.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
        return text
    except (TypeError, ValueError) as error:
        raise UsageError(f"a decision holds what JSON cannot say: {error}") from error


def entry_hash(body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an entry's canonical JSON, `hash` left out."""
    text = canonical({name: body[name] for name in FIELDS if name != "hash"})
    return hashlib.sha256(text.encode()).hexdigest()


def row_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's dictionary as a table row: details become their canonical text."""
    return {**body, "details": canonical(body["details"])}


def entry_of(row: Mapping[str, Any]) -> Entry:
    """Return the entry that a table row holds.

    Raises:
        AuditError: a field is of another type, or the details are not as they were written.
    """
    body = _body(row)
    return Entry(**{("from_" if name == "from" else name): body[name] for name in FIELDS})


def _body(row: Mapping[str, Any]) -> dict[str, Any]:
    seq = row["seq"]
    for name in FIELDS[1:]:
        if not isinstance(row[name], str) and not (row[name] is None and name in _OPTIONAL):
            raise AuditError(f"decision log, entry {seq}: '{name}' is not text; the entry was changed")
    try:
        details = json.loads(row["details"])
        if isinstance(details, dict) and canonical(details) == row["details"]:
            return {**row, "details": details}
    except (ValueError, UsageError):
        pass
    raise AuditError(f"decision log, entry {seq}: its details are not as written; the entry was changed")


def verify(rows: Iterable[Mapping[str, Any]], expected: Head | None = None) -> Head:
    """Return the head of a log whose rows come by ascending `seq`, after every one of them was checked.

    Args:
        rows: the table's rows.
        expected: a head noted earlier; it must still be in the log, which may have grown since.

    Raises:
        AuditError: an entry was changed, removed, inserted or moved, or the expected head is gone; the
            message names the first `seq` that does not fit.
    """
    head, found = Head(0, GENESIS), None
    for row in rows:
        head = _check(row, head)
        if expected is not None and head.seq == expected.seq:
            found = head
    if expected is not None and found != expected and expected != Head(0, GENESIS):
        was = "was shortened" if found is None else "was rewritten"
        raise AuditError(
            f"decision log, entry {expected.seq}: the head noted as {str(expected)[:20]}… is not there; "
            f"the log {was}, it now ends at entry {head.seq}"
        )
    return head


def _check(row: Mapping[str, Any], before: Head) -> Head:
    seq = row["seq"]
    if not isinstance(seq, int) or seq <= before.seq:
        raise AuditError(f"decision log, entry {seq}: it was inserted, entries count from 1")
    if seq != before.seq + 1:
        raise AuditError(
            f"decision log, entry {before.seq + 1}: it is missing, entry {seq} comes next; it was removed or moved"
        )
    digest = entry_hash(_body(row))
    if row["hash"] != digest:
        raise AuditError(f"decision log, entry {seq}: it was changed, its hash does not fit its content")
    if row["prev_hash"] != before.hash:
        raise AuditError(
            f"decision log, entry {seq}: it does not continue entry {before.seq}; "
            "an entry was rewritten, moved or inserted here"
        )
    return Head(seq, digest)
