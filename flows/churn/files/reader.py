"""The one reader of files, for DataFlow, ScoreFlow, MonitorFlow, `make dataset`, `make predict` and the service's page.

Every cell belongs to its own header, or the file is refused.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.files import delimited_text, file_kinds, parquet_size, workbooks

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PLAIN = (".csv", ".tsv", ".txt", ".parquet")
SUFFIXES = (*PLAIN, *(f"{suffix}.gz" for suffix in PLAIN), ".zip", ".xlsx", ".xlsb", ".xls", ".ods")
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
BLANK = re.compile(r"(.*): ([\d,]+) rows? with nothing in any cell left out", re.DOTALL)
MORE_BYTES = "or raise expanded_megabytes of its [[source]] in config/data.toml"
INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"  # stripped from names, like blanks


@dataclass(frozen=True)
class Reading:
    """A table, and notes, one sentence each, on how it was read.

    A Parquet file that needs no change is kept as bytes, because the caller may not need the table.
    """

    source: "pa.Table | bytes"
    notes: tuple[str, ...] = ()

    @property
    def parquet(self) -> bytes | None:
        """The bytes of a Parquet file that needs no change, else None."""
        return self.source if isinstance(self.source, bytes) else None

    @property
    def table(self) -> "pa.Table":
        """The table, read from the bytes if necessary."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pq.read_table(pa.BufferReader(self.source)) if isinstance(self.source, bytes) else self.source


def data_files(path: Path) -> list[Path]:
    """The file at ``path``, or the data files in the folder there, sorted by name.

    Raises:
        ChurnError: There is none.
    """
    if path.is_dir():
        paths = sorted(
            p for p in path.iterdir() if p.name.endswith(SUFFIXES) and not p.name.startswith((".", "_", "~"))
        )
        if not paths:
            raise ChurnError(f"{path}: the folder holds no file that ends in {', '.join(SUFFIXES)}")
        return paths
    if address := re.match(r"(s3|gs|az|https?):/", str(path)):
        url = str(path).replace(":/", "://", 1)  # pathlib collapsed the slashes
        raise ChurnError(
            f'{url}: an address, not a file; download it, or make it a [[source]] with kind = "{address[1].rstrip("s")}"'
        )
    if not path.is_file():
        raise ChurnError(f"{path}: no such file; give an existing CSV, Excel or Parquet file")
    return [path]


def read(path: Path, most_bytes: int = file_kinds.MOST_BYTES) -> Reading:
    """The table in a file.

    Raises:
        ChurnError: The file cannot be read (see ``parse``).
    """
    try:
        return parse(path.read_bytes(), str(path), most_bytes)
    except file_kinds.Expanded as error:
        raise ChurnError(f"{error}, {MORE_BYTES}") from None
    except OSError as error:
        raise ChurnError(f"{path}: cannot be read: {error.strerror}") from None


def parse(data: bytes, name: str, most_bytes: int = file_kinds.MOST_BYTES) -> Reading:
    """The table in the bytes of a file: delimited text, the first sheet of a workbook, or Parquet; may be compressed.

    Text stays as written (``casting.cast`` converts it); columns of workbooks and Parquet keep their types. Column names are
    stripped; blank rows are left out and noted.

    Args:
        data: The bytes of the file.
        name: The name of the file in messages.
        most_bytes: The most bytes that an archive, a workbook or Parquet may take in memory.

    Raises:
        ChurnError: The table cannot be read without guessing (see ``file_kinds``, ``delimited_text`` and ``workbooks``), has
            two columns of the same name, or has no rows.
    """
    data, kind = file_kinds.unpack(data, name, most_bytes)
    if kind == "parquet":
        return _parquet(data, name, most_bytes)
    if kind == "workbook":
        table, notes = _workbook(data, name, most_bytes)
    else:
        header, table, notes = delimited_text.read(data, name)
        table = table.rename_columns(column_names(header, name, notes))
    return with_values(table, name, notes)


def with_values(table: "pa.Table", name: str, notes: Sequence[str]) -> Reading:
    """The rows that hold a value; raises ChurnError if there are none.

    If the first column is complete, as it usually is, no other column is read.
    """
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
            notes = [*notes, blank_rows(name, dropped)]
    if not len(table):
        raise ChurnError(f"{name}: has a header ({table.num_columns} columns) but no rows; export it again")
    return Reading(table, tuple(notes))


def blank_rows(name: str, count: int) -> str:
    """The note on rows left out of the file ``name``, which BLANK matches."""
    return f"{name}: {count:,} row{'s' * (count > 1)} with nothing in any cell left out"


def _empty(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = pc.is_null(column, nan_is_null=True)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        empty = pc.or_(empty, pc.fill_null(delimited_text.blank(column), True))
    return empty


def _parquet(data: bytes, name: str, most_bytes: int) -> Reading:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        notes: list[str] = []
        file_kinds.require_width(name, file.metadata.num_columns)
        require_cells(file, name)
        names = column_names(file.schema_arrow.names, name, notes)
        if parquet_size.exceeds(data, file.metadata, most_bytes):
            raise file_kinds.Expanded(name, most_bytes)
        if names == file.schema_arrow.names and file.metadata.num_rows and _full(file):
            return Reading(data)
        table = file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise file_kinds.damaged(name, "Parquet file", error) from None
    return with_values(table.rename_columns(names), name, notes)


def require_cells(file: "pq.ParquetFile", name: str) -> None:
    """Raise ChurnError if a column of the Parquet file is nested."""
    import pyarrow as pa

    if nested := [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]:
        raise ChurnError(
            f"{name}: column {nested[0]!r} holds lists or structures, not cells; turn them into columns, or leave it out"
        )


def _full(file: "pq.ParquetFile") -> bool:
    """Whether the first column alone proves that no row is blank."""
    import pyarrow.compute as pc

    first = file.read(columns=[file.schema_arrow.names[0]])
    return not pc.any(_empty(first.column(0))).as_py() if first.num_columns else False


def _workbook(data: bytes, name: str, most_bytes: int) -> "tuple[pa.Table, list[str]]":
    import pyarrow as pa

    header, columns, notes = workbooks.first_sheet(data, name, most_bytes)
    named = [place for place, cell in enumerate(header) if cell.strip()]
    for place, cells in enumerate(columns):
        if place not in named and any(cell not in ("", None) for cell in cells):
            first = next(row for row, cell in enumerate(cells) if cell not in ("", None))
            raise ChurnError(
                f"{name}: column {place + 1} has no name in the first row, but row {first + 2} holds {cells[first]!r} there; "
                "the first row of the sheet must name every column"
            )
    names = column_names([header[place] for place in named], name, notes)
    return pa.table([pa.array(columns[place]) for place in named], names=names), notes


def column_names(header: Sequence[str], name: str, notes: list[str]) -> list[str]:
    """The stripped column names; a column without a name gets pandas' default name.

    Raises:
        ChurnError: Two columns have the same name, or the header looks like a row.
    """
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
