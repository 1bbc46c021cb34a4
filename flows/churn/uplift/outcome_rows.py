"""Customers with their arm and outcome, from which uplift models learn and on which they are evaluated."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.data import customer_keys, features, split, tables
from churn.settings.data import Split
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

OWN = ("kept", "contacted", "share", "risk")


@dataclass(frozen=True)
class OutcomeRows:
    """n customers of randomised campaigns.

    ``table`` has their raw columns at the assignment; ``kept`` (1: stayed) and ``contacted`` (bool) have shape (n,), as do
    ``share``, the probability of being contacted, ``risk``, the probability of churn predicted then (NaN: none), and
    ``customer``, a key for each.
    """

    table: "pd.DataFrame"
    kept: np.ndarray
    contacted: np.ndarray
    share: np.ndarray
    risk: np.ndarray
    customer: np.ndarray

    def of(self, rows: np.ndarray) -> "OutcomeRows":
        """The customers in ``rows``, bool of shape (n,)."""
        arrays = (self.kept, self.contacted, self.share, self.risk, self.customer)
        return OutcomeRows(self.table[rows].reset_index(drop=True), *(values[rows] for values in arrays))

    def inputs(self, dataset: Dataset) -> "pd.DataFrame":
        """The model inputs (see ``features.frame``)."""
        return features.frame(dataset, self.table)

    def held_out(self, share: float, seed: int) -> np.ndarray:
        """Which customers ``share`` and ``seed`` hold out, bool of shape (n,); depends only on the customer."""
        return split.draw(self.customer, Split(holdout=share, seed=seed))

    def fewest(self) -> int:
        """The number of customers with the rarest combination of arm and outcome."""
        both = self.kept.astype(int) * 2 + self.contacted.astype(int)
        return int(np.bincount(both, minlength=4).min())


def rows_to_bytes(table: "pd.DataFrame", **arrays: np.ndarray) -> bytes:
    """Serialise rows between two steps: the customers' columns, and OWN, each of shape (n,)."""
    return tables.to_bytes(table.assign(**{f"uplift.{name}": arrays[name] for name in OWN}))


def rows_from_bytes(data: bytes, dataset: Dataset) -> OutcomeRows:
    """The rows that ``rows_to_bytes`` wrote."""
    table = tables.from_bytes(data)
    arrays = [table.pop(f"uplift.{name}").to_numpy(dtype=np.float64) for name in OWN]
    customer = customer_keys.keys(table, dataset.id, dataset.raw)
    return OutcomeRows(table, arrays[0].astype(np.int64), arrays[1] > 0, arrays[2], arrays[3], customer)
