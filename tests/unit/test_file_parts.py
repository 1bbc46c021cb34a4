"""A large file read in parts gives the rows, the notes and the refusals of one read whole."""

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from churn.errors import ChurnError
from churn.files import parts, reader


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BLOCK", 200)
    monkeypatch.setattr(parts, "LARGE", 400)
    monkeypatch.setattr(parts, "ROWS", 30)


def _lines(cell: str = "{0}", end: str = "\n", header: str = "id,at,text", separator: str = ",") -> str:
    rows = [separator.join((f"{n:05d}", f"2024-01-{n % 28 + 1:02d}", cell.format(n))) for n in range(100)]
    return end.join([header.replace(",", separator), *rows, ""])


FORMS = {
    "plain": _lines().encode(),
    "semicolons": _lines(separator=";").encode(),
    "a hint": b"sep=^\n" + _lines(separator="^").encode(),
    "blanks": _lines(separator="  ").encode(),
    "byte order mark": b"\xef\xbb\xbf" + _lines().encode(),
    "windows": _lines("ü{0}", end="\r\n").encode("cp1252"),
    "old Mac": _lines(end="\r").encode(),
    "UTF-16": _lines().encode("utf-16"),
    "line breaks within quotes": _lines('"a,\n""{0}""\n\nb"').encode(),
    "inches": _lines('5" {0}').encode(),
    "gzip": gzip.compress(_lines("{0}" * 9).encode()),
    "blank lines": _lines().replace("\n00050", "\n,,\n\n00050").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_parts_are_the_whole(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("log.csv.gz" if form == "gzip" else "log.csv")
    path.write_bytes(FORMS[form])
    whole, found = reader.read(path), list(parts.read(path))
    assert pa.concat_tables(part.table for part in found).combine_chunks() == whole.table.combine_chunks()
    assert {note for part in found for note in part.notes} == set(whole.notes)
    assert (len(found) > 3) == (form not in ("windows", "old Mac", "UTF-16")), len(found)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("00077,2024-01-22,77,more", "line 79 has 4 cells, the header has 3"),
        ("00077,2024-01-22", "line 79 has 2 cells"),
        ('00077,2024-01-22,"open', "line 79: a quote is opened there and never closed"),
        ("00077,2024-01-22,\0", "line 79 holds a NUL byte"),
    ],
)
def test_a_bad_line_is_named_by_its_place_in_the_file(tmp_path: Path, harm: str, said: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(_lines().replace("00077,2024-01-22,77", harm))
    with pytest.raises(ChurnError, match=said):
        list(parts.read(path))


def test_parquet_comes_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pd.DataFrame({"id ": range(100), "at": pd.date_range("2024-01-01", periods=100)}).to_parquet(path)
    found = list(parts.read(path))
    assert [len(part.table) for part in found] == [30, 30, 30, 10]
    assert pa.concat_tables(part.table for part in found).equals(reader.read(path).table.replace_schema_metadata(None))


def test_gzip_that_unfolds_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(_lines("{0}" * 30).encode()))
    with pytest.raises(ChurnError, match="larger than 1,000 bytes"):
        list(parts.read(path, 1000))
