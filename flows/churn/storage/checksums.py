"""Whether bytes are those that were written: SHA-256 of files, and of Parquet files within themselves.

A model's files are compared with what the registry has noted of them. A part of the prediction log has no such place: it
carries the checksum of all its bytes behind its footer's own, where Parquet's readers look for nothing (the format puts the
signature of an encrypted file there). Parquet's own checksums are of its pages alone, not of the footer that explains them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

END = b"PAR1"
_SIZE = hashlib.sha256().digest_size
_TAIL = 4 + len(END)  # bytes behind the footer: its length, and the end


def sha256(content: bytes) -> str:
    """The checksum of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def folder_sha256(folder: Path) -> dict[str, str]:
    """The checksum of each file below ``folder``, by its path from there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def mismatched(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """The names of ``wanted`` whose files in ``folder`` are missing, or have other bytes. A checksum may be cut short."""
    return [
        name
        for name, checksum in wanted.items()
        if not checksum or not (folder / name).is_file() or not file_sha256(folder / name).startswith(checksum)
    ]


def to_line(checksums: Mapping[str, str]) -> str:
    """Checksums in one line, NAME:CHECKSUM each."""
    return " ".join(f"{name}:{checksum}" for name, checksum in checksums.items())


def from_line(line: str) -> dict[str, str]:
    """The checksums of such a line."""
    return {name: checksum for name, _, checksum in (pair.rpartition(":") for pair in line.split())}


def sealed(parquet: bytes) -> bytes:
    """A Parquet file with the checksum of all its bytes in it; every reader of Parquet reads it as before."""
    body, length = parquet[:-_TAIL], int.from_bytes(parquet[-_TAIL : -len(END)], "little")
    tail = (length + _SIZE).to_bytes(4, "little") + END
    return body + hashlib.sha256(body + tail).digest() + tail


def is_sealed(parquet: bytes) -> bool:
    """Whether the file is ``sealed``, and has the bytes that it was sealed with."""
    body, tail = parquet[: -_TAIL - _SIZE], parquet[-_TAIL:]
    return hashlib.sha256(body + tail).digest() == parquet[-_TAIL - _SIZE : -_TAIL]


def intact(parquet: bytes, footer: int) -> bool:
    """Whether the file ``is_sealed``, or was never sealed: there is nothing behind its footer of so many bytes then.

    Older releases did not seal theirs; for them there are only the checksums of their pages.
    """
    return is_sealed(parquet) or int.from_bytes(parquet[-_TAIL : -len(END)], "little") == footer
