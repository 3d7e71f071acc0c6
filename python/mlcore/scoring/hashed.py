"""Categories as CatBoost knows them: by the hash of their text, which is all that its models hold of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from mlcore.data.types import is_text, kind_of_type
from mlcore.errors import DataError, SchemaMismatch
from mlcore.models.cityhash import cityhash64
from mlcore.scoring.line import Array


def hashed(table: pa.Table, names: Collection[str]) -> pa.Table:
    """Return the table with the columns `names` as dictionaries of their categories' hashes, int64.

    Raises:
        SchemaMismatch, UnsupportedType: such a column holds neither strings nor whole numbers.
        DataError: it holds a missing value, which CatBoost refuses.
    """
    for index, field in enumerate(table.schema):
        if field.name in names:
            chunks = [_chunk(field.name, chunk) for chunk in table.column(index).chunks]
            type_ = pa.dictionary(pa.int32(), pa.int64())
            table = table.set_column(index, field.name, pa.chunked_array(chunks, type_))
    return table


def _chunk(name: str, values: pa.Array) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(values.type):
        kind_of_type(values.type, column=name)  # refuses what Arrow has no dictionaries of, lists for one
        values = values.dictionary_encode()
    dictionary, indices = values.dictionary, values.indices
    nulls = dictionary.is_null().to_numpy(zero_copy_only=False)
    if indices.null_count or (nulls.any() and nulls[indices.to_numpy(zero_copy_only=False)].any()):
        raise DataError(
            f"column '{name}' has a missing value, which CatBoost's categories have not; fill it with a text"
        )
    hashes = cityhash64(_text(name, dictionary)) & np.uint64(2**32 - 1)
    return pa.DictionaryArray.from_arrays(indices.cast(pa.int32()), pa.array(hashes.astype(np.int64)))


def _text(name: str, values: pa.Array) -> pa.Array:
    if is_text(values.type):
        return values
    if pa.types.is_boolean(values.type):  # 1 and 0
        values = values.cast(pa.int8())
    if not (pa.types.is_integer(values.type) or pa.types.is_null(values.type)):
        raise SchemaMismatch(
            f"column '{name}': CatBoost's categories are strings or whole numbers, found {values.type}"
        )
    return values.cast(pa.string())


def from_matrix(X: Array, names: Sequence[str], of: Collection[str]) -> pa.Table:
    """Return a matrix that holds categories, in the columns `of`, as a table: whole numbers, text, or objects.

    Raises:
        SchemaMismatch: it is of floats, which CatBoost has no categories in, or an object is not what its column holds.
    """
    X = X.astype(object) if X.dtype.kind == "U" else X
    if X.dtype.kind not in "iubO":
        raise SchemaMismatch(f"the model has categories, which a matrix of {X.dtype} does not hold; pass a table")
    columns = []
    for name, values in zip(names, X.T, strict=True):
        if name in of and X.dtype.kind == "O":
            columns.append(pa.array(_texts(name, values), pa.string()))
        else:
            columns.append(pa.array(_numbers(name, values) if X.dtype.kind == "O" else np.ascontiguousarray(values)))
    return pa.table(columns, names=list(names))


def _texts(name: str, values: Array) -> list[str]:
    """Each object's text."""
    for value in values:
        if not isinstance(value, str | int | np.integer | np.bool_):
            raise SchemaMismatch(
                f"column '{name}': CatBoost's categories are strings or whole numbers, found {type(value).__name__}"
            )
    return [str(int(value)) if isinstance(value, bool | np.bool_) else str(value) for value in values]


def _numbers(name: str, values: Array) -> Array:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaMismatch(f"column '{name}': expected numbers: {error}") from error
