"""Tables in, columns out: anything that speaks Arrow, pandas, polars or NumPy, as flat memory for the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore.data.types import Kind, is_text, kind_of_type
from mlcore.errors import DataError, SchemaMismatch, UnsupportedType

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Column:
    """Flat memory of one column's rows.

    `values` starts at row 0: float32, float64, int32 or int64, or int32 indices into `dictionary`. Bit `offset` of the
    Arrow bitmap `validity` belongs to row 0; None means that every row is valid. NaN is a value here.
    """

    name: str
    values: Array
    validity: Array | None
    offset: int
    dictionary: pa.Array | None


def column(batch: pa.RecordBatch, name: str) -> Column:
    """Return a batch's column, without a copy where its type is one the kernels read.

    Raises:
        SchemaMismatch: there is no such column, or more than one.
        UnsupportedType: its type is not one of those in `mlcore.data.types`.
    """
    places = batch.schema.get_all_field_indices(name)
    if len(places) != 1:
        found = ", ".join(batch.schema.names[:40])
        raise SchemaMismatch(f"column '{name}' is {'missing' if not places else 'there twice'}; found: {found}")
    array = batch.column(places[0])
    kind = kind_of_type(array.type, column=name)
    if kind == "dictionary":
        return dictionary_column(name, array)
    return _numbers(name, _as_kind(name, array, kind), kind)


def _as_kind(name: str, array: pa.Array, kind: Kind) -> pa.Array:
    """The array in the kernels' own type; a view where the bits are the same."""
    wanted: pa.DataType = {"f4": pa.float32(), "f8": pa.float64(), "i4": pa.int32(), "i8": pa.int64()}[kind]
    if array.type == wanted:
        return array
    if pa.types.is_temporal(array.type) and array.type.bit_width == 64:
        return array.view(pa.int64())
    try:
        if pa.types.is_temporal(array.type):
            array = array.view(pa.int32())
        return array.cast(wanted)
    except pa.ArrowInvalid as error:
        raise DataError(f"column '{name}': {array.type} does not fit {wanted}: {error}") from error


def _numbers(name: str, array: pa.Array, kind: Kind) -> Column:
    validity, data = array.buffers()
    dtype = np.dtype(kind)
    values = np.zeros(0, dtype)
    if data is not None and len(array):
        values = np.frombuffer(data, dtype, count=len(array), offset=array.offset * dtype.itemsize)
    return Column(name, values, *_validity(array, validity), None)


def _validity(array: pa.Array, buffer: pa.Buffer | None) -> tuple[Array | None, int]:
    if buffer is None or array.null_count == 0 or len(array) == 0:
        return None, 0
    return np.frombuffer(buffer, np.uint8), array.offset


def dictionary_column(name: str, array: pa.Array) -> Column:
    """Return values, encoded by a dictionary or about to be, as indices into it."""
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    dictionary, indices = array.dictionary, array.indices
    if indices.type != pa.int32():
        indices = indices.cast(pa.int32())
    if dictionary.null_count:  # an entry may itself be null: its rows are missing
        null_entries = pc.take(pc.is_null(dictionary), indices)
        indices = pc.if_else(null_entries, pa.scalar(None, pa.int32()), indices)
    numbers = _numbers(name, indices, "i4")
    return Column(name, numbers.values, numbers.validity, numbers.offset, dictionary)


def numpy_columns(X: Array, names: Sequence[str]) -> list[Column]:
    """Return the columns of a 2-D array as strided views; integers and booleans narrower than 32 bits are widened.

    Raises:
        UnsupportedType: the dtype is not a number's.
    """
    kind = {"f2": "f4", "b1": "i4", "i1": "i4", "i2": "i4", "u1": "i4", "u2": "i4", "u4": "i8"}.get(
        X.dtype.str[1:], X.dtype.str[1:]
    )
    if kind not in ("f4", "f8", "i4", "i8"):
        raise UnsupportedType(f"an array of dtype {X.dtype} is not supported; floats and integers that fit int64 are")
    typed = X.astype(kind) if X.dtype != np.dtype(kind) else X
    return [Column(name, typed[:, i], None, 0, None) for i, name in enumerate(names)]


def to_table(X: Any, *, names: Sequence[str] | None = None) -> pa.Table:
    """Return `X` as an Arrow table, sharing memory where its owner allows.

    Takes Arrow tables, batches and readers, pandas and polars frames, mappings of columns, 2-D NumPy arrays (columns
    `names`, or f0, f1, …), and anything with `__arrow_c_stream__` or `__arrow_c_array__`.

    Raises:
        UnsupportedType: it is none of these.
        DataError: a column stands twice, or holds what Arrow does not, strings among numbers for one.
    """
    try:
        return _without_views(_to_table(X, names))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(": ".join(map(str, reversed(error.args)))) from error  # Arrow names the column last


def _to_table(X: Any, names: Sequence[str] | None) -> pa.Table:
    if isinstance(X, pa.Table):
        return X
    if isinstance(X, pa.RecordBatch):
        return pa.Table.from_batches([X])
    if isinstance(X, pa.RecordBatchReader):
        return X.read_all()
    if isinstance(X, np.ndarray):
        return _from_numpy(X, names)
    if isinstance(X, Mapping):
        return pa.table(dict(X))
    library = type(X).__module__.split(".")[0]
    if type(X).__name__ == "Series" or isinstance(X, pa.Array | pa.ChunkedArray):
        raise UnsupportedType(f"a {library} {type(X).__name__} is one column; pass a table of columns")
    if type(X).__name__ == "LazyFrame":
        raise UnsupportedType(f"a {library} LazyFrame has no rows yet; pass what its .collect() gives")
    if library == "pandas" and hasattr(X, "columns"):
        return _from_pandas(X)
    if library == "polars":
        _refuse_wide_integers(X)
    if hasattr(X, "__arrow_c_stream__"):
        return pa.table(X)
    if hasattr(X, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(X)])
    raise UnsupportedType(
        f"cannot read a table from {type(X).__module__}.{type(X).__qualname__}; pass an Arrow table, a pandas or polars "
        "frame, a mapping of columns or a 2-D NumPy array"
    )


def _without_views(table: pa.Table) -> pa.Table:
    """Strings stored as views, which Arrow's own kernels do not all take, as large strings."""
    for index, field in enumerate(table.schema):
        text = pa.large_string()
        if pa.types.is_string_view(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(text))
        elif pa.types.is_dictionary(field.type) and pa.types.is_string_view(field.type.value_type):
            chunks = [
                pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(text))
                for chunk in table.column(index).chunks
            ]
            type_ = pa.dictionary(field.type.index_type, text)
            table = table.set_column(index, field.name, pa.chunked_array(chunks, type_))
    return table


def _from_pandas(frame: Any) -> pa.Table:
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaMismatch(f"column '{twice}' stands {names.count(twice)} times")
    frame = frame.set_axis(names, axis=1)
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _refuse_wide_integers(frame: Any) -> None:
    for name, type_ in getattr(frame, "schema", {}).items():
        if str(type_) in ("Int128", "UInt128"):
            raise UnsupportedType(f"column '{name}': polars' {type_} is not supported; cast it to Int64 or Float64")


def _from_numpy(X: Array, names: Sequence[str] | None) -> pa.Table:
    if X.ndim != 2:
        raise UnsupportedType(f"expected a 2-D array, found {X.ndim} dimensions")
    names = names or [f"f{i}" for i in range(X.shape[1])]
    if len(names) != X.shape[1]:
        raise SchemaMismatch(f"{len(names)} names for {X.shape[1]} columns")
    return pa.table([pa.array(np.ascontiguousarray(X[:, i])) for i in range(X.shape[1])], names=list(names))


__all__ = ["Column", "column", "dictionary_column", "is_text", "numpy_columns", "to_table"]
