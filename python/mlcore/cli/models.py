"""`mlcore models`: versions listed, shown, promoted, rolled back."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mlcore.bundle import short
from mlcore.bundle.reference import load_version
from mlcore.cli import output
from mlcore.cli.account import shown_metrics
from mlcore.errors import UsageError
from mlcore.lifecycle import promotion
from mlcore.project import config
from mlcore.records.registry import ModelVersion, Registry


def registry(options: Namespace) -> Registry:
    """Return the records of the project in --project."""
    root = Path(options.project)
    if not (root / config.FILE).exists() and not (root / ".mlcore").exists():
        raise UsageError(f"{root.resolve()} is not a project: it has no {config.FILE}; name one with --project")
    return Registry.open(root)


def list_all(options: Namespace) -> int:
    """List the versions of a model."""
    name = options.name or config.load(Path(options.project)).name
    versions = registry(options).versions(name)
    if options.json:
        output.as_json([version.to_json() for version in versions])
        return 0
    rows = [
        [f"{name}:{v.version}", "champion" if v.champion else "", v.status, short(v.digest), v.created[:19]]
        for v in versions
    ]
    output.table(["version", "", "status", "digest", "created (UTC)"], rows)
    return 0


def find(records: Registry, ref: str) -> ModelVersion:
    """Return the version that name@champion, name:7 or a digest's beginning names."""
    for mark in ("@", ":"):
        if mark in ref:
            return records.get(*ref.split(mark, 1))
    return records.find(ref)


def show(options: Namespace) -> int:
    """Show one version: what it is, came from and measured."""
    version = find(registry(options), options.ref)
    bundle = load_version(version)
    shown: dict[str, Any] = {
        **version.to_json(),
        "trees": bundle.model.n_trees,
        "features": list(bundle.transforms.names),
        "columns": list(bundle.transforms.columns),
        "provenance": dict(bundle.provenance),
    }
    if options.json:
        output.as_json(shown)
        return 0
    origin = bundle.provenance
    output.line(f"{version.name}:{version.version}  {version.status}{', champion' if version.champion else ''}", "bold")
    facts = [
        ("Bundle", f"{version.bundle} ({short(version.digest)})"),
        (
            "model",
            f"{bundle.model.source} {bundle.model.objective}, {bundle.model.n_trees} trees, {bundle.model.n_features} features",
        ),
        ("columns", ", ".join(bundle.transforms.columns)),
        ("metrics", shown_metrics(origin.get("metrics", {})) or "in the run's record"),
        ("snapshot", str(origin.get("snapshot"))),
        ("code", str((origin.get("code") or {}).get("commit", "not under git"))),
        ("created", f"{origin.get('created')} by mlcore {origin.get('mlcore')}, Python {origin.get('python')}"),
    ]
    for name, text in facts:
        output.line(f"  {name:<9} {text}")
    return 0


def promote(options: Namespace) -> int:
    """Make a version the champion."""
    change = promotion.promote(registry(options), options.name, options.version, reason=options.reason)
    return _changed(options, change)


def rollback(options: Namespace) -> int:
    """Go back to the champion before."""
    change = promotion.rollback(registry(options), options.name, reason=options.reason)
    return _changed(options, change)


def _changed(options: Namespace, change: promotion.Change) -> int:
    if options.json:
        output.as_json(change.to_json())
    elif not options.quiet:
        output.line(str(change))
        if change.undo:
            output.line(f"undo: {change.undo}", "dim")
    return 0
