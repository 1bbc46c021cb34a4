"""The one reader: forty and more dresses of a small file, each with the table that must come out or the exact refusal."""

import gzip
import io
import json
import pickle
import sqlite3
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from churn.errors import ChurnError
from churn.files import reader

PLAIN = "id,city,paid\n1,Köln,10.5\n2,Bonn,20\n"
TABLE = {"id": ["1", "2"], "city": ["Köln", "Bonn"], "paid": ["10.5", "20"]}
SAVE = "; save it as CSV (UTF-8) or Parquet"
ROWS = [["id", "city", "paid"], ["1", "Köln", "10.5"], ["2", "Bonn", "20"]]


def text(*lines: str, separator: str = ",", end: str = "\n") -> bytes:
    return "".join(line.replace(",", separator) + end for line in lines).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def workbook(*rows: list[Any], sheets: int = 1) -> bytes:
    book, packed = openpyxl.Workbook(), io.BytesIO()
    book.active.title = "Customers"
    for row in rows:
        book.active.append(row)
    for number in range(1, sheets):
        book.create_sheet(f"Notes {number}").append(["not this"])
    book.save(packed)
    return packed.getvalue()


def parquet(table: dict[str, list[Any]]) -> bytes:
    packed = io.BytesIO()
    pq.write_table(pa.table(table), packed)
    return packed.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table customers (id)")
        return connection.serialize()


# fmt: off
READ: dict[str, tuple[bytes, dict[str, list[Any]]]] = {
    "plain": (PLAIN.encode(), TABLE),
    "semicolons": (PLAIN.replace(",", ";").encode(), TABLE),
    "tabs": (PLAIN.replace(",", "\t").encode(), TABLE),
    "bars": (PLAIN.replace(",", "|").encode(), TABLE),
    "sep line": (b"sep=;\r\n" + PLAIN.replace(",", ";").encode(), TABLE),
    "sep line of an unusual separator": (b"sep=^\n" + PLAIN.replace(",", "^").encode(), TABLE),
    "decimal commas": (b"id;paid\n1;10,5\n2;20\n", {"id": ["1", "2"], "paid": ["10,5", "20"]}),
    "commas in names and cells": (b"id;name, first;x\n1;Doe, J;2\n", {"id": ["1"], "name, first": ["Doe, J"], "x": ["2"]}),
    "Windows line ends": (text(*PLAIN.splitlines(), end="\r\n"), TABLE),
    "old Mac line ends": (text(*PLAIN.splitlines(), end="\r"), TABLE),
    "no line end at the end": (PLAIN.rstrip().encode(), TABLE),
    "UTF-8 with BOM": (PLAIN.encode("utf-8-sig"), TABLE),
    "UTF-16": (PLAIN.encode("utf-16"), TABLE),
    "UTF-16, big end first, no BOM": (PLAIN.encode("utf-16-be"), TABLE),
    "UTF-16, little end first, no BOM": (PLAIN.encode("utf-16-le"), TABLE),
    "UTF-32": (PLAIN.encode("utf-32"), TABLE),
    "Windows-1252": (PLAIN.replace("Bonn", "5 €").encode("cp1252"), {**TABLE, "city": ["Köln", "5 €"]}),
    "everything quoted": (b'"id","city","paid"\n"1","K\xc3\xb6ln","10.5"\n"2","Bonn","20"\n', TABLE),
    "quotes after blanks": (b'id, "city", paid\n1, "K\xc3\xb6ln, NRW", 10.5\n',
                            {"id": ["1"], "city": ["Köln, NRW"], "paid": ["10.5"]}),
    "quoted line break": (b'id,city\n1,"K\r\nln"\n2,Bonn\n', {"id": ["1", "2"], "city": ["K\r\nln", "Bonn"]}),
    "quoted quotes": (b'id,city\n1,"the ""K"""\n', {"id": ["1"], "city": ['the "K"']}),
    "inches in a cell": (b'id,size\n1,5"\n2,7\n', {"id": ["1", "2"], "size": ['5"', "7"]}),
    "names with blanks": (" id , city\u00a0,\tpaid\n1,Köln,10.5\n2,Bonn,20\n".encode(), TABLE),
    "rows end in a comma": (text("id,city,paid", "1,Köln,10.5,", "2,Bonn,20,"), TABLE),
    "some rows end in a comma": (text("id,city,paid", "1,Köln,10.5,,", "2,Bonn,20"), TABLE),
    "header and rows end in a comma": (text("id,city,paid,", "1,Köln,10.5,", "2,Bonn,20,"), TABLE),
    "only the header ends in a comma": (text("id,city,paid,", "1,Köln,10.5", "2,Bonn,20"), TABLE),
    "rows of commas at the end": (text(*PLAIN.splitlines(), ",,", " , ,", ",,,,"), TABLE),
    "a row of commas within": (text("id,city,paid", "1,Köln,10.5", ",,", "2,Bonn,20"), TABLE),
    "blank lines": (text("", "id,city,paid", "", "1,Köln,10.5", "   ", "2,Bonn,20", ""), TABLE),
    "an index without a name": (b",id\n0,7\n1,8\n", {"Unnamed: 0": ["0", "1"], "id": ["7", "8"]}),
    "years for names": (b"id,2024,2025\n1,2,3\n", {"id": ["1"], "2024": ["2"], "2025": ["3"]}),
    "one column": (b"id\n1\n2\n", {"id": ["1", "2"]}),
    "empty cells": (b"id,city,paid\n1,,\n,,20\n", {"id": ["1", ""], "city": ["", ""], "paid": ["", "20"]}),
    "gzip": (gzip.compress(PLAIN.encode()), TABLE),
    "zip of one file": (zipped({"customers.csv": PLAIN.encode(), "__MACOSX/._customers.csv": b"x"}), TABLE),
    "gzip in a zip": (zipped({"customers.csv.gz": gzip.compress(PLAIN.encode())}), TABLE),
    "Excel": (workbook(*ROWS), TABLE),
    "Excel, typed": (
        workbook(["id ", "left", "since", "paid", "note"], [7, True, datetime(2026, 3, 1, 10), 1.5, 3],
                 [None] * 5, ["x", False, date(2026, 3, 2), None, "Error"]),
        {"id": ["7", "x"], "left": ["True", "False"], "since": ["2026-03-01T10:00:00", "2026-03-02"],
         "paid": [1.5, None], "note": ["3", "Error"]},
    ),
    "Excel of several sheets": (workbook(*ROWS, sheets=3), TABLE),
    "Parquet": (parquet({"id": [1, None], "paid": [10.5, 20.0]}), {"id": [1, None], "paid": [10.5, 20.0]}),
    "Parquet, blanks in names, a blank row": (parquet({" id": ["1", None], "paid ": ["", None]}), {"id": ["1"], "paid": [""]}),
    "gzipped Parquet": (gzip.compress(parquet({"id": [1, 2]})), {"id": [1, 2]}),
}

REFUSED: dict[str, tuple[bytes, str]] = {
    "a cell too many": (b"id,paid\n1,2\n3,4,5\n",
        "f.csv: line 3 has 3 cells, the header has 2: '5' stands under no name; name its column in the header, or quote cells "
        "that hold the separator"),
    "row names without a header": (b"city,paid\n1,Bonn,2\n2,Ulm,3\n",
        "f.csv: line 2 has 3 cells, the header has 2: '2' stands under no name; name its column in the header, or quote cells "
        "that hold the separator"),
    "a cell too few": (b'id,city,paid\n1,"K\nln",2\n3,4\n',
        "f.csv: line 4 has 2 cells, the header has 3: complete the line, or quote cells that hold a line break; lines that are "
        "no customers must go"),
    "a title above the header": (b"Customers of May\nid,paid\n1,2\n",
        "f.csv: line 2 has 2 cells, the header has 1: the header must name every column; take out what stands above it"),
    "a total below": (b"id,paid\n1,2\nTotal\n",
        "f.csv: line 3 has 1 cell, the header has 2: complete the line, or quote cells that hold a line break; lines that are "
        "no customers must go"),
    "counts after a sep line": (b"sep=,\nid,paid\n1,2,3\n",
        "f.csv: line 3 has 3 cells, the header has 2: '3' stands under no name; name its column in the header, or quote cells "
        "that hold the separator"),
    "no header": (b"7,Bonn,10.5\n8,Ulm,20\n",
        "f.csv: the first line looks like a customer, not like names (7, Bonn, 10.5); put a header line above it"),
    "two names alike": (b"id,paid, id\n1,2,3\n", "f.csv: columns 1 and 3 are both named 'id'; rename or remove one"),
    "two separators": (b"a,b;c\n1,2;3\n",
        "f.csv: comma and semicolon separate its cells equally well; name the right one in a first line sep=,"),
    "an open quote": (b'id,city\n1,"Bonn\n2,Ulm\n',
        "f.csv: line 2: a quote is opened there and never closed; close it, or write a quote that is text twice"),
    "text after a quote": (b'id,city\n1,"Bo"nn\n',
        "f.csv: line 2: text follows a closing quote; write quotes within a cell twice"),
    "two encodings": ("id,city\n1,Köln\n".encode() + "2,Düren\n".encode("cp1252"),
        "f.csv: line 3 is not UTF-8 ('2,Düren'), though others are: two encodings in one file, or a damaged one; export it "
        "again as UTF-8"),
    "an unknown encoding": (b"id,city\n1,\x81\x8d\n",
        "f.csv: line 2 is neither UTF-8 nor Windows-1252 (byte 0x81); export it again as UTF-8"),
    "UTF-16 cut short": ("id,city\n1,Köln\n".encode("utf-16")[:-1],
        "f.csv: not readable as UTF-16 from byte 30 on, perhaps cut short; copy it again"),
    "a NUL byte": (b"id,city\n1,B\x00nn and more\n", "f.csv: line 2 holds a NUL byte: not a text file; export it again"),
    "nothing": (b"", "f.csv: the file is empty; it needs a header line and one line per customer"),
    "blank lines only": (b"\r\n \n", "f.csv: the file is empty; it needs a header line and one line per customer"),
    "separators only": (b",,\n,,\n",
        "f.csv: nothing but blanks and separators; it needs a header line and one line per customer"),
    "a header only": (b"id,city\n", "f.csv: has a header (2 columns) but no rows; export it again"),
    "a header and blank rows": (b"id,city\n,\n", "f.csv: has a header (2 columns) but no rows; export it again"),
    "zip of two": (zipped({"a.csv": b"id\n1\n", "b.csv": b"id\n2\n"}),
        "f.csv: a zip archive of 2 files (a.csv, b.csv); unpack it, and give one file or the folder"),
    "a Word document": (zipped({"word/document.xml": b"<x/>"}), "f.csv: this is a Word document, not a table" + SAVE),
    "an empty workbook": (workbook(), "f.csv: the first sheet, 'Customers', is empty; put the table there"),
    "a title above the sheet's header": (workbook(["Customers of May"], ["id", "paid"], [1, 2]),
        "f.csv: column 2 has no name in the first row, but row 2 holds 'paid' there; the first row of the sheet must name every "
        "column"),
    "SQLite": (database(), 'f.csv: this is an SQLite database; read it as a [[source]] with kind = "sql" in config/data.toml'),
    "JSON": (json.dumps([{"id": 1}]).encode(), "f.csv: this is a JSON document" + SAVE),
    "JSON lines": (b'{"id": 1}\n{"id": 2}\n', "f.csv: this is a JSON document" + SAVE),
    "a web page": (b"<!DOCTYPE html>\n<html><table>", "f.csv: this is a web page (HTML)" + SAVE),
    "XML": (b"<?xml version='1.0'?><Workbook/>", "f.csv: this is an XML document" + SAVE),
    "PDF": (b"%PDF-1.7\n", "f.csv: this is a PDF document" + SAVE),
    "a pickle": (pickle.dumps({"id": [1]}),
        "f.csv: this is a Python pickle, which could run anything" + SAVE),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(64),
        "f.csv: this is a program; give a table: CSV, Excel or Parquet"),
    "zeros": (b"a\x00" * 9 + b"\x00\xd8a\x00", "f.csv: not readable as UTF-16-LE from byte 18 on, and no text; give a table"),
    "xz": (b"\xfd7zXZ\x00\x00", "f.csv: this is an xz archive; unpack it first"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n",
        "f.csv: this is a pointer of Git LFS, not the data; fetch the data with: git lfs pull"),
    "Parquet cut short": (parquet({"id": [1, 2]})[:-50], "f.csv: not a readable Parquet file, perhaps cut short"),
    "gzip cut short": (gzip.compress(PLAIN.encode())[:-9], "f.csv: not a readable gzip file, perhaps cut short"),
    "zip cut short": (zipped({"a.csv": b"id\n1\n"})[:-9], "f.csv: not a readable zip file, perhaps cut short"),
    "a workbook cut short": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "f.csv: not a readable workbook"),
    "Parquet with a name twice": (parquet({"id": [1], " id": [2]}),
        "f.csv: columns 1 and 2 are both named 'id'; rename or remove one"),
}
# fmt: on
OTHERS_WORDS = {
    "Parquet cut short",
    "gzip cut short",
    "zip cut short",
    "a workbook cut short",
}  # a library's reason follows


@pytest.mark.parametrize("dress", READ)
def test_a_dress_gives_its_table(dress: str) -> None:
    data, expected = READ[dress]
    assert reader.parse(data, "f.csv").table.to_pydict() == expected


@pytest.mark.parametrize("dress", REFUSED)
def test_what_cannot_be_read_without_guessing_is_refused_in_one_line(dress: str) -> None:
    data, refusal = REFUSED[dress]
    with pytest.raises(ChurnError) as error:
        reader.parse(data, "f.csv")
    said = str(error.value)
    assert said.startswith(refusal) if dress in OTHERS_WORDS else said == refusal
    assert "\n" not in said


@pytest.mark.parametrize(
    ("dress", "note"),
    [
        ("UTF-16", "f.csv: read as UTF-16"),
        ("Windows-1252", "f.csv: not UTF-8, so read as Windows-1252; line 2 is then '1,Köln,10.5'"),
        ("rows of commas at the end", "f.csv: 3 rows with nothing in any cell left out"),
        ("a row of commas within", "f.csv: 1 row with nothing in any cell left out"),
        ("rows end in a comma", "f.csv: rows end in a comma; the empty cells after it are left out"),
        ("some rows end in a comma", "f.csv: rows end in a comma; the empty cells after it are left out"),
        ("an index without a name", "f.csv: column 1 has no name in the header; it is called 'Unnamed: 0'"),
        ("Excel of several sheets", "f.csv: the first of 3 sheets was read, 'Customers'"),
        (
            "one column",
            "f.csv: only one column; if another character separates the cells, name it in a first line such as sep=^",
        ),
        ("Parquet, blanks in names, a blank row", "f.csv: 1 row with nothing in any cell left out"),
    ],
)
def test_what_was_done_to_a_file_is_said(dress: str, note: str) -> None:
    assert reader.parse(READ[dress][0], "f.csv").notes == (note,)


def test_an_ordinary_file_is_read_without_a_word() -> None:
    for dress in ("plain", "semicolons", "UTF-8 with BOM", "everything quoted", "Excel", "Parquet"):
        assert reader.parse(READ[dress][0], "f.csv").notes == ()


def test_a_parquet_file_that_needs_no_change_is_not_written_again() -> None:
    data = parquet({"id": [1, 2], "paid": [10.5, None]})
    assert reader.parse(data, "f.parquet").parquet == data
    assert reader.parse(READ["Parquet, blanks in names, a blank row"][0], "f.parquet").parquet is None


@pytest.mark.long
def test_a_long_file_is_read_as_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs from the first rows - a comma at the end, a line break, a row of another length - may come late."""
    lines = [f"{i},x" for i in range(120_000)]
    late: list[tuple[str, Callable[[Any], bool]]] = [
        ("7,x,", lambda found: found.num_rows == 120_001),
        ('7,"x\ny"', lambda found: found.column("b").to_pylist()[-1] == "x\ny"),
        (",", lambda found: found.num_rows == 120_000),
    ]
    for last, proof in late:
        assert proof(reader.parse("\n".join(["a,b", *lines, last]).encode(), "f.csv").table), last
    with pytest.raises(ChurnError, match="line 120002 has 3 cells, the header has 2"):
        reader.parse("\n".join(["a,b", *lines, "7,x,y"]).encode(), "f.csv")


def test_an_archive_that_unpacks_to_too_much_is_refused() -> None:
    bomb = b"id\n" + b"1\n" * 1_000_000
    for packed in (gzip.compress(bomb), zipped({"a.csv": bomb})):
        with pytest.raises(ChurnError, match="unpacked it is larger than 100,000 bytes"):
            reader.parse(packed, "f.csv", most_bytes=100_000)


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match=r"none\.csv: no such file; give an existing CSV, Excel or Parquet file"):
        reader.data_files(tmp_path / "none.csv")
    with pytest.raises(
        ChurnError, match=r'an address, not a file; download it, or make it a \[\[source\]\] with kind = "http"'
    ):
        reader.data_files(Path("https://host/customers.csv"))
    (tmp_path / "notes.md").touch()
    with pytest.raises(ChurnError, match="the folder holds no file that ends in"):
        reader.data_files(tmp_path)
