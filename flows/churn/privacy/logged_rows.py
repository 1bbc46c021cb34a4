"""One customer in the prediction log, and in the campaigns and outcomes beside it.

These are the rows with the id, keyed or plain, and those whose prediction ids belong to the customer according to a list or a
run of ScoreFlow.
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from churn.campaigns import campaign_log
from churn.privacy import run_store, written_files
from churn.privacy.subject import Subject, Unreadable, without
from churn.privacy.trace import Trace, damaged_file, rows_as_text
from churn.serving import prediction_log
from churn.storage import keyed_table
from churn.storage.places import Place

if TYPE_CHECKING:
    import pandas as pd


STORE, FEATURES = "prediction log", "newest features"


def sweep(subject: Subject, remove: bool) -> Iterator[Trace]:
    """The customer's rows in the log, the campaigns and the feedback."""
    # Lists tell which predictions are the customer's, so they are erased after the log.
    list(written_files.lists(subject, remove=False))
    subject.predictions.update(run_store.predictions(subject))
    place = Place.of(prediction_log.root())
    # The log first: it may reveal predictions to which outcomes refer.
    for kind in (prediction_log.PREDICTIONS, prediction_log.FEEDBACK, campaign_log.CAMPAIGNS):
        for entry in place.entries(f"{kind}/"):
            content = place.read(entry.name)
            if content is None or entry.name == campaign_log.FINGERPRINT:
                continue
            try:
                rows = subject.parquet_rows(content)
                kept = without(content, rows) if rows.any() else content
            except Unreadable:
                yield damaged_file(STORE, place.at(entry.name))
                continue
            if rows.any():
                matching = _rows(content, rows)
                subject.predictions.update(matching["prediction_id"])
                if remove and rows.all():
                    place.remove(entry.name)
                elif remove:
                    place.write(entry.name, kept)
                yield Trace(STORE, place.at(entry.name), f"{len(matching)} rows", values=rows_as_text(matching))


def newest_features(subject: Subject, remove: bool) -> Iterator[Trace]:
    """The customer's newest features, which the service looks up by id."""
    import pyarrow as pa

    if subject.keyed is None:
        return
    place = Place.of(prediction_log.root())
    for entry in place.entries(f"{keyed_table.FOLDER}/"):
        content = place.read(entry.name)
        if content is None:
            continue
        try:
            kept = keyed_table.without_customer(content, subject.keyed)
        except (OSError, KeyError, pa.ArrowException):
            yield damaged_file(FEATURES, place.at(entry.name))
            continue
        if kept is not None:
            if remove:
                place.write(entry.name, kept)
            yield Trace(FEATURES, place.at(entry.name), "1 row")


def _rows(content: bytes, rows: np.ndarray) -> "pd.DataFrame":
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(content)).filter(pa.array(rows)).to_pandas()
