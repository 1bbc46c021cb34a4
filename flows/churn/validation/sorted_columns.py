"""The numbers of a table in ascending order: what is asked of them is then looked up, not searched."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Ordered:
    """The numbers of one column that are there, ascending, float64: of customers who stayed and of those who churned."""

    stayed: np.ndarray
    churned: np.ndarray

    @cached_property
    def both(self) -> np.ndarray:
        """All of them, ascending."""
        return np.sort(np.concatenate([self.stayed, self.churned]), kind="stable")  # merges the two


def order(values: "pd.Series", churned: np.ndarray) -> Ordered:
    """A column of numbers in order; ``churned`` is bool of shape (n,)."""
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return Ordered(_ascending(numbers[~churned]), _ascending(numbers[churned]))


def _ascending(numbers: np.ndarray) -> np.ndarray:
    numbers = np.sort(numbers)  # NaN last
    return numbers[: np.searchsorted(numbers, np.nan)]


class Columns:
    """The columns of a table with outcomes ``churned`` as checks, profile and card ask for them; each is worked out once."""

    def __init__(self, frame: "pd.DataFrame", churned: np.ndarray) -> None:
        self._frame, self._churned = frame, churned
        self._ordered: dict[str, Ordered] = {}
        self._counts: dict[str, pd.Series] = {}

    def __getitem__(self, name: str) -> Ordered:
        """A column of numbers in order."""
        if name not in self._ordered:
            self._ordered[name] = order(self._frame[name], self._churned)
        return self._ordered[name]

    def counts(self, name: str) -> "pd.Series":
        """How often each value of another column occurs, the most frequent first."""
        if name not in self._counts:
            found = self._frame[name].value_counts()
            self._counts[name] = found[found > 0]
        return self._counts[name]


def quantiles(present: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles of ascending numbers (at least one), interpolated between neighbours."""
    return np.interp(shares * (len(present) - 1), np.arange(len(present)), present)


def counted(present: np.ndarray, edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """How many of the ascending numbers lie in each bin; a bin holds its upper edge, the outer bins all beyond them."""
    below = np.searchsorted(present, edges[1:-1], side="right")
    return np.diff(below, prepend=0, append=len(present))
