"""Bentos in S3: one archive per version. The address includes the checksum, so it identifies exactly what is served."""

import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from churn.errors import ChurnError, os_error_message
from churn.settings import environment
from churn.storage import s3

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"^(s3://[^@]+)@sha256:([0-9a-f]{64})$")
TAG = "bento"  # of a registry version: the address of its Bento
_CHECKSUM = "sha256"  # key of the object's metadata


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors of BentoML, and of the disk below it, into ChurnErrors that name BentoML's store."""
    import bentoml

    try:
        yield
    except (bentoml.exceptions.BentoMLException, OSError) as error:
        why = (
            os_error_message(error)
            or f"{' '.join(str(error).split())[:500]}; what is in it can be removed: it is built again"
        )
        raise ChurnError(f"BentoML's store {os.environ['BENTOML_HOME']}: {why}") from error


def kept(get: Callable[[str], Any], kind: str, tag: str, intact: Callable[[Any], bool]) -> bool:
    """Whether BentoML's store of ``kind`` (models or bentos) has the tag ``intact``; a damaged item is removed."""
    import bentoml

    try:
        if intact(get(tag)):
            return True
        why = "its files have changed"
    except bentoml.exceptions.NotFound:
        return False
    except Exception as error:  # noqa: BLE001 - whatever BentoML raises for half a folder
        why = " ".join(str(error).split())[:200]
    logger.warning("%s is damaged in BentoML's store (%s); it is built again", tag, why)
    shutil.rmtree(Path(os.environ["BENTOML_HOME"], kind, *tag.split(":")))
    return False


def publish(tag: str) -> str | None:
    """Archive the Bento under CHURNFLOW_BENTOS.

    Returns its address, ``s3://.../NAME-VERSION.bento@sha256:...``, or None if CHURNFLOW_BENTOS is not set. An existing archive
    is kept: the address of a version never changes.
    """
    import bentoml

    root = os.environ.get("CHURNFLOW_BENTOS")
    if not root:
        return None
    place = f"{root.rstrip('/')}/{tag.replace(':', '-')}.bento"
    checksum = _checksum(place)
    if checksum is None:
        with explained(), tempfile.TemporaryDirectory() as folder:
            content = Path(bentoml.export_bento(tag, str(Path(folder, "bento.bento")))).read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        bucket, key = s3.split(place)
        with s3.explained(bucket, place):
            s3.client().put_object(Bucket=bucket, Key=key, Body=content, Metadata={_CHECKSUM: checksum})
    return f"{place}@sha256:{checksum}"


def _checksum(place: str) -> str | None:
    from botocore.exceptions import ClientError

    bucket, key = s3.split(place)
    with s3.explained(bucket, place):
        try:
            return s3.client().head_object(Bucket=bucket, Key=key)["Metadata"].get(_CHECKSUM)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return None
            raise


def fetch(address: str, folder: str | Path) -> Path:
    """Download the archive at ``address`` to ``folder``/bento.bento, verify its checksum, and return its path.

    Raises ChurnError if the address is malformed, the store fails, or the checksum differs; then no file is left.
    """
    match = ADDRESS.match(address)
    if match is None:
        raise ChurnError(f"CHURNFLOW_BENTO={address!r}: write s3://bucket/NAME-VERSION.bento@sha256:CHECKSUM")
    bucket, key = s3.split(match[1])
    with s3.explained(bucket, f"CHURNFLOW_BENTO={match[1]}"):
        content = s3.client(attempts=2).get_object(Bucket=bucket, Key=key)["Body"].read()
    if hashlib.sha256(content).hexdigest() != match[2]:
        raise ChurnError(f"{match[1]}: its checksum is not {match[2]}; it is not served")
    path = Path(folder, "bento.bento")
    path.write_bytes(content)
    return path


def install(address: str) -> str:
    """Import the archive at ``address`` into BentoML's store; returns the Bento's tag. Raises ChurnError as ``fetch`` does.

    An existing Bento is kept: an init container may run again in the same pod.
    """
    import bentoml

    with explained(), tempfile.TemporaryDirectory() as folder:
        archive = fetch(address, folder)
        tag = Path(address.split("@")[0]).stem.replace("-", ":", 1)  # as ``publish`` named it
        try:
            return str(bentoml.get(tag).tag)
        except bentoml.exceptions.NotFound:
            return str(bentoml.import_bento(str(archive)).tag)


if __name__ == "__main__":  # the serving pod's init container
    environment.set_defaults()
    try:
        install(os.environ.get("CHURNFLOW_BENTO", ""))
    except ChurnError as error:
        sys.exit(str(error))
