"""Snapshots are versions by content: the same data has the same id, a changed byte is found."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from mlcore.data.schema import Field, Schema
from mlcore.data.snapshots import Snapshot, SnapshotStore, diff
from mlcore.errors import DataError, SchemaMismatch, SnapshotCorrupt

SCHEMA = Schema((Field("x", "int64"), Field("s", "string", role="target")))


def write(root: Path, name: str, values: list[int]) -> Path:
    path = root / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": values, "s": ["a"] * len(values)}), path)
    return path


def made(root: Path, **files: list[int]) -> Snapshot:
    return Snapshot.create([write(root, name, values) for name, values in files.items()], SCHEMA, root=root)


def test_equal_data_has_an_equal_id_wherever_it_lies(tmp_path: Path) -> None:
    here, there = made(tmp_path / "a", one=[1, 2]), made(tmp_path / "b", one=[1, 2])
    assert here.id == there.id
    assert here.id != made(tmp_path / "c", one=[1, 3]).id


def test_hashes_are_blake3_of_the_files(tmp_path: Path) -> None:
    snapshot = made(tmp_path, one=[1, 2], two=[3])
    assert [file.blake3 for file in snapshot.files] == [
        blake3((tmp_path / file.path).read_bytes()).hexdigest() for file in snapshot.files
    ]
    assert (snapshot.rows, [file.rows for file in snapshot.files]) == (3, [2, 1])


def test_a_changed_byte_and_a_missing_file_are_found(tmp_path: Path) -> None:
    snapshot = made(tmp_path, one=[1, 2])
    snapshot.verify()
    path = tmp_path / "one.parquet"
    spoiled = bytearray(path.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    path.write_bytes(bytes(spoiled))
    with pytest.raises(SnapshotCorrupt, match="one.parquet was altered"):
        snapshot.verify()
    path.unlink()
    with pytest.raises(SnapshotCorrupt, match="one.parquet is gone"):
        snapshot.verify()


def test_a_difference_names_files_and_rows(tmp_path: Path) -> None:
    found = diff(made(tmp_path / "a", one=[1], two=[2]), made(tmp_path / "b", two=[2, 3], three=[4]))
    assert (found.added, found.removed, found.changed, found.rows) == (
        ("three.parquet",),
        ("one.parquet",),
        ("two.parquet",),
        1,
    )


def test_a_store_finds_by_a_beginning_and_refuses_an_altered_manifest(tmp_path: Path) -> None:
    snapshot = made(tmp_path, one=[1])
    store = SnapshotStore(tmp_path / "store")
    store.put(snapshot)
    assert store.get(snapshot.id[:6]) == store.get("latest") == snapshot
    assert store.list() == [snapshot]
    with pytest.raises(DataError, match="no snapshot"):
        store.get("zz")
    path = tmp_path / "store" / f"{snapshot.id}.json"
    path.write_text(path.read_text().replace('"rows": 1', '"rows": 2'))
    with pytest.raises(SnapshotCorrupt, match="was altered"):
        store.get(snapshot.id)
    path.write_text(path.read_text()[:50])
    with pytest.raises(SnapshotCorrupt, match="is not JSON"):
        store.get(snapshot.id)


def test_a_moved_root_is_followed(tmp_path: Path) -> None:
    snapshot = made(tmp_path / "before", one=[1])
    SnapshotStore(tmp_path / "store").put(snapshot)
    (tmp_path / "before").rename(tmp_path / "after")
    SnapshotStore(tmp_path / "store", root=tmp_path / "after").get("latest").verify()


def test_a_file_of_another_type_or_outside_the_root_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "one", [1])
    pq.write_table(pa.table({"x": [1.5], "s": ["a"]}), path)
    with pytest.raises(SchemaMismatch, match="column 'x' in .*one.parquet"):
        Snapshot.create([path], SCHEMA, root=tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="one.parquet"):
        Snapshot.create([write(tmp_path, "one", [1])], SCHEMA, root=tmp_path / "other")
