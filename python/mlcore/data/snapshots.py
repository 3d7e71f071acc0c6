"""Snapshots: immutable versions of a dataset, by content; files stay where they are."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from mlcore.data.files import write_atomically
from mlcore.data.readers import check_same, open_parquet
from mlcore.data.schema import Schema
from mlcore.errors import DataError, SnapshotCorrupt

FORMAT: Final = 1
ID_LENGTH: Final = 16


@dataclass(frozen=True)
class SnapshotFile:
    """One file: its path from the snapshot's root, bytes, rows, BLAKE3, and the range of its time column (ISO text)."""

    path: str
    size: int
    rows: int
    blake3: str
    low: str | None
    high: str | None


@dataclass(frozen=True)
class SnapshotDiff:
    """What changed from one snapshot to another."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed or self.columns)

    def __str__(self) -> str:
        parts = [("added", self.added), ("removed", self.removed), ("changed", self.changed), ("columns", self.columns)]
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names) or "no difference"


@dataclass(frozen=True)
class Snapshot:
    """A dataset as it was: `id` is a digest of the files' contents and the schema, so equal data has an equal id."""

    id: str
    created: str
    root: str
    files: tuple[SnapshotFile, ...]
    schema: Schema

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @staticmethod
    def create(files: Sequence[Path], schema: Schema, *, root: Path, time: str | None = None) -> Snapshot:
        """Return the snapshot of Parquet files under `root`.

        Raises:
            DataError: a file cannot be read, or lies outside the root; SchemaMismatch: a column changed type.
        """
        expected = schema.arrow()
        listed = tuple(_describe(path, root, expected, time) for path in sorted(files))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Snapshot(_identity(listed, schema), now, str(root), listed, schema)

    def paths(self) -> list[Path]:
        """Return the files' paths."""
        return [Path(self.root) / file.path for file in self.files]

    def select(self, since: date | None = None, until: date | None = None) -> list[Path]:
        """Return the files that may hold rows of [since, until), by the range of their time column."""
        return [
            Path(self.root) / file.path
            for file in self.files
            if not (until and file.low and file.low[:10] >= until.isoformat())
            and not (since and file.high and file.high[:10] < since.isoformat())
        ]

    def verify(self, only: Collection[Path] | None = None) -> None:
        """Check the size and hash of every file, or of those in `only`, against the manifest.

        Raises:
            SnapshotCorrupt: a file is gone or altered; the message names it.
        """
        for file in self.files:
            path = Path(self.root) / file.path
            if only is not None and path not in only:
                continue
            if not path.exists():
                raise SnapshotCorrupt(f"snapshot {self.id}: {path} is gone; ingest again or restore it")
            if path.stat().st_size != file.size or content_hash(path) != file.blake3:
                raise SnapshotCorrupt(f"snapshot {self.id}: {path} was altered; ingest again or restore it")

    def to_json(self) -> dict[str, Any]:
        """Return the manifest."""
        files = [asdict(file) for file in self.files]
        return {"format": FORMAT, "id": self.id, "created": self.created, "root": self.root, "rows": self.rows,
                "files": files, "schema": self.schema.to_json()}  # fmt: skip

    @staticmethod
    def from_json(data: dict[str, Any], *, where: str) -> Snapshot:
        """Return the snapshot of a manifest; SnapshotCorrupt when it is malformed, altered or of an unknown format."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise SnapshotCorrupt(f"{where} is not a snapshot manifest of format {FORMAT}")
        try:
            files = tuple(SnapshotFile(**file) for file in data["files"])
            schema = Schema.from_json(data["schema"])
            snapshot = Snapshot(data["id"], data["created"], data["root"], files, schema)
        except (KeyError, TypeError) as error:
            raise SnapshotCorrupt(f"{where} is malformed: {error}") from error
        if snapshot.id != _identity(files, schema):
            raise SnapshotCorrupt(f"{where} was altered: its id does not match its contents")
        return snapshot


def content_hash(path: Path) -> str:
    """Return the BLAKE3 of a file, as hex."""
    hasher = blake3(max_threads=blake3.AUTO)
    try:
        return str(hasher.update_mmap(path).hexdigest())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _identity(files: Sequence[SnapshotFile], schema: Schema) -> str:
    content = {"files": [asdict(file) for file in files], "schema": schema.to_json()}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return str(blake3(text.encode()).hexdigest()[:ID_LENGTH])


def _describe(path: Path, root: Path, expected: pa.Schema, time: str | None) -> SnapshotFile:
    try:
        relative = path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        raise DataError(f"{path} lies outside the snapshot's root {root}") from error
    with open_parquet(path) as parquet:
        check_same(path, parquet.schema_arrow, expected, expected.names)
        rows = int(parquet.metadata.num_rows)
        low, high = (None, None) if time is None or rows == 0 else _range(parquet.read([time]).column(0))
    return SnapshotFile(relative, path.stat().st_size, rows, content_hash(path), low, high)


def _range(times: pa.ChunkedArray) -> tuple[str | None, str | None]:
    bounds = pc.min_max(times).as_py()
    return tuple(None if bounds[key] is None else bounds[key].isoformat() for key in ("min", "max"))  # type: ignore[return-value]


def diff(old: Snapshot, new: Snapshot) -> SnapshotDiff:
    """Return what changed from `old` to `new`: files by content, columns by name, type and role."""
    before, after = ({file.path: file for file in snapshot.files} for snapshot in (old, new))
    fields = [{field.name: (field.type, field.role) for field in snapshot.schema.fields} for snapshot in (old, new)]
    names = dict.fromkeys([*fields[0], *fields[1]])
    return SnapshotDiff(
        added=tuple(path for path in after if path not in before),
        removed=tuple(path for path in before if path not in after),
        changed=tuple(p for p in after if p in before and after[p].blake3 != before[p].blake3),
        columns=tuple(name for name in names if fields[0].get(name) != fields[1].get(name)),
        rows=new.rows - old.rows,
    )


class SnapshotStore:
    """A folder of snapshot manifests; `root`, where given, is where their files are now."""

    def __init__(self, folder: Path, *, root: Path | None = None) -> None:
        self.folder = folder
        self.root = root

    def put(self, snapshot: Snapshot) -> Snapshot:
        """Keep a snapshot; one of equal content is kept as it was first, and returned."""
        path = self.folder / f"{snapshot.id}.json"
        if not path.exists():
            write_atomically(path, json.dumps(snapshot.to_json(), indent=1) + "\n")
        (self.folder / "latest").parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "latest", snapshot.id + "\n")
        return self.get(snapshot.id)

    def get(self, prefix: str) -> Snapshot:
        """Return the snapshot whose id begins with `prefix`, or the newest for "latest".

        Raises:
            DataError: none or several match; SnapshotCorrupt: its manifest is damaged.
        """
        if prefix == "latest":
            prefix = self._latest()
        found = [path for path in self._manifests() if path.stem.startswith(prefix)] if prefix else []
        if len(found) != 1:
            state = "no snapshot" if not found else f"{len(found)} snapshots"
            raise DataError(f"{state} in {self.folder} match '{prefix}'; mlcore data list shows them")
        try:
            snapshot = Snapshot.from_json(json.loads(found[0].read_text()), where=str(found[0]))
        except ValueError as error:
            raise SnapshotCorrupt(f"{found[0]} is not JSON: {error}") from error
        return snapshot if self.root is None else replace(snapshot, root=str(self.root))

    def holds(self, id: str) -> bool:
        """Return whether the snapshot of this whole id is kept here."""
        return (self.folder / f"{id}.json").exists()

    def _manifests(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))

    def _latest(self) -> str:
        path = self.folder / "latest"
        return path.read_text().strip() if path.exists() else ""

    def list(self) -> list[Snapshot]:
        """Return all snapshots, oldest first."""
        return sorted((self.get(path.stem) for path in self._manifests()), key=lambda snapshot: snapshot.created)
