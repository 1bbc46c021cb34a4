"""Downloads files from object stores (fsspec) and web servers into a folder.

Afterwards every file is complete, or Unreachable was raised.

Web servers are not read with fsspec, which neither resumes a file with If-Range, nor limits its size, nor checks where a
redirect leads (``storage.web``).
"""

import os
import string
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from churn.errors import ChurnError
from churn.files.reader import SUFFIXES
from churn.settings.data import Bucket, Http
from churn.storage import web

BLOCK = 1 << 20
RANGE = 16 << 20  # bytes of an object per request


class Unreachable(Exception):
    """A source did not answer, or not completely; worth a retry."""


def from_bucket(source: Bucket, folder: Path) -> list[Path]:
    """Download the object, or all data files below the prefix, resuming an interrupted attempt.

    Raises:
        ChurnError: There is no such object, the keys are refused, or the store's package is not installed.
        Unreachable: The store did not answer, or not completely.
    """
    place = source.url.partition("://")[2]
    try:
        system = _file_system(source)
        if not place.endswith("/"):
            listed = {place: system.info(place)}
        else:
            listed = {name: about for name, about in system.find(place, detail=True).items() if name.endswith(SUFFIXES)}
        if not listed:
            raise ChurnError(f"{source.name}: no file below this prefix ends in {', '.join(SUFFIXES)}")
        return [_download(system, name, about, folder) for name, about in listed.items()]
    except (FileNotFoundError, PermissionError) as error:
        message = f"{source.name}: {error}; check bucket, key and {_VARIABLES[source.kind]} in the environment"
        raise ChurnError(message) from error
    except (ChurnError, Unreachable):
        raise
    except ValueError as error:
        raise ChurnError(f"{source.name}: {error}; correct the store's endpoint in the environment") from error
    except Exception as error:  # each store's package has its own errors
        raise Unreachable(str(error) or type(error).__name__) from error


_VARIABLES = {"s3": "AWS_*", "gs": "GOOGLE_APPLICATION_CREDENTIALS", "az": "AZURE_STORAGE_*"}


def _file_system(source: Bucket) -> Any:
    """Fsspec's file system for the store, without cached listings."""
    import fsspec

    options: dict[str, Any] = {}
    if source.kind == "s3":
        limits = {"connect_timeout": source.timeout, "read_timeout": source.timeout, "retries": {"max_attempts": 1}}
        options = {"config_kwargs": limits}
    try:
        system = fsspec.filesystem(source.kind, skip_instance_cache=True, use_listings_cache=False, **options)
    except ImportError:
        raise ChurnError(
            f"{source.name}: the package for {source.kind}:// is not installed; install it with make install EXTRA={source.kind}"
        ) from None
    if source.kind == "s3":
        system.retries = 1  # the [[source]] has its own retries
    return system


def _download(system: Any, name: str, about: Mapping[str, Any], folder: Path) -> Path:
    """Download one object, range by range. Ranges of different versions are never mixed."""
    target = folder / name.partition("/")[2].replace("/", "_")
    part, mark = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.mark")
    if target.exists():
        return target  # from an earlier attempt, which failed on another object
    size, version = int(about["size"]), _version(about)
    if not mark.is_file() or mark.read_text() != version:
        part.unlink(missing_ok=True)
        mark.write_text(version)
    with part.open("ab") as out:
        while (have := out.tell()) < size:
            block = system.cat_file(name, start=have, end=min(have + RANGE, size))
            if not block:
                break
            out.write(block)
    if have != size or _version(system.info(name)) != version:
        mark.unlink()
        raise Unreachable(f"{name}: {have} of {size} bytes arrived, or it changed in the meantime")
    mark.unlink()
    return part.rename(target)


def _version(about: Mapping[str, Any]) -> str:
    """The object's version marker, under whichever name the store's package gives it."""
    marks = [str(about[key]) for key in ("ETag", "etag", "LastModified", "last_modified", "mtime") if key in about]
    return " ".join([str(about["size"]), *marks])


def from_http(source: Http, folder: Path) -> list[Path]:
    """Download ``source.url`` into ``folder``, resuming an interrupted attempt if the server supports it.

    Raises Unreachable if the connection fails or the file is incomplete, ChurnError if it is too large or refused.
    """
    try:
        parts = urlsplit(source.url)
    except ValueError as error:
        raise ChurnError(f"{source.name}: not an address: {error}; correct url in config/data.toml") from error
    target = folder / (PurePosixPath(parts.path).name or "download")
    url = parts._replace(path=_escaped(parts.path), query=_escaped(parts.query)).geturl()
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    part, mark = folder / ".part", folder / ".etag"
    have = part.stat().st_size if part.is_file() and mark.is_file() else 0
    if source.bearer:
        request.add_header("Authorization", f"Bearer {_token(source)}")
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", mark.read_text())  # the server sends the whole file if it has changed
    try:
        with web.opener(url, source.name, source.private_hosts).open(request, timeout=source.timeout) as answer:
            _receive(answer, source, part, mark, have)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is as long as the file, or longer: start over
            mark.unlink(missing_ok=True)
        if error.code in (408, 416, 429) or error.code >= 500:
            raise Unreachable(f"HTTP {error.code} {error.reason}") from error
        raise ChurnError(f"{source.name}: HTTP {error.code} {error.reason}; check the address and the token") from error
    except (OSError, HTTPException) as error:
        raise Unreachable(str(getattr(error, "reason", error)) or type(error).__name__) from error
    mark.unlink(missing_ok=True)
    return [part.rename(target)]


def _escaped(part: str) -> str:
    """Percent-encode blanks and non-ASCII characters, and nothing else."""
    return quote(part, safe=string.punctuation)


def _token(source: Http) -> str:
    if (token := os.environ.get(source.bearer)) is None:
        raise ChurnError(f"{source.name}: the environment variable {source.bearer} is not set")
    return token


def _receive(answer: Any, source: Http, part: Path, mark: Path, have: int) -> None:
    if answer.status != 206:
        have = 0
    if tag := answer.headers.get("ETag") or answer.headers.get("Last-Modified"):
        mark.write_text(tag)
    length = answer.headers.get("Content-Length")
    if length is None and not answer.chunked:
        raise ChurnError(
            f"{source.name}: the server does not say how long the file is, so a truncated one would pass unnoticed; "
            "download the file, and name it as the source"
        )
    total = have + int(length) if length is not None else None
    most = source.max_megabytes << 20
    with part.open("ab" if have else "wb") as out:
        while (total or have) <= most and (block := answer.read(BLOCK)):
            out.write(block)
            have += len(block)
    if (total or have) > most:
        raise ChurnError(
            f"{source.name}: larger than max_megabytes = {source.max_megabytes} of this [[source]]; raise it there"
        )
    if total is not None and have != total:
        raise Unreachable(f"the connection ended after {have} of {total} bytes")
