"""Recognises the kind of a file by its first bytes: compressed files are unpacked, unreadable kinds are named."""

import gzip
import io
import re
import zipfile
import zlib
from typing import IO, Literal

from churn.errors import ChurnError
from churn.settings.data import EXPANDED_MEGABYTES

MOST_BYTES = EXPANDED_MEGABYTES << 20
MOST_COLUMNS = 10_000  # each takes kilobytes of memory, whatever its content
BLOCK = 1 << 20
Kind = Literal["text", "parquet", "workbook"]

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Excel up to 2003, and workbooks with a password
SAVE = "save it as CSV (UTF-8) or Parquet"
UNPACK = "unpack it first"
TABLE = "give a table: CSV, Excel or Parquet"
# First bytes, the kind of file they identify, and the remedy; matched in this order.
KNOWN = (
    (b"SQLite format 3\x00", "an SQLite database", 'read it as a [[source]] with kind = "sql" in config/data.toml'),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "fetch the data with: git lfs pull"),
    (b"outs:\n- md5:", "a pointer of DVC, not the data", "fetch the data with: dvc pull"),
    (b"%PDF", "a PDF document", SAVE),
    (b"{\\rtf", "a text document (RTF)", SAVE),
    (b"ARROW1", "an Arrow (Feather) file", SAVE),
    (b"FEA1", "a Feather file", SAVE),
    (b"ORC", "an ORC file", SAVE),
    (b"Obj\x01", "an Avro file", SAVE),
    (b"\x89HDF", "an HDF5 file", SAVE),
    (b"\x93NUMPY", "a NumPy array", SAVE),
    (b"$FL2", "an SPSS file", SAVE),
    (b"<stata_dta>", "a Stata file", SAVE),
    (GZIP, "a gzip file within others", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"\x7fELF", "a program", TABLE),
    (b"MZ\x90\x00", "a program", TABLE),
    (b"\x89PNG", "a picture (PNG)", "give the table it shows as CSV"),
    (b"\xff\xd8\xff", "a picture (JPEG)", "give the table it shows as CSV"),
)
SAS = b"\xc2\xea\x81\x60"  # at byte 12
PICKLE = re.compile(rb"\x80[\x02-\x05][\x95}\]c(]")
MARKUP = (
    (re.compile(rb"\s*(<!doctype html|<html|<table|<head)", re.I), "a web page (HTML)"),
    (re.compile(rb"\s*<\?xml|\s*<[a-z:]+\s+xmlns", re.I), "an XML document"),
    (re.compile(rb'\s*(\{\s*"|\{\s*\}|\[\s*[\[{])'), "a JSON document"),
)
# Raised by zlib, gzip and zipfile for damaged bytes.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)
BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def unpack(data: bytes, name: str, most_bytes: int = MOST_BYTES) -> tuple[bytes, Kind]:
    """The bytes of the one table in a file, unpacked from gzip or zip, and its kind.

    Raises:
        ChurnError: The archive is damaged, holds several files or more than ``most_bytes``; or the first bytes are those of
            an unreadable kind of file.
    """
    for _ in range(3):  # a gzip file in a zip file, but no deeper
        if data[:2] == GZIP:
            data = _gunzip(data, name, most_bytes)
        elif data[:4] == ZIP and not (office := _office(data, name)):
            data = _unzip(data, name, most_bytes)
        else:
            break
    if not data.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"):
        raise ChurnError(f"{name}: the file is empty; it needs a header line and one line per customer")
    if data[:4] == b"PAR1" or name.endswith((".parquet", ".parquet.gz")):
        return data, "parquet"
    if data[:8] == OLE or data[:4] == ZIP:
        if data[:4] == ZIP and office != "workbook":
            raise ChurnError(f"{name}: this is {office}, not a table; {SAVE}")
        return data, "workbook"
    if kind := _named(data):
        raise ChurnError(f"{name}: this is {kind[0]}; {kind[1]}")
    return data, "text"


class Expanded(ChurnError):
    """A small file expands to more than may be held in memory."""

    def __init__(self, name: str, most_bytes: int) -> None:
        """``name`` is the file, ``most_bytes`` the limit."""
        super().__init__(f"{name}: unpacked it is larger than {most_bytes:,} bytes; give a smaller file")


def require_width(name: str, columns: int) -> None:
    """Raise ChurnError for more than MOST_COLUMNS columns."""
    if columns > MOST_COLUMNS:
        raise ChurnError(
            f"{name}: {columns:,} columns; at most {MOST_COLUMNS:,} are read: give those of the data set alone"
        )


def damaged(name: str, kind: str, error: Exception) -> ChurnError:
    """The error for a file that the library for its kind cannot read."""
    why = " ".join(str(error).split()).rstrip(".")
    return ChurnError(f"{name}: not a readable {kind}, perhaps cut short ({why}); copy it again")


def _named(data: bytes) -> tuple[str, str] | None:
    for first, what, remedy in KNOWN:
        if data.startswith(first):
            return what, remedy
    if data[12:16] == SAS:
        return "a SAS file", SAVE
    if data[257:262] == b"ustar":
        return "a tar archive", UNPACK
    if PICKLE.match(data):
        return "a Python pickle, which could run anything", SAVE
    start = data[:4096]
    for bom in BOMS:
        start = start.removeprefix(bom)
    start = start.replace(b"\x00", b"")  # UTF-16
    return next(((what, SAVE) for pattern, what in MARKUP if pattern.match(start)), None)


def _gunzip(data: bytes, name: str, most_bytes: int) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as packed:
            return _read(packed, name, most_bytes)
    except UNREADABLE as error:
        raise damaged(name, "gzip file", error) from None


def _read(packed: IO[bytes] | gzip.GzipFile, name: str, most_bytes: int) -> bytes:
    unpacked = io.BytesIO()
    while block := packed.read(BLOCK):
        if unpacked.tell() + len(block) > most_bytes:
            raise Expanded(name, most_bytes)
        unpacked.write(block)
    return unpacked.getvalue()


def _office(data: bytes, name: str) -> str:
    """'workbook', a description of another office document, or '' for a plain zip archive."""
    names = set(_archive(data, name).namelist())
    if names & {"xl/workbook.xml", "xl/workbook.bin"}:
        return "workbook"
    if "word/document.xml" in names:
        return "a Word document"
    if "ppt/presentation.xml" in names:
        return "a presentation"
    if "mimetype" in names and "content.xml" in names:
        return "workbook" if b"spreadsheet" in data[:200] else "a document"
    return ""


def _archive(data: bytes, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except UNREADABLE as error:
        raise damaged(name, "zip file", error) from None


def _unzip(data: bytes, name: str, most_bytes: int) -> bytes:
    archive = _archive(data, name)
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith(("__MACOSX/", "."))]
    if len(members) != 1:
        held = ", ".join(member.filename for member in members[:5]) or "none"
        raise ChurnError(
            f"{name}: a zip archive of {len(members)} files ({held}); unpack it, and give one file or the folder"
        )
    if members[0].flag_bits & 1:
        raise ChurnError(f"{name}: a zip archive with a password; {UNPACK}")
    try:
        with archive.open(members[0]) as packed:
            return _read(packed, name, most_bytes)
    except UNREADABLE as error:
        raise damaged(name, "zip file", error) from None
