"""Delimited text (CSV and the like): separator and quoting are inferred from the file and verified on every row.

pyarrow's parser is the fast path; what it does not read strictly (quotes, rows of other lengths) Python's ``csv`` reads row
by row, with line numbers. DuckDB's sniffer was rejected: if a single row does not fit, it silently takes another line as the
header, or quotes as part of the text.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.files import file_kinds
from churn.files.text_encoding import LINE_END, SAMPLE_BYTES, utf8

if TYPE_CHECKING:
    import _csv

    import pyarrow as pa

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SAMPLE_LINES = 200
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
CHUNK = 50_000  # rows held as Python objects at a time
SEP_LINE = re.compile(r'"?sep=(.)"?(\r\n|\r|\n)', re.I)  # the hint that spreadsheets write as the first line


@dataclass(frozen=True)
class Text:
    """The text of a file as UTF-8 bytes, its separator, and the line of the file (from 1) on which it begins.

    ``said`` is a note if blanks were taken as separators.
    """

    name: str
    data: bytes
    separator: str
    line: int = 1
    said: str = ""

    def rows(self) -> "_csv.Reader":
        """A strict parser of the rows (RFC 4180); blanks before a quote are skipped."""
        return _parser(io.TextIOWrapper(io.BytesIO(self.data), "utf-8", newline=""), self.separator)

    def going_on(self, data: bytes, before: int) -> "Text":
        """A later part of the same file, ``before`` lines down, under this one's header."""
        header = self.data[: _header(self)[1]]
        rows = _tabbed(data) if self.said else data
        return Text(self.name, header + rows, self.separator, before + 1 - len(LINE_END.findall(header)), self.said)


def read(data: bytes, name: str) -> "tuple[list[str], pa.Table, list[str]]":
    """The cells of the header, the rows below as a table of text (columns '0', '1', ...), and notes on how they were read.

    Raises:
        ChurnError: A row has more or fewer cells than the header (not counting empty ones at its end), a quote is not closed,
            the encoding is unknown, or two separators fit equally well; the message names the line.
    """
    decoded, encoded = utf8(data, name)
    header, table, notes = table_of(dialect(decoded, name))
    return header, table, [*encoded, *notes]


def table_of(text: Text) -> "tuple[list[str], pa.Table, list[str]]":
    """``read`` for text whose separator is known."""
    name, notes = text.name, [text.said] if text.said else []
    header, start = _header(text)
    table = _fast(text, header, start)
    if table is None:
        table = _strict(text, header)
    if len(header) == 1:
        notes.append(
            f"{name}: only one column; if another character separates the cells, name it in a first line such as sep=^"
        )
    if table.num_columns > len(header):
        table = table.select(range(len(header)))
        word = SEPARATORS.get(text.separator, repr(text.separator))
        notes.append(f"{name}: rows end in a {word}; the empty cells after it are left out")
    return header, table, notes


def dialect(data: bytes, name: str) -> Text:
    """The text with the separator that fits its first lines best. Raises ChurnError if two fit equally well."""
    start = data[:SAMPLE_BYTES].decode("utf-8", errors="ignore")
    if said := SEP_LINE.match(start):
        return Text(name, data[len(said[0].encode()) :], said[1], line=2)
    lines = list(islice(io.StringIO(start, newline=""), SAMPLE_LINES))
    if len(data) > SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # may be cut off
    fits = {separator: _fit(lines, separator) for separator in SEPARATORS}
    best = max(fits.values())
    if not best[1] and _in_blanks(lines):
        return Text(name, _tabbed(data), "\t", said=f"{name}: blanks separate its cells")
    chosen = [separator for separator, fit in fits.items() if fit == best]
    if best[1] > 1 and len(chosen) > 1:
        words = " and ".join(SEPARATORS[separator] for separator in chosen)
        raise ChurnError(
            f"{name}: {words} separate its cells equally well; name the right one in a first line sep={chosen[0]}"
        )
    return Text(name, data, chosen[0])


def _tabbed(data: bytes) -> bytes:
    return re.sub(rb"[ \t]+", b"\t", re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", data))


def _in_blanks(lines: Sequence[str]) -> bool:
    """Whether blanks separate the cells.

    That is: no quotes, as many words in each line as in the header, and a column of numbers, which tells a table from prose.
    """
    rows = [line.split() for line in lines if line.strip()]
    if (
        len(rows) < 2
        or len(rows[0]) < 2
        or any(len(row) != len(rows[0]) for row in rows)
        or any('"' in line for line in lines)
    ):
        return False
    return any(all(NUMBER.fullmatch(cell) for cell in column) for column in zip(*rows[1:], strict=True))


def _fit(lines: Sequence[str], separator: str) -> tuple[float, int]:
    """How well a separator fits: the header's width times the share of equally wide rows (0 for width 1), and that width."""
    rows: list[list[str]] = []
    try:
        for row in _parser(lines, separator):
            if any(cell.strip() for cell in row):
                rows.append(row)
    except csv.Error:
        pass  # the sample ends within quotes, or this is not the separator: the preceding rows decide
    cells = len(_cut(rows[0])) if rows else 0
    if cells < 2:
        return 0.0, 0
    return cells * sum(len(_cut(row, cells)) == cells for row in rows) / len(rows), cells


def _cut(row: list[str], least: int = 0) -> list[str]:
    """The row without trailing empty cells, but never shorter than ``least``."""
    end = len(row)
    while end > least and not row[end - 1].strip():
        end -= 1
    return row[:end]


def _parser(lines: Iterable[str], separator: str) -> "_csv.Reader":
    return csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)


def _header(text: Text) -> tuple[list[str], int]:
    """The cells of the header, without trailing empty ones, and the offset at which the rows begin."""
    parser = text.rows()
    try:
        header = next((row for row in parser if any(cell.strip() for cell in row)), None)
    except csv.Error as error:
        raise _broken(text, 0, error) from None
    if header is None:
        raise ChurnError(
            f"{text.name}: nothing but blanks and separators; it needs a header line and one line per customer"
        )
    file_kinds.require_width(text.name, len(_cut(header)))
    ends = islice(LINE_END.finditer(text.data), parser.line_num)
    return _cut(header), max((end.end() for end in ends), default=len(text.data))


def _broken(text: Text, before: int, error: csv.Error) -> ChurnError:
    reason = {
        "unexpected end of data": "a quote is opened there and never closed; close it, or write a quote that is text twice",
        "field larger than field limit (131072)": "a cell of over 131,072 characters: is a quote not closed there?",
    }.get(str(error), "text follows a closing quote; write quotes within a cell twice")
    return ChurnError(f"{text.name}: line {before + text.line}: {reason}")


def _fast(text: Text, header: Sequence[str], start: int) -> "pa.Table | None":
    """The rows as read by pyarrow, 20 times faster; None if any row may need the strict parser."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow

    rows = memoryview(text.data)[start:]
    quoted, width = b'"' in text.data, _width(bytes(rows[:SAMPLE_BYTES]), text.separator)
    if (
        not len(header) <= width <= file_kinds.MOST_COLUMNS
        or not text.separator.isascii()
        or (quoted and _unproved(text.data[start:], text.separator))
    ):
        return None
    names = [str(place) for place in range(width)]
    try:
        table = arrow.read_csv(
            pa.BufferReader(rows),
            arrow.ReadOptions(column_names=names, block_size=1 << 24),
            arrow.ParseOptions(
                delimiter=text.separator, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            arrow.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid:  # a row of a different length: the strict parser will name its line
        return None
    surplus = any(not pc.all(blank(column)).as_py() for column in table.columns[len(header) :])
    # A line break within quotes is allowed, but looks just like an unclosed quote.
    if surplus or (quoted and any(_any_line_break(column) for column in table.columns)):
        return None
    return table


def _width(rows: bytes, separator: str) -> int:
    """The number of cells in the first row that has any; 0 if there is none or it cannot be read."""
    try:
        lines = io.StringIO(rows.decode("utf-8", errors="ignore"), newline="")
        return len(next((row for row in _parser(lines, separator) if row), []))
    except csv.Error:
        return 0


def _unproved(rows: bytes, separator: str) -> bool:
    """Whether a quote is inside a cell rather than at its start or end, or the last one is not closed."""
    inside = re.escape(separator.encode()) + b'\r\n"'
    return rows.count(b'"') % 2 == 1 or re.search(b'[^%b]"[^%b]' % (inside, inside), rows) is not None


def _any_line_break(column: "pa.ChunkedArray") -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(column, "[\r\n]")).as_py())


def blank(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Where a column of text is empty or blank, as a boolean column."""
    import pyarrow.compute as pc

    return pc.equal(pc.utf8_trim_whitespace(column), "")


def _strict(text: Text, header: Sequence[str]) -> "pa.Table":
    """The rows as read by Python's csv, each checked against the header; with one extra empty column if any row is longer."""
    import pyarrow as pa

    rows, longest, parts = _proved(text, len(header)), len(header), []
    while chunk := list(islice(rows, CHUNK)):
        longest = max(longest, *map(len, chunk))
        columns = zip(*(row[: len(header)] for row in chunk), strict=True)
        parts.append(pa.table({str(place): pa.array(cells, pa.string()) for place, cells in enumerate(columns)}))
    names = [str(place) for place in range(len(header))]
    table = pa.concat_tables(parts) if parts else pa.table({name: pa.array([], pa.string()) for name in names})
    return table if longest == len(header) else table.append_column("", pa.nulls(len(table), pa.string()))


def _proved(text: Text, width: int) -> Iterator[list[str]]:
    """The rows below the header: ``width`` cells, possibly followed by empty ones.

    Raises:
        ChurnError: A row has a different length.
    """
    parser, before = text.rows(), 0
    next(row for row in parser if any(cell.strip() for cell in row))
    try:
        before = parser.line_num
        for row in parser:
            if any(cell.strip() for cell in row):
                if len(row) < width or any(cell.strip() for cell in row[width:]):
                    raise _misfit(text, before, row, width)
                yield row
            elif row:  # blank rows are kept for now: the reader counts those it leaves out
                yield [""] * width
            before = parser.line_num
    except csv.Error as error:
        raise _broken(text, before, error) from None


def _misfit(text: Text, before: int, row: Sequence[str], width: int) -> ChurnError:
    if width == 1:
        why = "the header must name every column; take out what stands above it"
    elif len(row) > width:
        surplus = next(cell for cell in row[width:] if cell.strip())
        why = f"{surplus!r} stands under no name; name its column in the header, or quote cells that hold the separator"
    else:
        why = "complete the line, or quote cells that hold a line break; lines that are no customers must go"
    cells = f"{len(row)} cell{'s' * (len(row) != 1)}"
    return ChurnError(f"{text.name}: line {before + text.line} has {cells}, the header has {width}: {why}")
