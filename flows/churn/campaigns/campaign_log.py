"""The campaign log: append-only Parquet beside the prediction log, one row for each customer of a campaign.

``ROOT/campaigns/day=.../part-*.parquet``; ids are keyed by CHURNFLOW_ID_KEY, never plain. If a campaign has several rows for
a customer, the first counts: a customer's arm never changes.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.serving import prediction_log
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.storage import keyed_ids

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

CAMPAIGNS = "campaigns"
FINGERPRINT = f"{CAMPAIGNS}/key-fingerprint"  # an HMAC by the key of the ids
CONTACT, CONTROL = "contact", "control"


def log_columns(dataset: Dataset) -> "pyarrow.Schema":
    """Columns of the log; ``share`` is the probability with which the customer was held back; ``uplift`` may be missing."""
    import pyarrow as pa

    words = ("campaign", "dataset", identifier(dataset), "arm", "offer")
    numbers = ("cost", "probability", "share", "uplift")
    texts = ("prediction_id", "model_version", "data_version")
    return pa.schema(
        [
            *((name, pa.string()) for name in words),
            *((name, pa.float64()) for name in numbers),
            ("stratum", pa.int64()),
            *((name, pa.string()) for name in texts),
            ("time", pa.timestamp("us", tz="UTC")),
        ]
    )


def identifier(dataset: Dataset) -> str:
    """The data set's id column. Raises ChurnError if it has none."""
    if dataset.id is None:
        raise ChurnError(
            f"data set {dataset.name}: a campaign must recognise its customers later; say which column identifies them: "
            f'role = "id" in {commands.description(dataset.name)} [columns.NAME]'
        )
    return dataset.id


def secret() -> bytes:
    """The key for the ids.

    Raises ChurnError if there is none, or if the log was written under another one: its customers would not be recognised, and
    would be contacted again.
    """
    key = keyed_ids.key()
    if key is None:
        raise ChurnError(
            f"{keyed_ids.KEY} is not set: the campaign log stores customers' ids hashed with this key, and finds them by it; "
            "set it to the output of: openssl rand -hex 32 - and keep it"
        )
    if _noted_fingerprint() not in ("", _fingerprint(key)):
        raise ChurnError(
            f"{keyed_ids.KEY} is not the key that the campaign log {prediction_log.root()}/{CAMPAIGNS} was written with: its "
            "customers would not be recognised; set the former key, or, if it is lost, move that folder away: its customers "
            "then count as in no campaign"
        )
    return key


def _fingerprint(key: bytes) -> str:
    return keyed_ids.keyed("the key of the campaign log", key)


def _noted_fingerprint() -> str:
    """The fingerprint beside the log; empty if there is none, as in logs of earlier releases."""
    from pyarrow import fs

    at = prediction_log.root()
    with prediction_log.readable(at, CAMPAIGNS):
        store, folder = prediction_log.filesystem(at)
        if store.get_file_info(f"{folder}/{FINGERPRINT}").type == fs.FileType.NotFound:
            return ""
        with store.open_input_stream(f"{folder}/{FINGERPRINT}") as stream:
            return str(stream.read().decode())


def read(dataset: Dataset) -> "pd.DataFrame":
    """All rows of the data set's campaigns, oldest first; text as str.

    Raises ChurnError if a part is damaged: its customers would be assigned again, perhaps to the other arm.
    """
    from pyarrow import dataset as arrow

    wanted, mine = log_columns(dataset), arrow.field("dataset") == dataset.name
    end = datetime.now(UTC) + timedelta(days=1)
    at, damaged = prediction_log.root(), set[str]()
    rows = prediction_log.rows_between(CAMPAIGNS, wanted, datetime(2000, 1, 1, tzinfo=UTC), end, at, damaged, mine)
    if damaged:
        raise ChurnError(
            f"the campaign log is damaged: {', '.join(sorted(damaged))}; restore it from a backup, or move it away; its "
            "customers then count as in no campaign"
        )
    text = [field.name for field in wanted if field.type == wanted.field("arm").type]
    return rows.astype(dict.fromkeys(text, "str")).drop_duplicates(["campaign", identifier(dataset)])


def append(dataset: Dataset, rows: "pd.DataFrame", time: int, campaign: str) -> None:
    """Append ``rows``, with the columns of ``log_columns``, to the log as one part, at ``time`` (microseconds since 1970).

    Raises ChurnError if the log cannot be written.
    """
    import pyarrow as pa

    wanted = log_columns(dataset)
    table = pa.Table.from_pandas(rows.reindex(columns=wanted.names), schema=wanted, preserve_index=False)
    content = prediction_log.content(table)
    name = prediction_log.part_name(CAMPAIGNS, time, f"{campaign}-{os.urandom(4).hex()}")
    try:
        if (key := keyed_ids.key()) is not None and not _noted_fingerprint():
            prediction_log.store(prediction_log.root(), FINGERPRINT, _fingerprint(key).encode())
        prediction_log.store(prediction_log.root(), name, content)
    except OSError as error:
        raise ChurnError(
            f"the campaign log {prediction_log.root()} cannot be written: {error}; correct CHURNFLOW_PREDICTIONS. "
            "Nobody was assigned"
        ) from None
