"""What a decision is worth: the profit of contacting customers, and the threshold that earns most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.config import Worth
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

POINTS = 101


@dataclass(frozen=True)
class Curve:
    """Profit per customer (of all, in the currency of [value]) when the ``share`` with the highest probabilities is
    contacted; arrays of shape (POINTS,). ``threshold``, ``best_share`` and ``best_profit`` belong to its highest point."""

    share: np.ndarray
    profit: np.ndarray
    threshold: float
    best_share: float
    best_profit: float


def gains(value: Worth, table: "pd.DataFrame", outcome: np.ndarray) -> np.ndarray:
    """Profit of contacting each customer, shape (n,), after Neslin et al. (2006).

    A churner who is contacted stays with ``success_rate`` and then brings the margin less the offer; a customer who
    would have stayed anyway takes the offer; every contact costs ``contact_cost``.
    """
    saved = value.success_rate * (_margin(value, table) - value.offer_cost)
    return np.where(outcome == 1, saved, -value.offer_cost) - value.contact_cost


def expected(value: Worth, raw: Mapping[str, np.ndarray], probability: np.ndarray) -> np.ndarray:
    """Expected profit of contacting each customer, shape (n,): both outcomes of ``gains``, weighted by the probability.

    ``raw`` as ``features.from_rows`` makes it; a customer whose margin is missing has a missing (NaN) profit.
    """
    column = value.margin_column
    margin = raw[column] * value.horizon if column is not None else float(value.margin or 0)
    saved = value.success_rate * (margin - value.offer_cost)
    return probability * saved - (1 - probability) * value.offer_cost - value.contact_cost


def _margin(value: Worth, table: "pd.DataFrame") -> np.ndarray:
    if value.margin_column is None:
        return np.full(len(table), float(value.margin or 0))
    column = table[value.margin_column].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.nan_to_num(column, nan=float(np.nanmedian(column))) * value.horizon


def check(value: Worth | None, numeric: "tuple[str, ...]", dataset: str) -> None:
    """Refuse a margin column that the data set does not have as a number."""
    if value is not None and value.margin_column is not None and value.margin_column not in numeric:
        raise ChurnError(
            f"[value] margin_column '{value.margin_column}' is not a numeric feature of data set '{dataset}'; "
            f"it has {', '.join(numeric)}. Name one of them, or give a fixed 'margin'"
        )


def curve(gain: np.ndarray, probability: np.ndarray) -> Curve:
    """The profit curve of contacting by falling probability. For choosing a threshold, give it out-of-fold probabilities.

    Customers with equal probability are contacted together. If no contact pays, the threshold is 1: nobody is contacted.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, profit = probability[order], np.cumsum(gain[order]) / len(gain)
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    best = ends[np.argmax(profit[ends])]
    share = np.linspace(0, 1, POINTS)
    heights = np.concatenate([[0.0], profit])[np.round(share * len(gain)).astype(int)]
    if profit[best] <= 0:
        return Curve(share, heights, 1.0, 0.0, 0.0)
    return Curve(share, heights, float(ranked[best]), float((best + 1) / len(gain)), float(profit[best]))


def capture(outcome: np.ndarray, probability: np.ndarray, share: float) -> float:
    """The part of all churners that is among the ``share`` of customers with the highest probability."""
    top = np.argsort(-probability, kind="stable")[: max(1, round(share * len(outcome)))]
    return float(outcome[top].sum() / max(outcome.sum(), 1))
