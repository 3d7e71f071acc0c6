"""Inputs: what users hand to a scorer, as blocks of raw columns in the order the scorer asks for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore.data.tables import Column, column, dictionary_column, numpy_columns, to_table
from mlcore.data.types import is_text, plain
from mlcore.errors import DataError, SchemaMismatch
from mlcore.models.ensemble import Categories
from mlcore.preprocessing.features import Affine, Clip, Feature, Fill, Match, Step, Times, evaluate, evaluate_categories
from mlcore.preprocessing.sklearn_lower import Form
from mlcore.scoring.categories import CategoryColumns, noted, restored, written_out
from mlcore.scoring.conventions import Conventions
from mlcore.scoring.hashed import from_matrix, hashed
from mlcore.scoring.line import Array
from mlcore.scoring.plan import Kind, Plan

Arithmetic = Literal["float32", "float64", "narrow", "unknown"]
"""What scikit-learn's transformers compute with float32 in; "narrow": with integers too, in float32 or float16."""


@dataclass(frozen=True)
class Block:
    """Rows whose columns are contiguous pieces of memory."""

    columns: tuple[Column, ...]
    rows: int
    positional: bool = False
    """Whether numbers may stand for the positions of categories: a matrix has no names and no categories."""
    sparse: bool = False
    """Whether they are those of a sparse matrix."""
    arithmetic: Arithmetic = "unknown"

    @property
    def form(self) -> Form:
        """How scikit-learn's transformers would get them."""
        return Form(self.arithmetic == "float32", self.sparse)

    def kinds(self) -> dict[str, Kind]:
        """Return each column's kind, by name."""
        return {item.name: kind_of(item) for item in self.columns}


def pieces(block: Block, rows: int) -> Iterator[tuple[Block, slice]]:
    """Yield a block in pieces of at most so many rows, each with its place."""
    for first in range(0, block.rows, rows):
        part = slice(first, min(first + rows, block.rows))
        columns = tuple(replace(item, values=item.values[part], offset=item.offset + first) for item in block.columns)
        yield replace(block, columns=columns, rows=part.stop - first), part


def kind_of(item: Column) -> Kind:
    """Return the kind of code a column needs: its number type, or "dictionary"."""
    if item.dictionary is not None:
        return "dictionary"
    kind: Any = item.values.dtype.str[1:]
    return kind  # type: ignore[no-any-return]


def blocks(
    X: Any,
    names: Sequence[str],
    *,
    named: bool,
    types: Mapping[str, pa.DataType] | None,
    missing: float,
    conventions: Conventions,
    categories: CategoryColumns,
) -> Iterator[Block]:
    """Yield the columns `names` of X in blocks: by name where both sides have names, by position otherwise.

    Args:
        X: a matrix, NumPy's or SciPy's sparse, or a table.
        names: of the raw columns, in order.
        named: whether the model knows these names.
        types: of a Bundle's schema, which columns are cast to: floats round, integers and times must fit.
        missing: the number that stands for a missing value beside NaN; NaN for none.
        conventions: what the model's library does with its inputs.
        categories: the columns that the model reads categories from.

    Raises:
        SchemaMismatch: a column is missing, there are too few or too many, or one has another type.
    """
    for block in _blocks(X, names, named, types, conventions, categories):
        yield block if math.isnan(missing) else _without(block, missing)


def _blocks(
    X: Any,
    names: Sequence[str],
    named: bool,
    types: Mapping[str, pa.DataType] | None,
    conventions: Conventions,
    categories: CategoryColumns,
) -> Iterator[Block]:
    if is_sparse(X):
        for part in _dense(X, conventions.absent):
            for block in _blocks(part, names, named, types, conventions, categories):
                yield replace(block, sparse=True)
        return
    if isinstance(X, np.ndarray):
        if X.ndim != 2 or X.shape[1] != len(names):
            raise SchemaMismatch(f"expected an array of shape (rows, {len(names)}), found {X.shape}")
        if categories.hashed:
            X = from_matrix(X, names, categories.hashed)
        elif types is None:
            yield Block(tuple(numpy_columns(X, list(names))), len(X), positional=True)
            return
    table = to_table(X, names=list(names) if isinstance(X, np.ndarray) else None)
    places = in_order(table.column_names, names, named=named, joined=conventions.joins_names)
    told = noted(table.schema) if types is None and (categories.named or categories.listed) else ()
    coded = {name for name, place in zip(names, places, strict=True) if table.column_names[place] in told}
    table = table.select(places).rename_columns(list(names))
    if conventions.refuses_times and types is None:
        _refuse_times(table)
    table = restored(hashed(_cast(table, types), categories.hashed), coded, categories)
    if not conventions.recodes_numbers:
        table = written_out(table)
    for batch in table.to_batches():
        if batch.num_rows:
            yield Block(tuple(_column(batch, name, conventions) for name in names), batch.num_rows)


def _refuse_times(table: pa.Table) -> None:
    for field in table.schema:
        if pa.types.is_temporal(field.type):
            raise SchemaMismatch(
                f"column '{field.name}' holds {field.type}, which the model's library refuses; cast it to the numbers that "
                "the model was trained on"
            )


def _column(batch: pa.RecordBatch, name: str, conventions: Conventions) -> Column:
    """A batch's column; a dictionary of numbers stays one where the library has such categories, as pandas does."""
    values = batch.column(batch.schema.get_field_index(name))
    if pa.types.is_dictionary(values.type):
        of = values.type.value_type
        more = conventions.any_categories and (pa.types.is_floating(of) or pa.types.is_boolean(of))
        if more or pa.types.is_integer(of):
            return dictionary_column(name, values)
    return column(batch, name)


_DENSE_VALUES: Final = 1 << 22  # of a sparse matrix, written out at a time


def _dense(X: Any, absent: float) -> Iterator[Array]:
    """Yield a sparse matrix in dense pieces, column after column in memory."""
    rows = X.tocsr(copy=False)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    step = max(512, _DENSE_VALUES // max(1, rows.shape[1]) // 512 * 512)
    for first in range(0, rows.shape[0], step):
        part = rows[first : first + step]
        dense = np.full(part.shape, absent, part.dtype, order="F")
        dense[np.repeat(np.arange(part.shape[0]), np.diff(part.indptr)), part.indices] = part.data
        yield dense


def is_sparse(X: Any) -> bool:
    """Return whether X is one of SciPy's sparse matrices or arrays."""
    return type(X).__module__.startswith("scipy.sparse")


def held(X: Any) -> Any:
    """Return X as what can be read more than once: a matrix or a pandas frame as it is, anything else as an Arrow table."""
    kept = isinstance(X, np.ndarray) or is_sparse(X) or (hasattr(X, "iloc") and hasattr(X, "columns"))
    return X if kept else to_table(X)


def arithmetic_of(X: Any, names: Sequence[str]) -> Arithmetic:
    """Return what scikit-learn's transformers, fitted on the columns `names`, compute with X's float32 in.

    In float32 where nothing that they see is of another type; what pandas calls extension types become float64. Of other
    tables it depends on the transformers, and on columns that no feature comes from.
    """
    if isinstance(X, np.ndarray) or is_sparse(X):
        return "narrow" if X.dtype == np.float16 else "float32" if X.dtype == np.float32 else "unknown"
    mapping = isinstance(X, Mapping)
    if mapping or (hasattr(X, "iloc") and hasattr(X, "dtypes")):
        every = [getattr(item, "dtype", None) for item in X.values()] if mapping else X.dtypes
        known = dict(zip(map(str, X), every, strict=True))
        dtypes = [known[name] for name in names] if set(names) <= known.keys() else list(known.values())
        if any(isinstance(dtype, np.dtype) and dtype == np.float16 for dtype in dtypes):
            return "narrow"
        if mapping or not dtypes:
            return "unknown"
        if all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in dtypes):
            common = np.result_type(*dtypes) == np.float32
            return "unknown" if not common else "float32" if all(dtype == np.float32 for dtype in dtypes) else "narrow"
        extended = all(not isinstance(dtype, np.dtype) and getattr(dtype, "kind", "") == "f" for dtype in dtypes)
        return "float64" if extended else "unknown"
    schema = getattr(X, "schema", None)
    half = isinstance(schema, pa.Schema) and any(pa.types.is_float16(field.type) for field in schema)
    return "narrow" if half else "unknown"


def used_columns(X: Any, inputs: Sequence[str], used: Sequence[str], *, named: bool) -> Any:
    """Return the `used` ones of X's columns `inputs`: of a matrix, or of a table whose names mean nothing."""
    places = [inputs.index(name) for name in used]
    matrix = isinstance(X, np.ndarray) or is_sparse(X)
    if not matrix and named:
        return X
    X = X if matrix else to_table(X)
    if len(X.shape) != 2 or X.shape[1] != len(inputs):
        raise SchemaMismatch(f"expected rows of {len(inputs)} columns, found an array of shape {X.shape}")
    if not matrix:
        return X.select(places)
    return X[:, places] if isinstance(X, np.ndarray) else X.tocsc()[:, places]


def _without(block: Block, missing: float) -> Block:
    """The block with the number `missing`, as float32 sees it, taken for what it stands for."""

    def of(item: Column) -> Column:
        if item.dictionary is not None:
            return item
        valid = (item.values.astype(np.float32) != np.float32(missing)) & valid_rows(item)
        return replace(item, validity=np.packbits(valid, bitorder="little"), offset=0)

    return replace(block, columns=tuple(of(item) for item in block.columns))


def in_order(found: Sequence[str], names: Sequence[str], *, named: bool, joined: bool) -> list[int]:
    """Return where the columns `names` stand among those `found`: by name, or all of them by position.

    With `joined`, a space in a name that is found may stand as an underscore among `names`.
    """
    if not named:
        if len(found) != len(names):
            raise SchemaMismatch(f"the model takes {len(names)} columns, found {len(found)}")
        return list(range(len(names)))
    given = found
    if joined:
        known = set(names)
        found = [name if name in known else name.replace(" ", "_") for name in found]
    for name in names:
        count = found.count(name)
        if count == 0:
            raise SchemaMismatch(f"column '{name}' is missing; found: {', '.join(given[:40])}")
        if count > 1:
            spelt = dict.fromkeys(f"'{as_given}'" for as_given, each in zip(given, found, strict=True) if each == name)
            raise SchemaMismatch(f"column '{name}' stands {count} times, as {' and '.join(spelt)}")
    return [found.index(name) for name in names]


def _cast(table: pa.Table, types: Mapping[str, pa.DataType] | None) -> pa.Table:
    for index, field in enumerate(table.schema):
        name, wanted = field.name, (types or {}).get(field.name)
        if wanted is not None and field.type != wanted:
            table = table.set_column(index, name, _as_type(table.column(index), wanted, name))
    return table


def _as_type(values: pa.ChunkedArray, wanted: pa.DataType, name: str) -> pa.ChunkedArray:
    found = values.type
    if is_text(found) != is_text(wanted) and not pa.types.is_null(found):
        raise SchemaMismatch(f"column '{name}': expected {plain(wanted)}, found {plain(found)}")
    if is_text(found):
        return values
    if pa.types.is_floating(found) and not pa.types.is_floating(wanted):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, found), values)  # pandas keeps missing integers so
    try:
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(
            f"column '{name}': expected {wanted}, found {found} that does not fit it: {error}"
        ) from error


def kernel_columns(
    plan: Plan, block: Block, places: Mapping[str, Array]
) -> list[tuple[Array, Array | None, int, Array]]:
    """Return a block's columns as the `score` op takes them: values, validity, its bit offset, edges or code table."""
    result = []
    for planned, item in zip(plan.columns, block.columns, strict=True):
        folded = planned.folded
        if folded.accepted is not None:
            _refuse_unknown(item, folded.accepted)
        aux = folded.edges if folded.classes is None else folded.classes[places[item.name]]
        assert aux is not None
        result.append((item.values, item.validity, item.offset, aux))
    return result


def places_of(plan: Plan, block: Block) -> dict[str, Array]:
    """Return, by string column, where each entry of the block's own dictionary stands among the plan's categories.

    Entries that the plan does not know stand after the last.
    """
    return {
        item.name: _places(item.name, item.dictionary, planned.folded.known)
        for planned, item in zip(plan.columns, block.columns, strict=True)
        if item.dictionary is not None
    }


def _places(name: str, dictionary: pa.Array, categories: pa.Array) -> Array:
    if not len(dictionary) or not len(categories):  # a column of missing values has categories of any type
        return np.full(len(dictionary), len(categories), np.int32)
    known, kind = _kind_of_categories(categories.type), _kind_of_categories(dictionary.type)
    if known != kind:
        raise SchemaMismatch(f"column '{name}': the model was trained on categories that are {known}, found {kind}")
    if kind == "numbers":
        dictionary, categories = _as_numbers(name, dictionary, categories)
    found = pc.index_in(dictionary, value_set=categories.cast(dictionary.type))
    return np.asarray(pc.fill_null(found, len(categories)).to_numpy(zero_copy_only=False))


def _kind_of_categories(type_: pa.DataType) -> str:
    if is_text(type_):
        return "strings"
    return "booleans" if pa.types.is_boolean(type_) else "numbers"


def _as_numbers(name: str, *arrays: pa.Array) -> list[pa.Array]:
    """Arrays of numbers in one type; Arrow tells −0 from 0, and their sum with 0 does not."""
    integers = [array for array in arrays if pa.types.is_integer(array.type)]
    if len(integers) == len(arrays):
        return [array.cast(pa.int64()) for array in arrays]
    for bound in (bound for array in integers for bound in pc.min_max(array).as_py().values()):
        if abs(bound) > 2**53:
            raise SchemaMismatch(f"column '{name}': category {bound} is an integer beyond 2**53, the others are floats")
    return [pc.add(array.cast(pa.float64(), safe=False), 0.0) for array in arrays]


def _refuse_unknown(item: Column, categories: Categories) -> None:
    """Refuse a category that the model does not store, where its library does."""
    assert item.dictionary is not None
    used = np.unique(item.values[valid_rows(item)])
    unknown = _places(item.name, item.dictionary, pa.array(categories)) == len(categories)
    for index in used[unknown[used]][:1]:
        raise DataError(f"column '{item.name}': category {item.dictionary[int(index)]} was not in the training data")


def refuse_missing(features: Sequence[Feature], block: Block) -> None:
    """Raise DataError where a feature is missing that no step fills."""
    by_name = {item.name: item for item in block.columns}
    for feature in features:
        if _gives_missing(feature.steps, by_name[feature.column]):
            raise missing_error(feature.column)


def _gives_missing(steps: Sequence[Step], item: Column) -> bool:
    valid = valid_rows(item)
    if item.dictionary is not None:
        known, _, missing = evaluate_categories(steps, item.dictionary.cast(pa.string()).to_pylist())
        return bool(np.isnan(np.append(known, missing)[np.where(valid, item.values, -1)]).any())
    if steps and isinstance(steps[0], Match):
        return bool(np.isnan(evaluate(steps, np.where(valid, item.values, np.nan))).any())
    if steps and not np.isnan(evaluate(steps, np.array([np.nan]))[0]):
        return False
    return not valid.all() or (item.values.dtype.kind == "f" and bool(np.isnan(item.values).any()))


def missing_error(name: str) -> DataError:
    """Return the error of a missing value that the model cannot score."""
    return DataError(f"column '{name}' has a missing value, which the model cannot score; impute it first")


def refuse_unaccepted(features: Sequence[Feature], block: Block) -> None:
    """Raise DataError where a row holds a category that a feature does not accept."""
    by_name = {item.name: item for item in block.columns}
    for name, accepts in {(feature.column, feature.accepts or ()) for feature in features}:
        item, present = by_name[name], [category for category in accepts if category is not None]
        missing = ~valid_rows(item)
        if item.dictionary is None:
            missing |= np.isnan(item.values)
            unknown = ~np.isin(item.values, present) & ~missing
            found = item.values[unknown][:1].tolist()
        else:
            used = item.values[~missing]
            unknown = _places(name, item.dictionary, pa.array(map(str, present), pa.string()))[used] == len(present)
            found = [item.dictionary[int(index)] for index in used[unknown][:1]]
        if found:
            raise DataError(f"column '{name}': category {found[0]} was not in the training data")
        if None not in accepts and missing.any():
            raise DataError(f"column '{name}': a missing value was not in the training data")


def refuse_unknown_form(features: Sequence[Feature], block: Block, own: np.dtype[Any]) -> None:
    """Raise SchemaMismatch where scikit-learn would compute with a block in a way that is not known here.

    What it fills in is rounded to float32 as well, which a model that reads float32, its `own` type, does anyway.
    """
    if block.sparse:
        raise SchemaMismatch(
            "a sparse matrix, which these transformers do not take, or not as it is here; pass a dense one"
        )
    by_name = {item.name: item for item in block.columns}
    for feature in features:
        narrow = block.arithmetic == "narrow"
        if narrow and any(isinstance(step, Fill | Affine | Times | Clip) for step in feature.steps):
            raise SchemaMismatch(
                f"column '{feature.column}' stands in a table with float16, or with float32 and integers that narrow, which "
                "scikit-learn's transformers compute in; pass float64"
            )
        if by_name[feature.column].values.dtype != np.float32:
            continue
        if any(_rounds(step, own) for step in feature.steps):
            raise SchemaMismatch(
                f"column '{feature.column}' is float32, which scikit-learn's transformers round to at every step, or do not, "
                "by what else they see; pass float64, or a float32 matrix"
            )


EXACT_FLOAT32: Final = 2**24


def refuse_large_integers(features: Sequence[Feature], block: Block) -> None:
    """Raise SchemaMismatch where LightGBM may be handed integers, which it narrows to float32, and that would matter.

    Transformers that keep integers hand them on as they are, if no column among them is of another type.
    """
    if any(not isinstance(step, Fill) for feature in features for step in feature.steps):
        return
    if any(item.dictionary is not None or item.values.dtype.kind != "i" for item in block.columns):
        return
    for item in block.columns:
        if len(item.values) and (item.values.max() > EXACT_FLOAT32 or item.values.min() < -EXACT_FLOAT32):
            raise SchemaMismatch(
                f"column '{item.name}' holds integers above 2**24, which LightGBM rounds where its transformers hand them "
                "on as integers; pass float64"
            )


def _rounds(step: Step, own: np.dtype[Any]) -> bool:
    if isinstance(step, Fill):
        return own != np.float32 and float(np.float32(step.value)) != step.value
    return isinstance(step, Affine | Times | Clip)


def valid_rows(item: Column) -> Array:
    """Return a mask of the rows that are not null."""
    if item.validity is None:
        return np.ones(len(item.values), bool)
    bits = np.unpackbits(item.validity, bitorder="little")[item.offset : item.offset + len(item.values)]
    return bits.astype(bool)
