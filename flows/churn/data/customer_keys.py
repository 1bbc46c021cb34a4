"""The customer of each row as a 64-bit key: the same for all rows of a customer, whatever the types of the columns.

Text is hashed with pandas' SipHash-2-4 (Aumasson & Bernstein 2012), and everything is mixed with the finaliser of SplitMix64
(Steele et al. 2014): no key depends on other rows, on their order, or on a random state.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from churn.data import casting
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64's increment


def columns(dataset: Dataset) -> list[str]:
    """The columns that ``keys`` reads: the id, and the features, which identify rows without an id."""
    return [*([dataset.id] if dataset.id is not None else []), *dataset.raw]


def keys(table: "pd.DataFrame", name: str | None, features: Iterable[str]) -> np.ndarray:
    """A key for each row, uint64 of shape (n,): a hash of the id ``name`` or, where it is missing, of all ``features``."""
    if name is None or name not in table:
        return _of_cells(table, features)
    texts = casting.as_text(table[name])
    hashed, named = _of_text(texts), texts.notna().to_numpy()
    return hashed if named.all() else np.where(named, hashed, _of_cells(table, features))


def row_keys(table: "pd.DataFrame", dataset: Dataset) -> np.ndarray:
    """A key for each row, as ``keys``; with a time column, a key for each customer at each time."""
    customers = keys(table, dataset.id, dataset.raw)
    if dataset.time is None:
        return customers
    return _mix(customers + table[dataset.time].to_numpy("datetime64[us]").view(np.uint64))


def fractions(keys: np.ndarray, seed: int) -> np.ndarray:
    """A uniform number in [0, 1) for each key, float64 of shape (n,); different seeds give independent numbers."""
    return (_mix(keys + np.uint64((seed + 1) * GOLDEN % 2**64)) >> np.uint64(11)) / 2.0**53


def _of_cells(table: "pd.DataFrame", names: Iterable[str]) -> np.ndarray:
    state = np.zeros(len(table), dtype=np.uint64)
    for name in sorted(names):  # not the table's order, which may change
        state = _mix(state + np.uint64(GOLDEN) + _of_values(table[name]))
    return state


def _of_values(values: "pd.Series") -> np.ndarray:
    """A hash of each value: 17, 17.0 and '17' hash alike, as do all missing values."""
    import pandas as pd

    if values.dtype.kind in "iuf":
        return _of_numbers(values.to_numpy(dtype=np.float64, na_value=np.nan))
    codes, levels = pd.factorize(casting.as_text(values))
    texts = pd.Series(np.asarray(levels, dtype=object), dtype="str")
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    hashed = np.where(np.isfinite(numbers), _of_numbers(numbers), _of_text(texts))
    return np.append(hashed, _of_numbers(np.array([np.nan])))[codes]  # the code of a missing cell is -1


def _of_numbers(numbers: np.ndarray) -> np.ndarray:
    plain = np.where(np.isnan(numbers), np.nan, numbers + 0.0)  # one NaN, one zero
    return _mix(plain.view(np.uint64))


def _of_text(texts: "pd.Series") -> np.ndarray:
    import pandas as pd

    return pd.util.hash_array(texts.astype("str").array, categorize=False)


def _mix(state: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser; multiplication wraps around."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
