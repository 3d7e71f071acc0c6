"""The Arrow types mlcore accepts, in one place, and the kind of column each becomes."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.types as is_

from mlcore.errors import UnsupportedType

Kind = Literal["f4", "f8", "i4", "i8", "dictionary"]


def kind_of_type(type_: pa.DataType, *, column: str = "") -> Kind:
    """Return how values of an Arrow type are read: float32/64, int32/64 (in the stored unit), or dictionary indices.

    Raises:
        UnsupportedType: lists, structs, binary and the like; the message names the column and the type.
    """
    if is_text(type_):
        return "dictionary"
    if is_.is_float16(type_) or is_.is_float32(type_):
        return "f4"
    if is_.is_float64(type_) or is_.is_decimal(type_) or is_.is_null(type_):
        return "f8"
    if is_.is_boolean(type_) or (is_.is_integer(type_) and (type_.bit_width < 32 or type_ == pa.int32())):
        return "i4"
    if is_.is_integer(type_) or is_.is_temporal(type_):
        if is_.is_interval(type_):
            raise UnsupportedType(f"column '{column}': type {type_} is not supported")
        return "i8"
    raise UnsupportedType(
        f"column '{column}': type {type_} is not supported; numbers, strings, booleans, decimals, dates and times are"
    )


def is_text(type_: pa.DataType) -> bool:
    """Return whether values of this Arrow type are strings, dictionary-encoded ones included."""
    if is_.is_dictionary(type_):
        type_ = type_.value_type
    return bool(is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_))


def same_meaning(a: pa.DataType, b: pa.DataType) -> bool:
    """Return whether two types differ at most in how strings are stored."""
    return bool(a == b) or (is_text(a) and is_text(b))


def plain(type_: pa.DataType) -> pa.DataType:
    """Return `string` for every flavour of string, and any other type as it is."""
    return pa.string() if is_text(type_) else type_


def type_named(text: str) -> pa.DataType:
    """Return the Arrow type that `str(type)` gave, as schemas store it.

    Raises:
        ValueError: there is no such type.
    """
    if text.startswith("decimal128("):
        precision, scale = text[len("decimal128(") : -1].split(",")
        return pa.decimal128(int(precision), int(scale))
    if text.startswith("timestamp[") and ", tz=" in text:
        unit, zone = text[len("timestamp[") : -1].split(", tz=")
        return pa.timestamp(unit, zone)
    return pa.type_for_alias({"double": "float64", "float": "float32", "halffloat": "float16"}.get(text, text))
