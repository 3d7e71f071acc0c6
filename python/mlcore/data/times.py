"""Days as bounds of a time column, in the column's own type and time zone."""

from __future__ import annotations

from datetime import date, datetime
from datetime import time as clock

import pyarrow as pa
import pyarrow.compute as pc

from mlcore.errors import SchemaMismatch


def moment(day: date, kind: pa.DataType, name: str) -> pa.Scalar:
    """The start of a day (or a datetime itself) as a value of the time column, in its own time zone."""
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise SchemaMismatch(f"time column '{name}': expected a timestamp or date, found {kind}")
    moment = day if isinstance(day, datetime) else datetime.combine(day, clock())
    if pa.types.is_date(kind):
        return pa.scalar(moment.date(), kind)
    if kind.tz is None:
        return pa.scalar(moment.replace(tzinfo=None), pa.timestamp("us")).cast(kind)
    if moment.tzinfo is not None:
        return pa.scalar(moment, pa.timestamp("us", kind.tz)).cast(kind)
    return pc.assume_timezone(pa.scalar(moment, pa.timestamp("us")), kind.tz).cast(kind)
