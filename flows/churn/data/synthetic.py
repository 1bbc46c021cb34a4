"""Synthetic customers, generated from the description of a data set, for a first run, for tests and for benchmarks."""

from typing import TYPE_CHECKING

import numpy as np
from churn.errors import ChurnError
from churn.settings.dataset import Column, Dataset
from churn.settings.description import expressions

if TYPE_CHECKING:
    import pandas as pd


def generate(dataset: Dataset, rows: int, seed: int) -> "pd.DataFrame":
    """Generate ``rows`` synthetic customers with the columns of the data set; the same arguments give the same rows.

    Columns with an expression in [synthetic] follow it; the others are drawn independently from their allowed values or range.
    A target without an expression depends on all features, so that there is something to learn.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {}
    for name, text in dataset.synthetic.items():
        try:
            values = expressions.evaluate(text, columns, rng, rows)
        except ValueError as error:  # from numpy, for a negative deviation and the like
            raise ChurnError(f"data set {dataset.name}: generate.{name}: {error}; correct the expression") from None
        if name == dataset.target:
            values = np.where(values.astype(bool), dataset.positive, dataset.negative)
        columns[name] = values
    for name, column in dataset.columns.items():
        if name not in columns and name != dataset.target:
            columns[name] = _independent(column, rows, rng)
    if dataset.target not in columns:
        columns[dataset.target] = _learnable_target(dataset, columns, rng)
    frame = pd.DataFrame({name: _typed(column, columns[name]) for name, column in dataset.columns.items()})
    return frame


def _independent(column: Column, rows: int, rng: np.random.Generator) -> np.ndarray:
    if column.role == "id" or (column.type == "text"):
        numbers = np.arange(1, rows + 1)
        return numbers if column.numeric else np.char.add("C", np.char.zfill(numbers.astype(str), 9)).astype(object)
    if column.numeric:
        low = column.min if column.min is not None else 0.0
        high = column.max if column.max is not None else low + 100.0
        drawn = rng.uniform(low, high, rows)
        values = np.floor(drawn) if column.type == "integer" else drawn
        return np.where(rng.random(rows) < 0.02, np.nan, values) if column.missing else values
    options = np.array(column.values or ("a", "b", "c"), dtype=object)
    values = options[rng.integers(0, len(options), rows)]
    return np.where(rng.random(rows) < 0.02, "", values) if column.missing else values


def _learnable_target(dataset: Dataset, columns: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    score = rng.normal(0, 1, len(next(iter(columns.values()))))
    for name, column in dataset.raw.items():
        values = columns[name] if column.numeric else np.unique(columns[name].astype(str), return_inverse=True)[1]
        values = np.nan_to_num(values.astype(float))
        score += rng.normal(0, 1) * (values - values.mean()) / (values.std() or 1)
    return np.where(score > np.quantile(score, 0.74), dataset.positive, dataset.negative)


def _typed(column: Column, values: np.ndarray) -> "pd.Series":
    import pandas as pd

    if column.type == "integer":
        return pd.Series(values.astype(float)).astype("Int64" if column.missing else "int64")
    if column.type == "number":
        return pd.Series(values.astype(float))
    series: pd.Series = pd.Series(values)
    if values.dtype.kind == "f" and np.all(values[~np.isnan(values)] % 1 == 0):  # options that are numbers
        series = series.astype("Int64")
    text = series.astype("str")
    return text.where(text != "")
