"""Fetching files from S3 and HTTP into a folder. What is there afterwards is whole, or Unreachable was raised."""

import os
import string
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from churn.errors import ChurnError
from churn.files.reader import SUFFIXES
from churn.settings.data import S3, Http

BLOCK = 1 << 20


class Unreachable(Exception):
    """A place that did not answer, or not to the end: worth another attempt."""


def from_s3(source: S3, folder: Path) -> list[Path]:
    """Download the object, or all data files below the prefix, with boto3; endpoint and keys from the environment."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = source.url.removeprefix("s3://").split("/", 1)
    try:
        client = _s3_client(source)
        listed = _listed(client, bucket, key) if key.endswith("/") else [(key, None)]
        if not listed:
            raise ChurnError(f"{source.name}: no file below this prefix ends in {', '.join(SUFFIXES)}")
        targets = {name: folder / name.replace("/", "_") for name, _ in listed}
        for name, size in listed:
            target = targets[name]
            client.download_file(bucket, name, str(target))
            if size is not None and target.stat().st_size != size:
                raise Unreachable(f"{name}: {target.stat().st_size} of {size} bytes came")
        return list(targets.values())
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in (
            "404",
            "403",
            "NoSuchKey",
            "NoSuchBucket",
            "AccessDenied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
        ):
            raise ChurnError(f"{source.name}: {error}; check bucket, key and AWS_* in the environment") from error
        raise Unreachable(str(error)) from error
    except ValueError as error:
        raise ChurnError(f"{source.name}: {error}; correct AWS_ENDPOINT_URL_S3") from error
    except (BotoCoreError, Boto3Error, OSError) as error:
        raise Unreachable(str(error)) from error


def _s3_client(source: S3) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=source.timeout, read_timeout=source.timeout, retries={"total_max_attempts": 2})
    return boto3.client("s3", config=config)


def _listed(client: Any, bucket: str, prefix: str) -> list[tuple[str, int | None]]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [(o["Key"], o["Size"]) for page in pages for o in page.get("Contents", []) if o["Key"].endswith(SUFFIXES)]


def from_http(source: Http, folder: Path) -> list[Path]:
    """Download ``source.url`` into ``folder``, going on where an earlier attempt was cut off if the server can do that.

    Raises Unreachable if the connection fails or the file is not whole, ChurnError if it is too large or refused.
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
        request.add_header("If-Range", mark.read_text())  # the whole file again if it has changed meanwhile
    try:
        with urllib.request.urlopen(request, timeout=source.timeout) as answer:
            _receive(answer, source, part, mark, have)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is as long as the file, or longer: start again
            mark.unlink(missing_ok=True)
        if error.code in (408, 416, 429) or error.code >= 500:
            raise Unreachable(f"HTTP {error.code} {error.reason}") from error
        raise ChurnError(f"{source.name}: HTTP {error.code} {error.reason}; check the address and the token") from error
    except (OSError, HTTPException) as error:
        raise Unreachable(str(getattr(error, "reason", error)) or type(error).__name__) from error
    mark.unlink(missing_ok=True)
    return [part.rename(target)]


def _escaped(part: str) -> str:
    """Blanks and letters outside ASCII as %XX, everything else as it is."""
    return quote(part, safe=string.punctuation)


def _token(source: Http) -> str:
    if (found := os.environ.get(source.bearer)) is None:
        raise ChurnError(f"{source.name}: the environment variable {source.bearer} is not set")
    return found


def _receive(answer: Any, source: Http, part: Path, mark: Path, have: int) -> None:
    if answer.status != 206:
        have = 0
    if tag := answer.headers.get("ETag") or answer.headers.get("Last-Modified"):
        mark.write_text(tag)
    length = answer.headers.get("Content-Length")
    if length is None and not answer.chunked:
        raise ChurnError(
            f"{source.name}: the server does not say how long the file is, so a partial one could not be told apart"
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
