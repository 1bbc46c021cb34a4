"""Baselines for a model to beat: recency alone, and BG/NBD (Fader, Hardie & Lee 2005) where churn is not contractual."""

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.settings.dataset import Dataset
from churn.settings.events.history import BASELINE

if TYPE_CHECKING:
    import pandas as pd

RECENCY, BG_NBD = "recency", "BG/NBD"
WEEK = 7.0
MOST = 20_000  # customers from which the four parameters are estimated
PENALTIES = (0.0, 0.001, 0.01, 0.1)  # the smallest at which the likelihood has a maximum is used


def scores(dataset: Dataset, rows: "pd.DataFrame") -> dict[str, np.ndarray]:
    """Each baseline's score of ``rows``, float64 of shape (n,), higher where churn is likelier.

    Neither sees an outcome. BG/NBD is fitted on what is known about the rows at their own moment, as it would be in use that day;
    it is omitted where its likelihood has no maximum. Empty without events.
    """
    if dataset.label is None or not dataset.tables:
        return {}
    since = rows[BASELINE[0]].to_numpy(np.float64)
    by_baseline = {RECENCY: np.nan_to_num(since, nan=np.nanmax(since, initial=0.0) + 1)}
    if dataset.label.kind == "inactive" and dataset.snapshots is not None and dataset.time is not None:
        times, horizon = rows[dataset.time].to_numpy(), dataset.snapshots.horizon / WEEK
        expected = np.empty(len(rows))
        for moment in np.unique(times):
            at_moment = times == moment
            purchases = _expected(rows[at_moment], horizon)
            if purchases is None:
                return by_baseline
            expected[at_moment] = purchases
        by_baseline[BG_NBD] = -expected
    return by_baseline


def _expected(rows: "pd.DataFrame", weeks: float) -> np.ndarray | None:
    """Purchases that BG/NBD, fitted on these customers of one moment, expects in ``weeks``; None if it cannot be fitted."""
    model = fit(*histories(rows.sample(min(MOST, len(rows)), random_state=0)))
    if model is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = model.conditional_expected_number_of_purchases_up_to_time(weeks, *histories(rows))
    return np.nan_to_num(np.asarray(expected, dtype=np.float64))


def histories(rows: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat purchases (days with one, except the first), and the weeks from the first to the last one and to the snapshot.

    Each is float64 of shape (n,). Without any purchase all are 0.
    """
    last, first, days = (np.nan_to_num(rows[name].to_numpy(np.float64)) for name in BASELINE)
    return np.maximum(days - 1, 0.0), np.where(days > 1, first - last, 0.0) / WEEK, first / WEEK


def fit(frequency: np.ndarray, recency: np.ndarray, age: np.ndarray) -> Any:
    """BG/NBD (by Lifetimes) fitted to ``histories``; None if it cannot be fitted."""
    from lifetimes import BetaGeoFitter
    from lifetimes.utils import ConvergenceError

    logging.getLogger("lifetimes").setLevel(logging.ERROR)
    for penalty in PENALTIES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return BetaGeoFitter(penalizer_coef=penalty).fit(frequency, recency, age)
        except (ConvergenceError, ValueError):
            continue  # a larger penalty keeps the parameters finite
    return None
