"""Converts the bytes of a text file to UTF-8: the encoding is inferred, and reported if it is not UTF-8."""

import re

from churn.errors import ChurnError

SAMPLE_BYTES = 1 << 20
LINE_END = re.compile(rb"\r\n|\r|\n")
BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def utf8(data: bytes, name: str) -> tuple[bytes, list[str]]:
    """The text as UTF-8 without a byte order mark, and a note if it was UTF-16, UTF-32 or Windows-1252.

    Windows-1252 is assumed only if nothing looks like UTF-8 and it defines every byte.

    Raises:
        ChurnError: The encoding is none of these; the message names the line.
    """
    marked = next((encoding for bom, encoding in BOMS if data.startswith(bom)), "")
    encoding = marked or _without_bom(data)
    if encoding != "utf-8":
        return _decoded(
            data, encoding, name, "perhaps cut short; copy it again" if marked else "and no text; give a table"
        )
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in data:
        raise ChurnError(
            f"{name}: line {_line(data, data.index(0))} holds a NUL byte: not a text file; export it again"
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _windows(data, error.start, name)
    return data, []


def _without_bom(data: bytes) -> str:
    """The encoding of text without a byte order mark: in UTF-16, every other byte of Western scripts is zero."""
    sample = data[:SAMPLE_BYTES]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) <= len(sample) // 4:
        return "utf-8"
    return "utf-16-be" if even > odd else "utf-16-le"


def _decoded(data: bytes, encoding: str, name: str, otherwise: str) -> tuple[bytes, list[str]]:
    try:
        text = data.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeDecodeError as error:
        raise ChurnError(
            f"{name}: not readable as {encoding.upper()} from byte {error.start:,} on, {otherwise}"
        ) from None
    return text, [f"{name}: read as {encoding.upper()}"]


def _windows(data: bytes, bad: int, name: str) -> tuple[bytes, list[str]]:
    line = _line(data, bad)
    shown = LINE_END.split(data, line)[line - 1].decode("cp1252", errors="replace")[:80]
    if MULTIBYTE.search(data):
        raise ChurnError(
            f"{name}: line {line} is not UTF-8 ({shown!r}), though others are: two encodings in one file, or a damaged one; "
            "export it again as UTF-8"
        )
    try:
        text = data.decode("cp1252").encode()
    except UnicodeDecodeError as error:
        raise ChurnError(
            f"{name}: line {_line(data, error.start)} is neither UTF-8 nor Windows-1252 (byte {data[error.start]:#04x}); "
            "export it again as UTF-8"
        ) from None
    return text, [f"{name}: not UTF-8, so read as Windows-1252; line {line} is then {shown!r}"]


def _line(data: bytes, place: int) -> int:
    return len(LINE_END.findall(data, 0, place)) + 1
