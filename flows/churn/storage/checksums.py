"""Verifies that bytes are as written: SHA-256 of files, and SHA-256 embedded in Parquet files.

A model's files are compared with the checksums in the registry. A part of the prediction log has no such record: it carries the
checksum of all its bytes after its footer, where Parquet readers do not look (the format puts the signature of an encrypted
file there). Parquet's own checksums cover only its pages, not the footer that describes them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

END = b"PAR1"
_SIZE = hashlib.sha256().digest_size
_TAIL = 4 + len(END)  # bytes after the footer: its length, and the end marker


def sha256(content: bytes) -> str:
    """The checksum of ``content``, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def folder_sha256(folder: Path) -> dict[str, str]:
    """The checksum of each file below ``folder``, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def mismatched(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """The names in ``wanted`` whose files in ``folder`` are missing or differ. A checksum may be truncated."""
    return [
        name
        for name, checksum in wanted.items()
        if not checksum or not (folder / name).is_file() or not file_sha256(folder / name).startswith(checksum)
    ]


def to_line(checksums: Mapping[str, str]) -> str:
    """The checksums in one line, each as NAME:CHECKSUM."""
    return " ".join(f"{name}:{checksum}" for name, checksum in checksums.items())


def from_line(line: str) -> dict[str, str]:
    """The checksums of such a line."""
    return {name: checksum for name, _, checksum in (pair.rpartition(":") for pair in line.split())}


def sealed(parquet: bytes) -> bytes:
    """The Parquet file with an embedded checksum of all its bytes; every Parquet reader reads it as before."""
    body, length = parquet[:-_TAIL], int.from_bytes(parquet[-_TAIL : -len(END)], "little")
    tail = (length + _SIZE).to_bytes(4, "little") + END
    return body + hashlib.sha256(body + tail).digest() + tail


def is_sealed(parquet: bytes) -> bool:
    """Whether the file is ``sealed`` and unchanged."""
    body, tail = parquet[: -_TAIL - _SIZE], parquet[-_TAIL:]
    return hashlib.sha256(body + tail).digest() == parquet[-_TAIL - _SIZE : -_TAIL]


def intact(parquet: bytes, footer: int) -> bool:
    """Whether the file ``is_sealed``, or was never sealed, with nothing after its footer of ``footer`` bytes.

    Older releases did not seal their files, which have only their pages' checksums.
    """
    return is_sealed(parquet) or int.from_bytes(parquet[-_TAIL : -len(END)], "little") == footer
