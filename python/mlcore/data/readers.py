"""Readers: Parquet files as batches, with errors that name the file and what to do about it."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlcore.data.types import is_text, plain, same_meaning
from mlcore.errors import DataError, SchemaMismatch

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".csv.zip")


def list_files(source: str | Path | Sequence[str | Path], *, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Return the files of a path, a folder, a glob pattern, or a list of these, each once, sorted within each.

    Raises:
        DataError: a path does not exist or cannot be read, a folder or pattern holds no data files.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    found = [path for item in sources for path in _expand(item, tuple(suffixes))]
    if not found:
        raise DataError("no input files were given")
    return list(dict.fromkeys(found))


def _expand(source: str | Path, suffixes: tuple[str, ...]) -> list[Path]:
    path = Path(source)
    try:
        if path.is_dir():
            files = sorted(item for item in path.iterdir() if item.name.endswith(suffixes) and item.name[0] != ".")
            if not files:
                raise DataError(f"folder {path} holds no data: no file ends in {', '.join(suffixes)}")
            return files
        if path.exists():
            return [path]
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if glob.has_magic(str(source)):
        files = sorted(Path(item) for item in glob.glob(str(source)) if item.endswith(suffixes))
        if not files:
            raise DataError(f"no file matches {source}")
        return files
    raise DataError(f"{path} does not exist")


def open_parquet(path: Path, *, dictionaries: bool = True, metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """Return an open Parquet file; with `dictionaries`, its string columns are read dictionary-encoded.

    `metadata` is what `metadata_of` gave, which spares reading it again.

    Raises:
        DataError: the file is absent, empty, cut short, or not Parquet.
    """
    metadata = metadata or metadata_of(path)
    texts = [field.name for field in metadata.schema.to_arrow_schema() if dictionaries and is_text(field.type)]
    with _named(path):  # a mapped file that is cut short would kill us; columns of a file at hand need no reading ahead
        return pq.ParquetFile(path, metadata=metadata, read_dictionary=texts, pre_buffer=False)


def metadata_of(path: Path) -> pq.FileMetaData:
    """Return what a Parquet file says of itself; DataError as of `open_parquet`."""
    with _named(path):
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty")
        return pq.read_metadata(path)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn pyarrow's errors into one that names the file and what to do."""
    try:
        yield
    except pa.ArrowException as error:
        if path.name.endswith(SUFFIXES[1:]):
            raise DataError(f"{path} is CSV, not Parquet; `mlcore ingest` makes Parquet of it") from error
        raise DataError(f"{path} is not a whole Parquet file ({error}); write it again from its source") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def scan(files: Sequence[Path], columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the batches of Parquet files in order; a row group is read at a time.

    Raises:
        DataError: a file cannot be read; SchemaMismatch: a column is absent, or has another type than in the first file.
    """
    first: pa.Schema | None = None
    for path in files:
        with open_parquet(path) as parquet:
            schema = parquet.schema_arrow
            check_columns(path, schema, columns or schema.names)
            first = first or schema
            check_same(path, schema, first, columns or first.names)
            for group in range(parquet.num_row_groups):
                yield from read_group(parquet, path, group, columns).to_batches()


def read_group(parquet: pq.ParquetFile, path: Path, group: int, columns: Sequence[str] | None) -> pa.Table:
    """Return one row group, read by the calling thread alone; a damaged one raises DataError naming file and group."""
    try:
        return parquet.read_row_group(group, columns=None if columns is None else list(columns), use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}, row group {group}: cannot be read ({error}); is the file damaged?") from error


def check_columns(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    """Raise SchemaMismatch, naming the file, unless each of `columns` stands in the schema exactly once."""
    for name in columns:
        if len(schema.get_all_field_indices(name)) != 1:
            state = "missing" if name not in schema.names else "there twice"
            raise SchemaMismatch(f"{path}: column '{name}' is {state}; found: {', '.join(schema.names[:40])}")


def check_same(path: Path, schema: pa.Schema, first: pa.Schema, columns: Sequence[str]) -> None:
    """Raise SchemaMismatch, naming file, column and both types, where a column changed type."""
    for name in columns:
        if name not in schema.names:
            raise SchemaMismatch(f"{path}: column '{name}' is missing; files before it have it")
        found, expected = schema.field(name).type, first.field(name).type
        if not same_meaning(found, expected):
            raise SchemaMismatch(
                f"column '{name}' in {path}: expected {expected} as in the files before, found {plain(found)}"
            )
