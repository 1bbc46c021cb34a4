"""The one feature function: raw columns in, model inputs out. Training, scoring and serving all call ``build``."""

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.settings.dataset import Dataset
from churn.settings.description import expressions

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, np.ndarray]


def build(dataset: Dataset, raw: Mapping[str, np.ndarray]) -> Columns:
    """The model inputs of n customers, arrays of shape (n,), in the order ``numeric`` then ``categorical``.

    ``raw`` holds float64 (NaN: missing) and text arrays ("": missing). Numbers are returned as float32, the precision in which
    ONNX Runtime and XGBoost compute, so that training and serving see the same bits; text is returned as object arrays.
    """
    columns = {**raw, **_derived(dataset, raw)}
    return {name: columns[name].astype(np.float32) for name in dataset.numeric} | {
        name: columns[name].astype(object) for name in dataset.categorical
    }


def _derived(dataset: Dataset, raw: Mapping[str, np.ndarray]) -> Columns:
    return {name: expressions.evaluate(feature.expression, raw) for name, feature in dataset.features.items()}


def from_rows(dataset: Dataset, rows: Iterable[Mapping[str, Any]]) -> Columns:
    """The raw columns of customers given as mappings (None: missing), ready for ``build``."""
    rows = list(rows)
    return from_lists(dataset, {name: [row[name] for row in rows] for name in dataset.raw})


def from_lists(dataset: Dataset, values: Mapping[str, list[Any]]) -> Columns:
    """The raw columns of customers given as a list for each column (None: missing), ready for ``build``."""
    columns: Columns = {}
    for name, column in dataset.raw.items():
        if column.numeric:
            columns[name] = np.array(values[name], dtype=np.float64)  # NumPy reads None as NaN
            continue
        given = values[name]
        columns[name] = np.array(["" if v is None else v for v in given] if None in given else given, dtype=object)
    return columns


def from_frame(dataset: Dataset, frame: "pd.DataFrame", only: Container[str] | None = None) -> Columns:
    """The raw columns of a table, or those named in ``only``, ready for ``build``."""
    columns: Columns = {}
    for name, column in dataset.raw.items():
        if only is not None and name not in only:
            continue
        if column.numeric:
            columns[name] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            text = frame[name].astype("category").cat  # one object per level; a missing cell has the code -1
            columns[name] = np.append(text.categories.to_numpy(dtype=object), "")[text.codes.to_numpy()]
    return columns


def frame(dataset: Dataset, table: "pd.DataFrame") -> "pd.DataFrame":
    """The model inputs (see ``build``) of a table, as a frame with the same index."""
    import pandas as pd

    built = build(dataset, from_frame(dataset, table))
    # Text stays object: the encoders compare bytes, and pandas' str type would confuse "" and None.
    series = {name: pd.Series(values, index=table.index, dtype=values.dtype) for name, values in built.items()}
    return pd.DataFrame(series)


def derived(dataset: Dataset, table: "pd.DataFrame") -> "pd.DataFrame":
    """The derived features of a table as ``build`` computes them, with "" as missing, for reading and profiling.

    ``table`` needs the columns ``dataset.used``.
    """
    import pandas as pd

    columns: dict[str, pd.Series] = {}
    for name, values in _derived(dataset, from_frame(dataset, table, dataset.used)).items():
        if dataset.features[name].type == "number":
            columns[name] = pd.Series(values.astype(np.float32))
            continue
        text = pd.Series(values.astype(object)).astype("category")
        columns[name] = text.cat.remove_categories([""]) if "" in text.cat.categories else text
    return pd.DataFrame(columns, index=range(len(table)))


def outcome(dataset: Dataset, table: "pd.DataFrame") -> np.ndarray:
    """1 where the customer churned, else 0; int64 of shape (n,)."""
    return (table[dataset.target] == dataset.positive).to_numpy(dtype=np.int64)
