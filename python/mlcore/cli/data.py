"""`mlcore data`: snapshots listed, shown, compared, verified."""

from __future__ import annotations

from argparse import Namespace

from mlcore.cli import output
from mlcore.cli.steps import context
from mlcore.data import snapshots


def list_all(options: Namespace) -> int:
    """List the snapshots, oldest first."""
    found = context(options).snapshots.list()
    if options.json:
        output.as_json([{"id": s.id, "created": s.created, "files": len(s.files), "rows": s.rows} for s in found])
    else:
        rows = [[s.id, s.created[:19].replace("T", " "), len(s.files), f"{s.rows:,}"] for s in found]
        output.table(["snapshot", "created (UTC)", "files", "rows"], rows, right=["files", "rows"])
    return 0


def show(options: Namespace) -> int:
    """Show one snapshot."""
    found = context(options).snapshots.get(options.snapshot)
    if options.json:
        output.as_json(found.to_json())
        return 0
    output.line(f"snapshot {found.id}, {found.created}, {found.rows:,} rows")
    files = [[f.path, f"{f.rows:,}", f"{f.size:,}", f.low or "–", f.high or "–", f.blake3[:12]] for f in found.files]
    output.table(["file", "rows", "bytes", "from", "to", "blake3"], files, right=["rows", "bytes"])
    columns = [[f.name, f.type, f.role, _limits(f)] for f in found.schema.fields]
    output.table(["column", "type", "role", "held to"], columns)
    return 0


def _limits(field: object) -> str:
    names = {"minimum": "min", "maximum": "max", "max_missing": "missing ≤", "max_unseen": "unseen ≤"}
    found = [f"{word} {getattr(field, name):g}" for name, word in names.items() if getattr(field, name) is not None]
    return ", ".join(found)


def diff(options: Namespace) -> int:
    """Say what changed between two snapshots."""
    store = context(options).snapshots
    old, new = store.get(options.old), store.get(options.new)
    found = snapshots.diff(old, new)
    if options.json:
        output.as_json({"old": old.id, "new": new.id, **found.__dict__})
    else:
        output.line(f"{old.id} → {new.id}: {found}; {found.rows:+,} rows")
    return 0


def verify(options: Namespace) -> int:
    """Check a snapshot's files against their hashes."""
    found = context(options).snapshots.get(options.snapshot)
    found.verify()
    if options.json:
        output.as_json({"id": found.id, "files": len(found.files), "verified": True})
    else:
        output.line(f"snapshot {found.id}: {len(found.files)} files are as they were")
    return 0
