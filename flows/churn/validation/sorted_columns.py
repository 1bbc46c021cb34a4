"""The numeric columns of a table, sorted once: quantiles and counts are then lookups."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SortedColumn:
    """One column's numbers without missing ones, ascending float64: of customers who stayed, and of those who churned."""

    stayed: np.ndarray
    churned: np.ndarray

    @cached_property
    def both(self) -> np.ndarray:
        """The numbers of all customers, ascending."""
        return np.sort(np.concatenate([self.stayed, self.churned]), kind="stable")  # timsort merges the two


def sort_column(values: "pd.Series", churned: np.ndarray) -> SortedColumn:
    """Sort a column of n numbers; ``churned`` is bool of shape (n,)."""
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return SortedColumn(_ascending(numbers[~churned]), _ascending(numbers[churned]))


def _ascending(numbers: np.ndarray) -> np.ndarray:
    numbers = np.sort(numbers)  # NaN last
    return numbers[: np.searchsorted(numbers, np.nan)]


class SortedColumns:
    """A table's columns for checks, profile and card; each is sorted or counted once, on first use."""

    def __init__(self, frame: "pd.DataFrame", churned: np.ndarray) -> None:
        """``frame`` has n rows, ``churned`` (bool, shape (n,)) is their outcome."""
        self._frame, self._churned = frame, churned
        self._sorted: dict[str, SortedColumn] = {}
        self._counts: dict[str, pd.Series] = {}

    def __getitem__(self, name: str) -> SortedColumn:
        """A numeric column, sorted."""
        if name not in self._sorted:
            self._sorted[name] = sort_column(self._frame[name], self._churned)
        return self._sorted[name]

    def counts(self, name: str) -> "pd.Series":
        """The value frequencies of any other column, most frequent first."""
        if name not in self._counts:
            counts = self._frame[name].value_counts()
            self._counts[name] = counts[counts > 0]
        return self._counts[name]


def quantiles(present: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The quantiles of ascending numbers (at least one) at ``shares``, interpolated linearly."""
    return np.interp(shares * (len(present) - 1), np.arange(len(present)), present)


def histogram(present: np.ndarray, edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """The count of ascending numbers in each bin; bins include their upper edge, and the outer bins everything beyond."""
    below = np.searchsorted(present, edges[1:-1], side="right")
    return np.diff(below, prepend=0, append=len(present))
