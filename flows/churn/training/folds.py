"""The cross-validation folds of the training rows, shared by search, blend, calibration and threshold."""

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from churn.data import customer_keys, features, split
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.train import Search

if TYPE_CHECKING:
    import pandas as pd


class Places(NamedTuple):
    """One fold: the positions of the rows to fit on and of the rows to test on, ascending."""

    fit: np.ndarray
    test: np.ndarray


Masks = list[tuple[np.ndarray, np.ndarray]]  # folds as bool arrays of shape (n,)


def folds(search: Search, dataset: Dataset, train: "pd.DataFrame") -> list[Places]:
    """Split ``train`` into ``search.folds`` folds, stratified by whether a customer ever churned.

    No customer (see ``customer_keys``) is on both sides of a fold. With a time column, every fold is fitted on earlier rows than
    it tests on, so no fold tests on the earliest rows. Snapshots are also separated by the embargo; if the training snapshots
    are too close together for that, only the customers differ. Above ``search.rows`` rows, a sample of customers is used.

    Raises:
        ChurnError: A fold would have rows of one outcome only.
    """
    outcome = features.outcome(dataset, train)
    customer = customer_keys.keys(train, dataset.id, dataset.raw)
    number = _numbers(customer, outcome, search, dataset)
    masks: Masks | None = None
    if dataset.time is not None:
        timestamps = train[dataset.time]
        times = timestamps.fillna(timestamps.min()).to_numpy(
            "datetime64[us]"
        )  # a missing time counts as earliest, as in ``split``
        if dataset.snapshots is None:
            masks = _blocks(times, customer, outcome, search.folds)
        masks = masks or _crossed(times, number, outcome, search.folds, dataset.embargo)
    masks = masks or [(number != k, number == k) for k in range(search.folds)]
    for fit, test in masks:
        for rows in (fit, test):
            if len(np.unique(outcome[rows])) < 2:
                raise _refused(search, dataset, f"a fold would hold {rows.sum()} rows without both outcomes")
    kept = _sampled(customer, search)
    return [Places(np.flatnonzero(fit & kept), np.flatnonzero(test & kept)) for fit, test in masks]


def _sampled(customer: np.ndarray, search: Search) -> np.ndarray:
    """The rows of as many customers, drawn by the seed, as ``search.rows`` allows; bool of shape (n,)."""
    if not search.rows or len(customer) <= search.rows:
        return np.ones(len(customer), dtype=bool)
    codes = np.unique(customer, return_inverse=True)[1]
    chance = np.random.default_rng(search.seed).random(int(codes.max()) + 1)
    return (chance < search.rows / len(customer))[codes]


def _numbers(customer: np.ndarray, outcome: np.ndarray, search: Search, dataset: Dataset) -> np.ndarray:
    """The fold, 0 to ``search.folds`` - 1, that tests on the customer of each row."""
    import pandas as pd
    from sklearn.model_selection import StratifiedKFold

    codes, _ = pd.factorize(customer)
    ever = np.bincount(codes, outcome) > 0
    if max(ever.sum(), (~ever).sum()) < search.folds:
        raise _refused(search, dataset, f"there are {len(ever)} customers to train on")
    number = np.empty(len(ever), dtype=np.int64)
    splitter = StratifiedKFold(search.folds, shuffle=True, random_state=search.seed)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # warns of few customers with one outcome: ``folds`` checks the rows itself
        for k, (_, tested) in enumerate(splitter.split(ever, ever)):
            number[tested] = k
    return number[codes]


def _blocks(times: np.ndarray, customer: np.ndarray, outcome: np.ndarray, folds: int) -> Masks | None:
    """Folds forward in time: each tests on the next block and is fitted on everything before it, without the block's customers.

    The blocks hold equal numbers of rows with the rarer outcome. None if there are too few points in time, or if customers
    recur (see ``split.forward``), which would leave few rows.
    """
    edges = np.unique(_quantiles(times, outcome, np.arange(1, folds + 1) / (folds + 1)))
    if len(edges) < folds or edges[0] == times.min():
        return None
    masks, earlier = [], 0
    for start, end in zip(edges, [*edges[1:], np.datetime64("9999")], strict=True):
        test = (times >= start) & (times < end)
        masks.append(((times < start) & ~split.among(customer, customer[test]), test))
        earlier += int((times < start).sum())
    kept = sum(int(fit.sum()) for fit, _ in masks)
    return masks if kept >= (1 - split.STAYING) * earlier else None


def _crossed(times: np.ndarray, number: np.ndarray, outcome: np.ndarray, folds: int, embargo: int = 0) -> Masks | None:
    """Folds by customer and time.

    Each tests on its customers' later rows and is fitted on the other customers' rows that are earlier by at least the
    ``embargo`` (days). None if all rows have the same time, or times closer together than the embargo.
    """
    gap = np.timedelta64(embargo, "D")
    start = max(_quantiles(times, outcome, np.array([0.5]))[0], np.unique(times)[:2][-1], times.min() + gap)
    early, late = (times + gap <= start if embargo else times < start), times >= start
    if late.all() or not late.any():
        return None
    return [(early & (number != k), late & (number == k)) for k in range(folds)]


def _quantiles(times: np.ndarray, outcome: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The times up to which the given shares of the rows with the rarer outcome lie."""
    rarer = times[outcome == int(outcome.mean() < 0.5)]
    return np.quantile(rarer.view(np.int64), shares, method="higher").view(times.dtype)


def _refused(search: Search, dataset: Dataset, why: str) -> ChurnError:
    ways = ["lower it"] if search.folds > 2 else []
    ways.append("give more rows")
    if dataset.time is not None:
        ways.append(f"change the role of '{dataset.time}'")
    if dataset.id is None:
        ways.append(
            "give the column that identifies customers the role 'id': without one, equal rows count as one customer"
        )
    return ChurnError(f"{commands.settings('train.toml')} [search] folds = {search.folds}: {why}; {', or '.join(ways)}")
