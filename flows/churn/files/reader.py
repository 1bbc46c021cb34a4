"""The one reader of files: whatever DataFlow, ScoreFlow, MonitorFlow, `make dataset`, `make predict` and the service's page
are given comes through here. A cell stands under its own header, or the file is refused.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.files import delimited_text, file_kinds, workbooks

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PLAIN = (".csv", ".tsv", ".txt", ".parquet")
SUFFIXES = (*PLAIN, *(f"{suffix}.gz" for suffix in PLAIN), ".zip", ".xlsx", ".xlsb", ".xls", ".ods")
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"  # besides blanks, what a name may be surrounded by


@dataclass(frozen=True)
class Reading:
    """A table, and in a sentence each what a person should know about how it was read.

    Of a Parquet file that needs no change only ``parquet``, its bytes, is kept: nobody may need the table here.
    """

    source: "pa.Table | bytes"
    notes: tuple[str, ...] = ()

    @property
    def parquet(self) -> bytes | None:
        return self.source if isinstance(self.source, bytes) else None

    @property
    def table(self) -> "pa.Table":
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pq.read_table(pa.BufferReader(self.source)) if isinstance(self.source, bytes) else self.source


def files(path: Path) -> list[Path]:
    """The file at ``path``, or the data files of the folder there, by name. Raises ChurnError if there is none."""
    if path.is_dir():
        found = sorted(
            p for p in path.iterdir() if p.name.endswith(SUFFIXES) and not p.name.startswith((".", "_", "~"))
        )
        if not found:
            raise ChurnError(f"{path}: the folder holds no file that ends in {', '.join(SUFFIXES)}")
        return found
    if address := re.match(r"(s3|https?):/", str(path)):
        raise ChurnError(
            f'{path}: an address, not a file; download it, or make it a [[source]] with kind = "{address[1].rstrip("s")}"'
        )
    if not path.is_file():
        raise ChurnError(f"{path}: no such file; give an existing CSV, Excel or Parquet file")
    return [path]


def read(path: Path) -> Reading:
    """The table in a file. Raises ChurnError naming it if it cannot be read (see ``parse``)."""
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise ChurnError(f"{path}: cannot be read: {error.strerror}") from None


def parse(data: bytes, name: str, most_bytes: int = file_kinds.MOST_BYTES) -> Reading:
    """The table in a file's bytes, gzipped or zipped or not: delimited text, the first sheet of a workbook, or Parquet.

    Cells of text stay as they were written (``cast`` types them), columns of workbooks and Parquet keep their types.
    Names are stripped; rows in which every cell is empty are no customers and left out, which is noted. ``name`` only names
    the file in messages; ``most_bytes`` limits what an archive may hold. Raises ChurnError with line or column and the way
    out for what cannot be read without guessing: see ``file_kinds``, ``delimited_text`` and ``workbooks``; for two columns
    of one name; and for a table without rows.
    """
    data, kind = file_kinds.unpack(data, name, most_bytes)
    if kind == "parquet":
        return _parquet(data, name)
    if kind == "workbook":
        table, notes = _workbook(data, name)
    else:
        header, table, notes = delimited_text.read(data, name)
        table = table.rename_columns(_names(header, name, notes))
    return _customers(table, name, notes)


def _customers(table: "pa.Table", name: str, notes: Sequence[str]) -> Reading:
    """The rows that hold something. Mostly the first column is full, and no other is looked at."""
    import pyarrow.compute as pc

    empty = None
    for column in table.columns:
        empty = _empty(column) if empty is None else pc.and_(empty, _empty(column))
        if not pc.any(empty).as_py():
            break
    else:
        kept = table.filter(pc.invert(empty)) if empty is not None else table
        dropped, table = len(table) - len(kept), kept
        if dropped:
            notes = [*notes, f"{name}: {dropped:,} row{'s' * (dropped > 1)} with nothing in any cell left out"]
    if not len(table):
        raise ChurnError(f"{name}: has a header ({table.num_columns} columns) but no rows; export it again")
    return Reading(table, tuple(notes))


def _empty(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.is_null(column, nan_is_null=True)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        found = pc.or_(found, pc.fill_null(delimited_text.blank(column), True))
    return found


def _parquet(data: bytes, name: str) -> Reading:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        notes: list[str] = []
        names = _names(file.schema_arrow.names, name, notes)
        if names == file.schema_arrow.names and file.metadata.num_rows and _full(file):
            return Reading(data)
        table = file.read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise file_kinds.damaged(name, "Parquet file", error) from None
    return _customers(table.rename_columns(names), name, notes)


def _full(file: "pq.ParquetFile") -> bool:
    """Whether the first column alone shows that no row is blank."""
    import pyarrow.compute as pc

    first = file.read(columns=[file.schema_arrow.names[0]])
    return not pc.any(_empty(first.column(0))).as_py() if first.num_columns else False


def _workbook(data: bytes, name: str) -> "tuple[pa.Table, list[str]]":
    import pyarrow as pa

    header, columns, notes = workbooks.first_sheet(data, name)
    named = [place for place, cell in enumerate(header) if cell.strip()]
    for place, cells in enumerate(columns):
        if place not in named and any(cell not in ("", None) for cell in cells):
            first = next(row for row, cell in enumerate(cells) if cell not in ("", None))
            raise ChurnError(
                f"{name}: column {place + 1} has no name in the first row, but row {first + 2} holds {cells[first]!r} there; "
                "the first row of the sheet must name every column"
            )
    names = _names([header[place] for place in named], name, notes)
    return pa.table([pa.array(columns[place]) for place in named], names=names), notes


def _names(header: Sequence[str], name: str, notes: list[str]) -> list[str]:
    """The columns' names, stripped; ChurnError if two are alike. A column without a name is called as pandas calls it."""
    numbers = [cell for cell in header if NUMBER.fullmatch(cell.strip())]
    if 2 * len(numbers) >= len(header) and any("." in cell or "," in cell for cell in numbers):  # years may be names
        raise ChurnError(
            f"{name}: the first line looks like a customer, not like names ({', '.join(header[:4])}); put a header line above it"
        )
    names = [cell.strip().strip(INVISIBLE).strip() or f"Unnamed: {place}" for place, cell in enumerate(header)]
    for place, cell in enumerate(names):
        if cell not in header[place]:
            notes.append(f"{name}: column {place + 1} has no name in the header; it is called {cell!r}")
    if twice := [cell for cell, count in Counter(names).items() if count > 1]:
        places = [str(place + 1) for place, cell in enumerate(names) if cell == twice[0]]
        raise ChurnError(f"{name}: columns {' and '.join(places)} are both named {twice[0]!r}; rename or remove one")
    return names
