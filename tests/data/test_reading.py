"""CSV and Parquet in, typed Parquet out; what cannot be read is named with its file and place."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlcore.data.csv import read_csv
from mlcore.data.ingest import ingest
from mlcore.data.readers import list_files, open_parquet, scan
from mlcore.data.schema import Field, Schema
from mlcore.data.tables import column, to_table
from mlcore.data.validate import check, validate
from mlcore.errors import ConfigError, DataError, SchemaMismatch, ValidationFailed


def csv(folder: Path, text: str, name: str = "raw.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_columns_take_the_type_all_values_fit_and_missing_integers_stay_integers(tmp_path: Path) -> None:
    path = csv(tmp_path, 'i,f,s,t\n1,1.5,"a,b",2013-01-01 05:00:00\nNA,2,"NA",2013-01-02 05:00:00\n')
    table = read_csv(path, {})
    assert [str(field.type) for field in table.schema] == ["int64", "double", "string", "timestamp[s]"]
    assert table.to_pylist()[1] == {"i": None, "f": 2.0, "s": "NA", "t": datetime(2013, 1, 2, 5)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "raw.csv is empty"),
        ("a,b\n1,2\n3\n", "row 3: expected 2 columns, found 1"),
        ("a,b\n1,2\n3,4,5\n", "row 3: expected 2 columns, found 3"),
    ],
)
def test_a_csv_that_does_not_fit_is_named_with_its_row(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(csv(tmp_path, text), {})


def test_a_value_not_of_its_forced_type_is_named_with_its_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="raw.csv, column 'b': CSV conversion error to int64: invalid value 'x'"):
        read_csv(csv(tmp_path, "a,b\n1,2\n3,x\n"), {"b": "int64"})


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes("a,b\n1,ü\n".encode("utf-16"))
    with pytest.raises(DataError, match="raw.csv"):
        read_csv(path, {"b": "string"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"caf\xe9,2", "raw.csv, column 'a': some text is not UTF-8"),
        (b"caf\xe9,2,3", "got 3: .*; some text is not UTF-8"),
    ],
)
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_text_of_another_encoding_is_named_whether_its_row_fits_or_not(
    row: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes(b"a,b\nx,1\n" + row + b"\n")
    with pytest.raises(DataError, match=message):
        read_csv(path, {})


def test_files_of_folders_and_patterns_are_listed_once_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.txt"):
        csv(tmp_path, "x\n1\n", name)
    assert [path.name for path in list_files([tmp_path, tmp_path / "*.csv"])] == ["a.csv", "b.csv"]


@pytest.mark.parametrize(("name", "message"), [("nothing*", "no file matches"), ("gone.csv", "does not exist")])
def test_a_path_to_nothing_is_named(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        list_files(tmp_path / name)


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no data"):
        list_files(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_parquet_file_cut_short_is_named(share: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"x": np.arange(10_000)}), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"cut.parquet is not a whole Parquet file"):
        open_parquet(path)


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).random(10_000)}), path, write_page_checksum=True)
    spoiled = bytearray(path.read_bytes())
    spoiled[4:60] = bytes(56)
    path.write_bytes(bytes(spoiled))
    with pytest.raises(DataError, match="bad.parquet, row group 0: cannot be read"):
        list(scan([path]))


def test_a_column_that_changes_type_between_files_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["1"]}), tmp_path / "b.parquet")
    with pytest.raises(SchemaMismatch, match=r"column 'x' in .*b.parquet: expected int64 .* found string"):
        list(scan(list_files(tmp_path)))


RAW = "t,x,s\n2013-01-05,1,a\n2013-02-01,2,b\n2013-01-31,,c\n,4,d\n"


def test_ingest_writes_a_file_a_month_in_order(tmp_path: Path) -> None:
    schema, files = ingest(
        csv(tmp_path, RAW), tmp_path / "out", overrides={"s": {"role": "id"}}, time="t", partition="month"
    )
    assert [path.stem for path in files] == ["2013-01", "2013-02", "unknown"]
    assert pq.read_table(files[0]).to_pylist() == [
        {"t": date(2013, 1, 5), "x": 1, "s": "a"},
        {"t": date(2013, 1, 31), "x": None, "s": "c"},
    ]
    assert schema.field("s").role == "id"


def test_ingest_gives_the_same_bytes_again_and_removes_only_its_own_earlier_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _, first = ingest(csv(tmp_path, RAW), out, overrides={}, time="t", partition="month")
    before = {path.name: path.read_bytes() for path in first}
    (out / "mine.parquet").write_bytes(b"someone else's")
    _, again = ingest(csv(tmp_path, RAW), out, overrides={}, time="t", partition="month", earlier=first)
    assert {path.name: path.read_bytes() for path in again} == before
    _, fewer = ingest(
        csv(tmp_path, RAW.splitlines()[0] + "\n2013-01-05,1,a\n"), out, overrides={}, time="t", partition="month",
        earlier=first,
    )  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["2013-01.parquet", "mine.parquet"]
    assert len(fewer) == 1


def test_ingest_refuses_to_write_over_its_input(tmp_path: Path) -> None:
    path = csv(tmp_path, RAW)
    with pytest.raises(ConfigError, match="holds the raw file raw.csv"):
        ingest(path, tmp_path, overrides={}, time="t", partition="month")
    assert path.read_text() == RAW


def test_ingest_refuses_zero_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="zero rows"):
        ingest(csv(tmp_path, "t,x\n"), tmp_path / "out", overrides={}, time=None, partition=None)


FLAVOURS = {
    "string": pa.array(["a", None, "b"]),
    "large_string": pa.array(["a", None, "b"], pa.large_string()),
    "string_view": pa.array(["a", None, "b"], pa.string_view()),
    "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour_of_string_reads_alike(flavour: str) -> None:
    table = to_table(pa.table({"s": FLAVOURS[flavour]}))
    found = column(table.to_batches()[0], "s")
    assert found.dictionary is not None
    names = found.dictionary.to_pylist()
    assert [names[code] for code in found.values[[0, 2]]] == ["a", "b"]
    assert found.validity is not None


def test_decimals_booleans_and_times_become_numbers() -> None:
    table = pa.table(
        {
            "d": pa.array([1, None], pa.decimal128(5, 2)),
            "b": [True, None],
            "t": pa.array([datetime(1970, 1, 2), None], pa.timestamp("s")),
            "h": pa.array([0.5, None], pa.float16()),
        }
    )
    batch = to_table(table).to_batches()[0]
    found = {name: column(batch, name) for name in table.column_names}
    assert {name: (item.values.dtype.str[1:], item.values[0]) for name, item in found.items()} == {
        "d": ("f8", 1.0),
        "b": ("i4", 1),
        "t": ("i8", 86_400),
        "h": ("f4", 0.5),
    }


def batches(**columns: list[object]) -> list[pa.RecordBatch]:
    return pa.table(columns).to_batches()


LIMITS = Schema(
    (
        Field("x", "int64", minimum=0, maximum=10, max_missing=0.25),
        Field("s", "string", max_unseen=0.0, categories=("a", "b")),
    )
)


@pytest.mark.parametrize(
    ("x", "s", "message"),
    [
        ([1, -5, -6, 3], ["a"] * 4, r"column 'x': below minimum in 2 of 4 rows \(minimum 0"),
        ([1, 11, 3, 4], ["a"] * 4, r"column 'x': above maximum in 1 of 4 rows"),
        ([1, None, None, 4], ["a"] * 4, r"column 'x': missing values in 2 of 4 rows \(50.00%, at most 25.00%"),
        ([1, 2, 3, 4], ["a", "b", "z", None], r"column 's': unseen categories in 1 of 4 rows"),
        ([1.5, 2.0, 3.0, 4.0], ["a"] * 4, r"column 'x': type changed in 4 of 4 rows \(expected int64, found double"),
    ],
)
def test_a_failed_check_names_column_and_count(x: list, s: list, message: str) -> None:
    with pytest.raises(ValidationFailed, match=message):
        check(validate(batches(x=x, s=s), LIMITS))


def test_data_within_its_limits_passes_and_a_missing_column_or_no_rows_does_not() -> None:
    check(validate(batches(x=[0, 10, 5, None], s=["a", "b", None, "a"]), LIMITS))
    with pytest.raises(ValidationFailed, match="column 's': missing column"):
        check(validate(batches(x=[1]), LIMITS))
    with pytest.raises(ValidationFailed, match="no rows in data"):
        check(validate([], LIMITS))


def test_a_schema_reads_back_and_another_format_is_refused() -> None:
    assert Schema.from_json(LIMITS.to_json()) == LIMITS
    with pytest.raises(SchemaMismatch, match="schema of format 99"):
        Schema.from_json({"format": 99, "fields": []})
