"""The storage configured in the environment: the one S3 client, and checks, before any work, that it can be used."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from churn.errors import ChurnError
from churn.settings.environment import IN_POD, STATE, TEMPORARY

SETTINGS = ("CHURNFLOW_DVC_REMOTE", "CHURNFLOW_PREDICTIONS", "CHURNFLOW_SCORES", "CHURNFLOW_BENTOS", "MLFLOW_ARTIFACTS")
DAY = 86_400
LEAST = 64 << 20  # bytes that a run on a small file writes
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "403", "AccessDenied"}


def client(attempts: int | None = None) -> Any:
    """boto3's S3 client: 3 s to connect, 5 s to answer, ``attempts`` tries (default: AWS_MAX_ATTEMPTS).

    boto3 finds endpoint and keys as usual.
    """
    import boto3
    from botocore.config import Config

    retries = {"retries": {"total_max_attempts": attempts, "mode": "standard"}} if attempts else {}
    return boto3.client("s3", config=Config(connect_timeout=3, read_timeout=5, **retries))


def split(address: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``. Raises ChurnError for any other address."""
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc:
        raise ChurnError(f"{address!r} is not an S3 address; write s3://bucket/path")
    return parts.netloc, parts.path.lstrip("/")


def check_access() -> None:
    """Request one key from each bucket named in the environment.

    Raises ChurnError, within 10 s, naming the setting that is wrong and why: keys, bucket, permission or endpoint.
    """
    buckets: dict[str, str] = {}
    for setting in _in_use():
        if os.environ.get(setting, "").startswith("s3://"):
            buckets.setdefault(split(os.environ[setting])[0], setting)
    for bucket, setting in buckets.items():
        _check(bucket, setting)


def check_state() -> None:
    """Raise ChurnError if the local state folder is not writable."""
    try:
        STATE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=STATE):
            free = shutil.disk_usage(STATE).free
    except OSError as error:
        raise ChurnError(
            f"CHURNFLOW_HOME={STATE}: cannot be written to ({error.strerror}); make it a folder that you can write "
            "to, or name another one"
        ) from error
    if free < LEAST:
        raise ChurnError(
            f"CHURNFLOW_HOME={STATE}: only {free >> 20} MB are free on its disk, and a run needs {LEAST >> 20} or more; "
            "free space, or name a folder elsewhere"
        )
    remove_leftovers(TEMPORARY)


def remove_leftovers(folder: Path) -> None:
    """Remove leftovers of killed processes, a day old or more, from the temporary folder."""
    for left in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):  # another run is sweeping too
            if time.time() - left.lstat().st_mtime < DAY:
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def require_shared() -> None:
    """Raise ChurnError in a pod if the registry would be lost with the pod."""
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    if IN_POD and str(STATE) in tracking:
        raise ChurnError(
            f"MLFLOW_TRACKING_URI={tracking} would be lost with this pod; give the MLflow server's address in the secret "
            "churnflow-flows (argo/secrets/flows.env.example)"
        )


def _in_use() -> tuple[str, ...]:
    metaflow = ("METAFLOW_DATASTORE_SYSROOT_S3",) if os.environ.get("METAFLOW_DEFAULT_DATASTORE") == "s3" else ()
    return metaflow + SETTINGS


def _check(bucket: str, setting: str) -> None:
    place = f"{setting}={os.environ[setting]}"
    with explained(bucket, place):
        client(attempts=1).list_objects_v2(Bucket=bucket, MaxKeys=1)


@contextmanager
def explained(bucket: str, place: str) -> Iterator[None]:
    """Turn boto3's errors into a ChurnError that says what is wrong with ``place``: keys, bucket or endpoint."""
    from botocore import exceptions

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS (no endpoint is set)"
    try:
        yield
    except exceptions.ClientError as error:
        raise ChurnError(_refused(error.response.get("Error", {}), bucket, place, endpoint)) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise ChurnError(f"{place}: no S3 keys ({error}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
    except (exceptions.BotoCoreError, ValueError) as error:  # ValueError: the endpoint is not a URL
        raise ChurnError(
            f"{place}: no S3 server answers at {endpoint} ({error}); start it or change AWS_ENDPOINT_URL_S3"
        ) from error


def _refused(error: dict[str, str], bucket: str, place: str, endpoint: str) -> str:
    code = error.get("Code", "")
    reason = f"{code}: {error.get('Message', '')}"
    if code in ("NoSuchBucket", "404"):
        return f"{place}: there is no bucket {bucket!r} at {endpoint}; create it, or set CHURNFLOW_BUCKET"
    if code == "NoSuchKey":
        return f"{place}: there is no such object at {endpoint}"
    if code in _KEYS:
        return (
            f"{place}: {endpoint} refuses the keys for bucket {bucket!r} ({reason}); check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, and that they may list, read and write there"
        )
    return f"{place}: {endpoint} answers for bucket {bucket!r}: {reason}"
