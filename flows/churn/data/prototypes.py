"""Prototypes: rows that look like customers but describe no real one, safe to ship with a model.

Microaggregation (Domingo-Ferrer & Mateo-Sanz 2002): each aggregates the GROUP customers nearest to a drawn one, so that
together they are distributed like the customers. Numbers are means; categories are the most frequent level of the group, by
counts with Laplace noise.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import features
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

GROUP = 20  # customers behind a prototype
MOST_ROWS = 20_000  # of the table that is searched for groups
NOISE = 0.5  # scale of the noise on counts


def made(dataset: Dataset, table: "pd.DataFrame", count: int, seed: int) -> list[dict[str, Any]]:
    """At most ``count`` prototypes of the table's customers, as rows of raw columns (None: missing).

    A prototype equal to a customer's row is left out, unless GROUP customers share it and it identifies nobody; if none is
    left, a row with every value missing stands in.
    """
    rng = np.random.default_rng(seed)
    customers = features.from_frame(dataset, table)
    some = rng.permutation(len(table))[:MOST_ROWS]
    raw = {name: values[some] for name, values in customers.items()}
    places = _places(dataset, raw)
    size = min(GROUP, len(some))
    rows = []
    for start in range(min(count, len(some))):
        distance = np.square(places - places[start]).sum(axis=1)
        group = np.argpartition(distance, size - 1)[:size]
        rows.append({name: _aggregate(values[group], rng) for name, values in raw.items()})
    return [row for row in rows if not 0 < _sharing(customers, row) < GROUP] or [dict.fromkeys(dataset.raw)]


def _places(dataset: Dataset, raw: features.Columns) -> np.ndarray:
    """Customers as points: ranks of numbers in [0, 1], 0.5 where missing, and one coordinate for each level."""
    from scipy.stats import rankdata

    parts = []
    for name, column in dataset.raw.items():
        values = raw[name]
        if column.numeric:
            parts.append(np.nan_to_num(rankdata(values, nan_policy="omit") / len(values), nan=0.5)[:, None])
        else:
            levels = np.unique(values)[:100]
            parts.append((values[:, None] == levels) * np.sqrt(0.5))
    return np.hstack(parts).astype(np.float32)


def _aggregate(values: np.ndarray, rng: np.random.Generator) -> Any:
    if values.dtype != object:
        there = values[~np.isnan(values)]
        return float(there.mean()) if 2 * len(there) > len(values) else None
    levels, counts = np.unique(values, return_counts=True)
    return levels[np.argmax(counts + rng.laplace(0, NOISE, len(counts)))] or None


def _sharing(raw: features.Columns, row: dict[str, Any]) -> int:
    """The number of customers with exactly this row."""
    left = np.arange(len(next(iter(raw.values()))))
    for name, cell in row.items():
        values = raw[name][left]
        missing = np.isnan(values) if values.dtype != object else values == ""
        left = left[missing if cell is None else values == cell]
    return len(left)
