"""`mlcore audit`: the decision log, verified and listed."""

from __future__ import annotations

from argparse import Namespace

from mlcore.cli import output
from mlcore.cli.models import registry


def verify(options: Namespace) -> int:
    """Check the chain; AuditError names the entry that was changed, removed or inserted."""
    log = registry(options).log
    head = log.verify(expected=options.head)
    if options.json:
        output.as_json({"verified": True, "entries": head.seq, "head": str(head)})
    else:
        output.line(f"{head.seq} entries, each in its place; head {head}")
    return 0


def list_all(options: Namespace) -> int:
    """List every decision."""
    entries = registry(options).log.entries()
    if options.json:
        output.as_json([entry.to_json() for entry in entries])
        return 0
    rows = [
        [e.seq, e.ts[:19].replace("T", " "), e.actor, e.action, e.object, f"{e.from_ or '–'} → {e.to or '–'}", e.reason]
        for e in entries
    ]
    output.table(["seq", "time (UTC)", "actor", "action", "model", "version", "reason"], rows, right=["seq"])
    return 0
