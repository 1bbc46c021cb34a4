"""The prediction log: append-only Parquet, one folder per UTC day. The service writes it, monitoring reads it.

``ROOT/predictions/day=2026-11-23/part-*.parquet`` holds one row per answered customer: COLUMNS, then the raw feature columns
under their own names (float64, or text). ``ROOT/feedback/day=.../part-*.parquet`` holds outcomes that became known later:
prediction_id, time, outcome. ROOT is CHURNFLOW_PREDICTIONS (a folder or s3://bucket/prefix). A part carries the checksums of
its pages and of the whole file (``storage.checksums``); damaged parts are excluded and named. HOLDOUT, stored next to a model
in the registry, has the model's predictions for its holdout in the same columns, as the reference for monitoring.
"""

import logging
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from churn.errors import ChurnError
from churn.files import spool
from churn.settings.dataset import Dataset
from churn.settings.environment import STATE, private
from churn.storage import checksums

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow
    from pyarrow.fs import FileSystem

logger = logging.getLogger(__name__)

PREDICTIONS, FEEDBACK = "predictions", "feedback"
HOLDOUT = "holdout.parquet"
COLUMNS = ("prediction_id", "time", "model_version", "data_version", "probability", "decision")
AT_ONCE = 8  # parts to read in parallel
_PART = re.compile(r"/day=(\d{4}-\d\d-\d\d)/part-[^/]+\.parquet$")
_ADDRESS, _BUCKET = re.compile(r"[A-Za-z0-9+.-]*://|s3:"), re.compile(r"s3://[^/]+")
# An unreachable store must not block writers or readers.
_S3_SECONDS = {"connect_timeout": 3.0, "request_timeout": 15.0}


def root() -> str:
    """The root of the log: CHURNFLOW_PREDICTIONS, or ``log`` in the state folder; see ``configured_root``."""
    return configured_root("CHURNFLOW_PREDICTIONS", "log", "the prediction log is")


def configured_root(variable: str, folder: str, what: str) -> str:
    """The folder or ``s3://bucket/prefix`` in ``variable``, or ``folder`` in the state folder.

    A relative folder is resolved below the state folder, not the working directory, which differs between the service (its Bento)
    and the commands that read the log.

    Raises:
        ChurnError: It is another kind of URL, or has no bucket; the message calls it ``what``.
    """
    location = (os.environ.get(variable) or folder).strip() or folder
    if not _ADDRESS.match(location):
        return str(STATE / Path(location).expanduser())
    if not _BUCKET.match(location):
        raise ChurnError(f"{variable}={location}: {what} a folder or s3://bucket/prefix; correct the variable")
    return location


def schema(dataset: Dataset, with_id: bool = False) -> "pyarrow.Schema":
    """The columns of the prediction log for ``dataset``; ``with_id`` adds the customer's id.

    Raises ChurnError if a feature has the name of one of COLUMNS, or of the outcome column that monitoring adds.
    """
    import pyarrow as pa

    taken = sorted({*COLUMNS, "outcome"} & set(dataset.raw))
    if taken:
        raise ChurnError(
            f"data set {dataset.name}: columns {', '.join(taken)} have the names of the log's own columns; rename them"
        )
    fields = list(zip(COLUMNS, _kinds(), strict=True))
    if with_id and dataset.id is not None:
        fields.append((dataset.id, pa.string()))
    return pa.schema(fields + [(name, pa.float64() if c.numeric else pa.string()) for name, c in dataset.raw.items()])


def _kinds() -> "tuple[pyarrow.DataType, ...]":
    """The types of COLUMNS."""
    import pyarrow as pa

    return (pa.string(), pa.timestamp("us", tz="UTC"), pa.string(), pa.string(), pa.float64(), pa.bool_())


def feedback_schema(with_reporter: bool = False) -> "pyarrow.Schema":
    """The columns of reported outcomes; ``outcome`` is true if the customer churned.

    ``with_reporter`` adds the holder of the key that reported the outcome, as the service writes it.
    """
    import pyarrow as pa

    fields = [("prediction_id", pa.string()), ("time", pa.timestamp("us", tz="UTC")), ("outcome", pa.bool_())]
    return pa.schema([*fields, ("reporter", pa.string())] if with_reporter else fields)


def read(
    dataset: Dataset, start: datetime, end: datetime, at: str | None = None, damaged: set[str] | None = None
) -> "pd.DataFrame":
    """The predictions answered in ``start <= time < end`` (aware datetimes), oldest first; no rows if there are none.

    Columns as in ``schema``; columns that older parts lack are missing. ``at`` is another ROOT. Damaged parts are excluded, and
    their addresses added to ``damaged`` or, without it, to a warning. Raises ChurnError if the store cannot be read.
    """
    return rows_between(PREDICTIONS, schema(dataset), start, end, at or root(), damaged)


def read_feedback(
    start: datetime, end: datetime, at: str | None = None, damaged: set[str] | None = None
) -> "pd.DataFrame":
    """The outcomes reported in ``start <= time < end``, columns as in ``feedback_schema``; see ``read``."""
    return rows_between(FEEDBACK, feedback_schema(), start, end, at or root(), damaged)


def newest(
    dataset: Dataset, rows: int, version: str, end: datetime, at: str | None = None, damaged: set[str] | None = None
) -> "pd.DataFrame":
    """The last ``rows`` predictions by model ``version`` before ``end``, oldest first, or fewer. See ``read``.

    Reads whole days, the newest first, until there are enough rows.
    """
    import pandas as pd
    import pyarrow.dataset

    chunks: list[pd.DataFrame] = []
    for day in sorted(_days(PREDICTIONS, at or root()), reverse=True):
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        if start >= end or sum(map(len, chunks)) >= rows:
            continue
        of_version = pyarrow.dataset.field("model_version") == version
        stop = min(end, start + timedelta(days=1))
        chunks.insert(0, rows_between(PREDICTIONS, schema(dataset), start, stop, at or root(), damaged, of_version))
    return pd.concat(chunks).tail(rows) if chunks else read(dataset, end, end, at)


def rows_by_id(
    ids: Sequence[str], start: datetime, end: datetime, at: str | None = None, damaged: set[str] | None = None
) -> "pd.DataFrame":
    """COLUMNS of the predictions ``ids`` that were answered in ``start <= time < end``; see ``read``."""
    import pyarrow as pa
    from pyarrow import dataset

    wanted = pa.schema(list(zip(COLUMNS, _kinds(), strict=True)))
    with_ids = dataset.field("prediction_id").isin(list(ids))
    return rows_between(PREDICTIONS, wanted, start, end, at or root(), damaged, with_ids)


def versions(start: datetime, end: datetime, at: str | None = None, damaged: set[str] | None = None) -> dict[str, int]:
    """The number of predictions by model version in ``start <= time < end``; see ``read``."""
    import pyarrow as pa

    wanted = pa.schema([("time", _kinds()[1]), ("model_version", pa.string())])
    counts = rows_between(PREDICTIONS, wanted, start, end, at or root(), damaged).model_version.value_counts()
    return {str(version): int(rows) for version, rows in counts.items()}


def _days(kind: str, at: str) -> dict[str, list[str]]:
    """The parts below ROOT ``at``, by day. Raises ChurnError if the store cannot be read."""
    from pyarrow import fs

    store, folder = filesystem(at)
    days: dict[str, list[str]] = defaultdict(list)
    with readable(at, kind):
        infos = store.get_file_info(fs.FileSelector(f"{folder}/{kind}", recursive=True, allow_not_found=True))
    for info in infos:
        if day := _PART.search(info.path):
            days[day[1]].append(info.path)
    return days


def rows_between(
    kind: str,
    wanted: "pyarrow.Schema",
    start: datetime,
    end: datetime,
    at: str,
    damaged: set[str] | None,
    only: Any = None,
) -> "pd.DataFrame":
    """The rows of one ``kind`` of part, with ``wanted`` columns, oldest first; see ``read``. ``only``: an Arrow expression."""
    import pyarrow as pa
    from pyarrow import dataset

    first, last = (moment.astimezone(UTC).date().isoformat() for moment in (start, end))
    parts = sorted(part for day, paths in _days(kind, at).items() if first <= day <= last for part in paths)
    rows = (dataset.field("time") >= start) & (dataset.field("time") < end)
    if only is not None:
        rows &= only
    store = filesystem(at)[0]
    with readable(at, kind), ThreadPoolExecutor(AT_ONCE) as pool:
        read_parts = dict(zip(parts, pool.map(lambda part: _part(store, part, wanted, rows), parts), strict=True))
    harmed = [f"{at}/{part[part.rindex(f'/{kind}/') + 1 :]}" for part, table in read_parts.items() if table is None]
    if damaged is not None:
        damaged.update(harmed)
    elif harmed:
        logger.warning("left out of the prediction log, as damaged: %s", ", ".join(harmed))
    table = pa.concat_tables([wanted.empty_table(), *(table for table in read_parts.values() if table is not None)])
    # A tenth of the memory and time of text.
    levels = [f.name for f in wanted if f.name not in COLUMNS and pa.types.is_string(f.type)]
    return table.sort_by("time").to_pandas(categories=levels)


def _part(store: "FileSystem", path: str, wanted: "pyarrow.Schema", rows: Any) -> "pyarrow.Table | None":
    """The ``rows`` of a part, with columns ``wanted``; None if the part is damaged."""
    import pyarrow as pa
    from pyarrow import dataset, parquet

    with store.open_input_stream(path) as stream:
        content = stream.read()
    checked = dataset.ParquetFragmentScanOptions(page_checksum_verification=True)
    kind = dataset.ParquetFileFormat(default_fragment_scan_options=checked)
    try:
        footer = parquet.read_metadata(pa.BufferReader(content)).serialized_size
        if not checksums.intact(content, footer):
            return None
        return kind.make_fragment(pa.BufferReader(content)).to_table(schema=wanted, filter=rows)
    except (OSError, ValueError, pa.ArrowException):
        return None


@contextmanager
def readable(at: str, kind: str) -> Iterator[None]:
    """What a store below ROOT ``at`` refuses inside is raised as ChurnError."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise ChurnError(
            f"{at}/{kind}: the log cannot be read: {error}. Set CHURNFLOW_PREDICTIONS to the log's folder or s3:// address."
        ) from None


def filesystem(at: str) -> tuple["FileSystem", str]:
    """The store behind a folder or ``s3://bucket/prefix``, and the path in it. The S3 endpoint is AWS_ENDPOINT_URL_S3."""
    from pyarrow import fs

    if not at.startswith("s3://"):
        return fs.LocalFileSystem(), str(Path(at).resolve())
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {"endpoint_override": endpoint} if endpoint else {}
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=2)
    return fs.S3FileSystem(retry_strategy=retries, **_S3_SECONDS, **options), at.removeprefix("s3://").rstrip("/")


def encode(wanted: "pyarrow.Schema", rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Parquet bytes of at least one row, each in the order of ``wanted``; ``time`` is in microseconds since 1970."""
    import pyarrow as pa

    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), wanted, strict=True)]
    return content(pa.Table.from_arrays(columns, schema=wanted))


def content(table: "pyarrow.Table") -> bytes:
    """The bytes of a part, with its checksums."""
    import pyarrow as pa
    from pyarrow import parquet

    out, names = pa.BufferOutputStream(), table.schema.names
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    # Ids and numbers do not repeat, and readers filter by time and version: the rest would take a third of the time for nothing.
    more: Any = {"use_dictionary": text[1:], "write_statistics": [name for name in names if name in COLUMNS[1:3]]}
    parquet.write_table(table, out, compression="zstd", write_page_checksum=True, **more)
    return checksums.sealed(out.getvalue().to_pybytes())


def part_name(kind: str, microseconds: int, name: str = "") -> str:
    """A part's path below ROOT; without a ``name``, it is unique across writers, restarts and times."""
    moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
    name = name or f"{time.time_ns():x}-{os.urandom(4).hex()}"
    return f"{kind}/day={moment:%Y-%m-%d}/part-{moment:%H%M%S%f}-{name}.parquet"


def store(at: str, name: str, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write one part, or what ``content`` writes, below ROOT ``at``: atomically, readable by its owner only. Raises OSError."""
    if at.startswith("s3://"):
        system, folder = filesystem(at)
        # Complete before the upload, which an error would end as if it were.
        with spool.as_file(content) as whole, system.open_output_stream(f"{folder}/{name}") as out:
            shutil.copyfileobj(whole, out, 1 << 20)
        return
    path = Path(at, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".tmp")
    try:
        with open(half, "wb", opener=private) as out:
            content(out) if callable(content) else out.write(content)
            out.flush()
            os.fsync(out.fileno())
        half.rename(path)
    finally:
        half.unlink(missing_ok=True)
