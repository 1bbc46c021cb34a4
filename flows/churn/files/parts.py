"""Reads a large file part by part, in the memory of one part: text in blocks of whole lines, Parquet in batches of rows.

Each part goes through the reader's own parsers, just as strictly. Files that cannot be split safely (encodings other than
UTF-8, workbooks, archives) and small files are one part, read whole.
"""

import codecs
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from churn.errors import ChurnError
from churn.files import delimited_text, file_kinds, reader
from churn.files.reader import Reading
from churn.files.text_encoding import utf8

if TYPE_CHECKING:
    import pyarrow.parquet as pq

BLOCK = 32 << 20  # bytes of text to parse at once
LARGE = 2 * BLOCK  # smaller files are parsed whole
ROWS = 1 << 19  # of Parquet, at once
PACKED = 8  # the highest compression ratio of gzip on a table


def read(path: Path, most_bytes: int = file_kinds.MOST_BYTES) -> Iterator[Reading]:
    """The tables of a file's parts, in order, all with the same columns.

    Raises:
        ChurnError: The file cannot be read (see ``reader.parse``), or gzip expands to more than ``most_bytes``.
    """
    try:
        with path.open("rb") as file:
            first = file.read(4)
        packed = first[:2] == file_kinds.GZIP
        if path.stat().st_size < (LARGE // PACKED if packed else LARGE):
            yield reader.read(path, most_bytes)
        elif first == b"PAR1":
            yield from _batches(path)
        elif _plain(path, packed):
            yield from _blocks(path, packed, most_bytes)
        else:
            yield reader.read(path, most_bytes)
    except file_kinds.Expanded as error:
        raise ChurnError(f"{error}, {reader.MORE_BYTES}") from None
    except OSError as error:
        raise ChurnError(f"{path}: cannot be read: {error.strerror or error}") from None


def _batches(path: Path) -> Iterator[Reading]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            notes: list[str] = []
            file_kinds.require_width(str(path), file.metadata.num_columns)
            reader.require_cells(file, str(path))
            names, incomplete = reader.column_names(file.schema_arrow.names, str(path), notes), _incomplete(file)
            for batch in file.iter_batches(ROWS):
                table = pa.Table.from_batches([batch])
                for place in incomplete:
                    column = table.column(place).cast(pa.float64(), safe=False)
                    table = table.set_column(place, names[place], column)
                yield reader.with_values(table.rename_columns(names), str(path), notes)
    except pa.ArrowException as error:
        raise file_kinds.damaged(str(path), "Parquet file", error) from None


def _incomplete(file: "pq.ParquetFile") -> list[int]:
    """The columns of integers with a gap anywhere: as in the whole table, pandas is to read each part of them as floats."""
    import pyarrow as pa

    found = []
    for place, field in enumerate(file.schema_arrow):
        if pa.types.is_integer(field.type):
            groups = range(file.metadata.num_row_groups)
            about = [file.metadata.row_group(group).column(place).statistics for group in groups]
            found += [place] * any(one is not None and one.has_null_count and one.null_count for one in about)
    return found


def merged(notes: Iterable[str]) -> tuple[str, ...]:
    """The notes on a file's parts as notes on the whole: each once, and blank rows counted together."""
    counts, found = Counter[str](), list[str]()
    for note in notes:
        if blank := reader.BLANK.fullmatch(note):
            counts[blank[1]] += int(blank[2].replace(",", ""))
        elif note not in found:
            found.append(note)
    return (*found, *(reader.blank_rows(name, count) for name, count in counts.items()))


def _opened(path: Path, packed: bool) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")


def _plain(path: Path, packed: bool) -> bool:
    """Whether the file is UTF-8 text throughout, without NUL bytes, with lines that end in a line feed."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), False
    try:
        with _opened(path, packed) as file:
            start = file.peek(4)[:4] if hasattr(file, "peek") else b""
            if start.startswith((file_kinds.ZIP, file_kinds.OLE, file_kinds.GZIP, b"PAR1")):
                return False
            while block := file.read(BLOCK // 2):
                decoder.decode(block)
                if b"\x00" in block:
                    return False
                lines |= b"\n" in block
            decoder.decode(b"", final=True)
    except (UnicodeDecodeError, *file_kinds.UNREADABLE):
        return False  # reading it whole finds the encoding, or raises the error
    return lines


def _blocks(path: Path, packed: bool, most_bytes: int) -> Iterator[Reading]:
    name, text, line = str(path), None, 0
    with _opened(path, packed) as file:
        for block in _lines(file, name, most_bytes if packed else None):
            if text is None:
                data, _ = file_kinds.unpack(block, name)
                text = delimited_text.dialect(utf8(data, name)[0], name)
                header, table, notes = delimited_text.table_of(text)
            else:
                header, table, notes = delimited_text.table_of(text.going_on(block, line))
            line += block.count(b"\n")
            if table.num_rows:
                yield reader.with_values(table.rename_columns(reader.column_names(header, name, notes)), name, notes)


def _lines(file: IO[bytes], name: str, most_bytes: int | None) -> Iterator[bytes]:
    """Blocks that end at the end of a line, with no quote open."""
    rest, total = b"", 0
    while block := file.read(BLOCK):
        total += len(block)
        if most_bytes is not None and total > most_bytes:
            raise file_kinds.Expanded(name, most_bytes)
        rest += block
        if end := _end(rest):
            yield rest[:end]
            rest = rest[end:]
    if rest.strip():
        yield rest


def _end(data: bytes) -> int:
    """The offset after the last line feed preceded by an even number of quotes; 0 if there is none yet.

    A block several times too long has an unclosed quote, which the parser will report; then it is the last line feed.
    """
    end, quotes = data.rfind(b"\n") + 1, data.count(b'"')
    quotes -= data.count(b'"', end)
    while end and quotes % 2:
        before = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end or (data.rfind(b"\n") + 1 if len(data) > 4 * BLOCK else 0)
