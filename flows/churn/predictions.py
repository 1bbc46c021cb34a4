"""The prediction log: append-only Parquet, one folder per UTC day. The service writes it, monitoring reads it.

``ROOT/predictions/day=2026-11-23/part-*.parquet`` holds one row per answered customer: COLUMNS, then the raw feature
columns under their own names (float64, or text). ``ROOT/feedback/day=.../part-*.parquet`` holds outcomes that became
known later: prediction_id, time, outcome. ROOT is CHURNFLOW_PREDICTIONS (a folder or s3://bucket/prefix).
"""

import os
from typing import TYPE_CHECKING

from churn.dataset import Dataset
from churn.environment import STATE

if TYPE_CHECKING:
    import pyarrow

PREDICTIONS, FEEDBACK = "predictions", "feedback"


def root() -> str:
    """Where the log is: CHURNFLOW_PREDICTIONS, else a folder of the local state."""
    return os.environ.get("CHURNFLOW_PREDICTIONS") or str(STATE / "log")


def schema(dataset: Dataset) -> "pyarrow.Schema":
    """Columns of the prediction log for ``dataset``."""
    import pyarrow as pa

    fixed = [
        ("prediction_id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("model_version", pa.string()),
        ("data_version", pa.string()),
        ("probability", pa.float64()),
        ("decision", pa.bool_()),
    ]
    return pa.schema(fixed + [(name, pa.float64() if c.numeric else pa.string()) for name, c in dataset.raw.items()])


def feedback_schema() -> "pyarrow.Schema":
    """Columns of the outcomes that became known later; ``outcome`` is true if the customer churned."""
    import pyarrow as pa

    return pa.schema([("prediction_id", pa.string()), ("time", pa.timestamp("us", tz="UTC")), ("outcome", pa.bool_())])
