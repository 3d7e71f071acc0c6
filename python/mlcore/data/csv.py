"""Strict CSV: typed by its values, plain, gzipped or zipped; a row that does not fit is named."""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pacsv

from mlcore.data.types import type_named
from mlcore.errors import DataError

# What the files of R, pandas, SQL exports and spreadsheets write for a missing value; an empty field is one too.
NULLS: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
_TIMESTAMPS: Final = (pacsv.ISO8601, "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")

_NOT_UTF8: Final = "some text is not UTF-8; write the file as UTF-8"


def read_csv(path: Path, types: Mapping[str, str]) -> pa.Table:
    """Return a CSV file as a table; `types` forces columns, the others take the type that all their values fit.

    Integers with missing values stay integers.

    Raises:
        DataError: the file is empty, unreadable, ragged, or a value is not of its column's type; the message says where.
    """
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty")
        table = pacsv.read_csv(
            _open(path),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={name: type_named(text) for name, text in types.items()},
                null_values=list(NULLS),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                timestamp_parsers=list(_TIMESTAMPS),
            ),
        )
        twice = sorted(name for name, count in Counter(table.column_names).items() if count > 1)
        if twice:
            raise DataError(f"{path}: column '{twice[0]}' is there twice; rename one")
        for field in table.schema:
            if field.type == pa.binary():
                raise DataError(f"{path}, column '{field.name}': {_NOT_UTF8}")
        return table
    except pa.ArrowException as error:
        raise DataError(_explain(path, str(error))) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path} is not a whole archive: {error}") from error


def _open(path: Path) -> Any:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if len(members) != 1:
                raise DataError(f"{path} holds {len(members)} files; one CSV is expected")
            return io.BytesIO(archive.read(members[0]))
    return str(path)  # pyarrow takes .gz by its name


def _explain(path: Path, message: str) -> str:
    if "\N{REPLACEMENT CHARACTER}" in message:  # pyarrow cannot hand such a row over
        return f"{path}: {message}; {_NOT_UTF8}"
    row = _ragged(path)
    if row is not None:
        line = _line_of(path, row.text) if row.number is None else row.number
        where = f"row {line}" if line is not None else "a row"
        text = row.text if len(row.text) <= 80 else row.text[:77] + "..."
        return (
            f"{path}, {where}: expected {row.expected_columns} columns, found {row.actual_columns}: {text!r}; "
            "mend the file, or quote the fields that hold a comma"
        )
    column = re.search(r"column #(\d+):? ?(.*)", message)
    if column is None:
        return f"{path}: {message}"
    return f"{path}, column '{_names(path)[int(column.group(1))]}': {column.group(2)}"


def _ragged(path: Path) -> Any | None:
    """The first row of too few or too many columns, if there is one: the file is read again to see it whole."""
    rows: list[Any] = []

    def on_invalid(row: Any) -> str:
        rows.append(row)
        return "error"

    options = pacsv.ParseOptions(invalid_row_handler=on_invalid, newlines_in_values=True)
    with contextlib.suppress(pa.ArrowException):
        pacsv.read_csv(_open(path), parse_options=options)
    return rows[0] if rows else None


def _names(path: Path) -> list[str]:
    with pacsv.open_csv(_open(path)) as reader:
        return list(reader.schema.names)


def _line_of(path: Path, text: str) -> int | None:
    """The line a ragged row stands on: the reader knows it only when it works on one thread."""
    source = _open(path)
    lines = source if isinstance(source, io.BytesIO) else None
    if lines is None and path.suffix != ".gz":
        lines = io.BytesIO(path.read_bytes())
    wanted = text.encode()
    for number, line in enumerate(lines or (), start=1):
        if line.rstrip(b"\r\n") == wanted:
            return number
    return None
