"""One customer in the prediction log, and in the campaigns and outcomes beside it.

These are the rows with the id, keyed or plain, and those whose prediction ids are known, from a list or a run of ScoreFlow,
to be the customer's.
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
from churn.storage.places import Place

if TYPE_CHECKING:
    import pandas as pd


STORE = "prediction log"


def sweep(subject: Subject, remove: bool) -> Iterator[Trace]:
    """Rows of the log, of the campaigns and of the feedback."""
    list(
        written_files.lists(subject, remove=False)
    )  # they say which predictions are the customer's, and are erased after the log
    subject.predictions.update(run_store.predictions(subject))
    place = Place.of(prediction_log.root())
    for kind in (
        prediction_log.PREDICTIONS,
        prediction_log.FEEDBACK,
        campaign_log.CAMPAIGNS,
    ):  # the log may know predictions that outcomes are told of
        for entry in place.entries(f"{kind}/"):
            content = place.read(entry.name)
            if content is None:
                continue
            try:
                rows = subject.parquet_rows(content)
                kept = without(content, rows) if rows.any() else content
            except Unreadable:
                yield damaged_file(STORE, place.at(entry.name))
                continue
            if rows.any():
                own = _rows(content, rows)
                subject.predictions.update(own["prediction_id"])
                if remove and rows.all():
                    place.remove(entry.name)
                elif remove:
                    place.write(entry.name, kept)
                yield Trace(STORE, place.at(entry.name), f"{len(own)} rows", values=rows_as_text(own))


def _rows(content: bytes, rows: np.ndarray) -> "pd.DataFrame":
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(content)).filter(pa.array(rows)).to_pandas()
