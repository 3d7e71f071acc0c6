"""The steps that make data ready: ingest and validate."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, cast

import pyarrow.compute as pc

from mlcore.data import ingest as ingesting
from mlcore.data.readers import list_files, scan
from mlcore.data.schema import Schema, with_categories
from mlcore.data.snapshots import Snapshot, content_hash
from mlcore.data.validate import check, validate
from mlcore.project.cache import Inputs
from mlcore.project.context import Context

Outcome = tuple[int | None, dict[str, Any], list[Path]]


def sources(context: Context) -> list[Path]:
    """Return the raw files of [data] source, relative ones seen from the project's folder."""
    listed = context.project.data.source
    names = [listed] if isinstance(listed, str) else list(listed)
    root = Path(glob.escape(str(context.root)))  # only the names in mlcore.toml are patterns
    return list_files([str((root if glob.has_magic(name) else context.root) / name) for name in names])


def ingest_inputs(context: Context) -> Inputs:
    """What ingest depends on: the raw files' contents, [data] and [columns]."""
    files = {context.relative(path): content_hash(path) for path in sources(context)}
    tables = context.project.tables
    return {"source": files, "[data]": tables["data"], "[columns]": tables.get("columns", {})}


def ingest(context: Context) -> Outcome:
    """Write typed Parquet and a Snapshot of it."""
    project = context.project
    done = context.cache.read("ingest")
    earlier = [context.root / name for name in done.outputs if name.endswith(".parquet")] if done else []
    with context.reporter.progress("writing Parquet", None) as advance:
        schema, files = ingesting.ingest(
            sources(context),
            context.root / project.data.output,
            overrides=_overrides(context),
            time=project.data.time,
            partition=cast(Any, project.data.partition),
            earlier=earlier,
            progress=advance,
        )
    schema = with_categories(schema, _categories(context, schema, files))
    snapshot = Snapshot.create(files, schema, root=context.root, time=project.data.time)
    context.snapshots.put(snapshot)
    manifest = context.snapshots.folder / f"{snapshot.id}.json"
    return snapshot.rows, {"snapshot": snapshot.id, "files": len(files)}, [*files, manifest]


def _overrides(context: Context) -> dict[str, dict[str, Any]]:
    project = context.project
    overrides = {name: dict(options) for name, options in project.columns.items()}
    for name, role in ((project.data.time, "time"), (project.target.column, "target")):
        overrides.setdefault(name, {}).setdefault("role", role)
    return overrides


def _categories(context: Context, schema: Schema, files: list[Path]) -> dict[str, list[str]]:
    """Known categories of the columns that limit unseen ones: the last snapshot's, else those in the data."""
    limited = [field.name for field in schema.fields if field.max_unseen is not None and field.type == "string"]
    done = context.cache.read("ingest")
    known: dict[str, list[str]] = {}
    if done is not None and context.snapshots.holds(str(done.result["snapshot"])):
        before = {field.name: field for field in context.snapshots.get(str(done.result["snapshot"])).schema.fields}
        known = {name: list(before[name].categories or ()) for name in limited if name in before}
    fresh = [name for name in limited if not known.get(name)]
    seen: dict[str, set[str]] = {name: set() for name in fresh}
    for batch in scan(files, fresh) if fresh else ():
        for name in fresh:
            seen[name].update(value for value in pc.unique(batch.column(name)).to_pylist() if value is not None)
    return {**known, **{name: sorted(values) for name, values in seen.items()}}


def validate_inputs(context: Context) -> Inputs:
    """What validate depends on: the snapshot."""
    return {"snapshot": context.fact("ingest", "snapshot")}


def validation(context: Context) -> Outcome:
    """Check the snapshot's rows against its schema; ValidationFailed stops the run."""
    snapshot = context.snapshot()
    snapshot.verify()
    with context.reporter.progress("checking", snapshot.rows) as advance:

        def counted() -> Any:
            for batch in scan(snapshot.paths()):
                yield batch
                advance(batch.num_rows)

        check(validate(counted(), snapshot.schema, where=f"snapshot {snapshot.id}"))
    checked = sum(field.role != "ignore" for field in snapshot.schema.fields)
    return snapshot.rows, {"columns": checked, "findings": 0}, []
