"""One interface to folders and S3 prefixes: names, bytes, sizes and ages."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from churn.settings.environment import private
from churn.storage import s3

HALF = ".erasing"  # suffix of a file while it is rewritten


@dataclass(frozen=True)
class Entry:
    """A file or object: its name below the place, its size in bytes, and its last write, in seconds since 1970."""

    name: str
    size: int
    written: float


@dataclass(frozen=True)
class Place:
    """A folder, or ``s3://bucket/prefix``. Raises OSError for a folder, ChurnError for S3."""

    address: str

    @classmethod
    def of(cls, address: str) -> "Place":
        """The place at a folder's path, a ``file:`` URI or an ``s3:`` URI."""
        return cls(address if address.startswith("s3://") else str(Path(address.removeprefix("file://")).resolve()))

    def __str__(self) -> str:
        """The address."""
        return self.address

    def at(self, name: str) -> str:
        """The address of a name."""
        return f"{self.address.rstrip('/')}/{name}"

    def entries(self, under: str = "") -> Iterator[Entry]:
        """All entries whose name begins with ``under``; none if the place does not exist. Removes our half-written files."""
        if not self.address.startswith("s3://"):
            yield from self._files(under)
            return
        bucket, prefix = s3.split(self.at(""))
        with s3.explained(bucket, self.address):
            pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + under)
            for page in pages:
                for entry in page.get("Contents", []):
                    yield Entry(entry["Key"].removeprefix(prefix), entry["Size"], entry["LastModified"].timestamp())

    def _files(self, under: str) -> Iterator[Entry]:
        root = Path(self.address)
        for folder, inner, files in os.walk(root / under if under.endswith("/") else root):
            inner.sort()
            for file in sorted(files):
                path = Path(folder, file)
                name = path.relative_to(root).as_posix()
                if file.endswith(HALF):
                    path.unlink(missing_ok=True)
                elif name.startswith(under) and not path.is_symlink() and path.is_file():
                    stat = path.stat()
                    yield Entry(name, stat.st_size, stat.st_mtime)

    def read(self, name: str) -> bytes | None:
        """The content, or None if there is none (any more)."""
        from botocore.exceptions import ClientError

        if not self.address.startswith("s3://"):
            path = Path(self.address, name)
            return path.read_bytes() if path.is_file() else None
        bucket, key = s3.split(self.at(name))
        with s3.explained(bucket, self.address):
            try:
                return s3.client().get_object(Bucket=bucket, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return None
                raise

    def write(self, name: str, content: bytes) -> None:
        """Write ``content`` atomically."""
        if not self.address.startswith("s3://"):
            path = Path(self.address, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_name(path.name + HALF)
            with open(half, "wb", opener=private) as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            half.replace(path)
            return
        bucket, key = s3.split(self.at(name))
        with s3.explained(bucket, self.address):
            s3.client().put_object(Bucket=bucket, Key=key, Body=content)

    def remove(self, name: str) -> None:
        """Remove the file, and folders that become empty."""
        if self.address.startswith("s3://"):
            bucket, key = s3.split(self.at(name))
            with s3.explained(bucket, self.address):
                s3.client().delete_object(Bucket=bucket, Key=key)
            return
        path, root = Path(self.address, name), Path(self.address)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == root or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()


def days(written: float) -> float:
    """The age in days of something ``written`` then, in seconds since 1970."""
    return (time.time() - written) / 86_400
