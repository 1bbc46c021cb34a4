"""The one feature function: raw columns in, model inputs out. Training, scoring and serving all call ``build``."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import expressions
from churn.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, np.ndarray]


def build(dataset: Dataset, raw: Mapping[str, np.ndarray]) -> Columns:
    """Model inputs of n customers, each an array of shape (n,), in the order ``numeric`` then ``categorical``.

    ``raw`` holds float64 (NaN: missing) and text arrays ("": missing). Numbers leave as float32, the precision that
    ONNX Runtime and XGBoost compute in, so that every path sees the same bits; text leaves as object arrays.
    """
    columns: Columns = dict(raw)
    for name, feature in dataset.features.items():
        columns[name] = expressions.evaluate(feature.expression, raw)
    return {name: columns[name].astype(np.float32) for name in dataset.numeric} | {
        name: columns[name].astype(object) for name in dataset.categorical
    }


def from_rows(dataset: Dataset, rows: Iterable[Mapping[str, Any]]) -> Columns:
    """Raw columns of customers given as mappings (None: missing), ready for ``build``."""
    rows = list(rows)
    columns: Columns = {}
    for name, column in dataset.raw.items():
        values = [row[name] for row in rows]
        if column.numeric:
            columns[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        else:
            columns[name] = np.array(["" if v is None else v for v in values], dtype=object)
    return columns


def from_frame(dataset: Dataset, frame: "pd.DataFrame") -> Columns:
    """Raw columns of a table (rows in order), ready for ``build``."""
    columns: Columns = {}
    for name, column in dataset.raw.items():
        if column.numeric:
            columns[name] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            columns[name] = frame[name].astype(object).where(frame[name].notna(), "").to_numpy(dtype=object)
    return columns


def frame(dataset: Dataset, table: "pd.DataFrame") -> "pd.DataFrame":
    """``build`` for a table: a frame of model inputs with the table's index."""
    import pandas as pd

    built = build(dataset, from_frame(dataset, table))
    # Text stays object: the encoders compare bytes, and pandas' str type would turn "" and None into one another.
    series = {name: pd.Series(values, index=table.index, dtype=values.dtype) for name, values in built.items()}
    return pd.DataFrame(series)


def derived(dataset: Dataset, table: "pd.DataFrame") -> "pd.DataFrame":
    """The derived features of a table (rows in order, "" made missing), for people and for the profile."""
    found = frame(dataset, table)[list(dataset.features)].reset_index(drop=True)
    texts = {name: found[name].astype("category") for name, f in dataset.features.items() if f.type == "category"}
    return found.assign(**{name: text.cat.remove_categories([""]) if "" in text.cat.categories else text
                           for name, text in texts.items()})  # fmt: skip
