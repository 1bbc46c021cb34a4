"""A panel without signal scores 0.5: no customer is on both sides of a fold, and no fold looks into its future."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from churn.data import casting, features
from churn.errors import ChurnError
from churn.settings.core import parse
from churn.settings.dataset import Dataset
from churn.settings.train import Family, Search
from churn.training import folds, hyperparameter_search, metrics, selection

SEARCH = Search(folds=4)
FOREST = Family(
    name="forest",
    estimator="sklearn.ensemble.RandomForestClassifier",
    iterations=1,
    impute=True,
    fixed={"n_estimators": 15, "n_jobs": 1},
)
NEAREST = Family(
    name="nearest", estimator="sklearn.neighbors.KNeighborsClassifier", iterations=1, impute=True, scale=True
)
ROLES = {"customer": 'role = "id"\ntype = "integer"', "at": 'role = "time"\ntype = "timestamp"'}


def _described(*kept: str) -> Dataset:
    columns = "".join(f"[columns.{name}]\n{ROLES[name]}\n" for name in kept)
    features = "".join(f'[columns.x{i}]\ntype = "number"\n' for i in range(4))
    target = '[columns.left]\nrole = "target"\nvalues = ["no", "yes"]\npositive = "yes"\n'
    return parse(Dataset, f'name = "panel"\n{columns}{features}{target}', "panel.toml")


def _panel(customers: int, rows: int) -> pd.DataFrame:
    """Each customer in ``rows`` months, with features and outcome that never change and nothing to do with one another."""
    rng = np.random.default_rng(3)
    who = np.repeat(np.arange(customers), rows)
    months = pd.date_range("2024-01-01", periods=rows + 6, freq="MS")
    first = rng.integers(0, 6, customers)
    table = {"customer": who, "at": months[first[who] + np.tile(np.arange(rows), customers)]}
    table |= {f"x{i}": rng.normal(size=customers)[who] for i in range(4)}
    return pd.DataFrame({**table, "left": np.where(rng.random(customers) < 0.3, "yes", "no")[who]}).sample(
        frac=1, random_state=0, ignore_index=True
    )


@pytest.mark.parametrize("kept", [(), ("customer",), ("at",), ("customer", "at")], ids=lambda kept: " and ".join(kept))
def test_a_panel_without_signal_says_so_on_the_leaderboard(kept: tuple[str, ...]) -> None:
    dataset = _described(*kept)
    train = casting.cast(_panel(300, 6), dataset)[0]
    board = selection.board(
        [hyperparameter_search.tune(f, SEARCH, dataset, train) for f in (FOREST, NEAREST)], SEARCH, dataset, train
    )
    for candidate in board:
        assert candidate.best.scores["roc_auc"] == pytest.approx(0.5, abs=0.1), candidate.family.name
    chosen = selection.finalize(board[0], SEARCH, dataset, train, None)
    unseen, outcome = board[0].unseen, features.outcome(dataset, train)
    tested = np.isfinite(unseen)
    assert tested.mean() > 0.4
    calibrated = chosen.calibration.apply(unseen[tested])
    assert chosen.threshold == metrics.best_f1_threshold(outcome[tested], calibrated)


@pytest.mark.parametrize("kept", [("customer",), ("customer", "at")], ids=lambda kept: " and ".join(kept))
def test_no_customer_is_on_both_sides_and_time_goes_forward(kept: tuple[str, ...]) -> None:
    dataset = _described(*kept)
    train = casting.cast(_panel(200, 5), dataset)[0]
    found = folds.folds(SEARCH, dataset, train)
    assert len(found) == 4
    for fit, test in found:
        assert not set(train.customer[fit]) & set(train.customer[test])
        if "at" in kept:
            assert train["at"][fit].max() < train["at"][test].min()
    places = np.concatenate([test for _, test in found])
    assert len(places) == len(set(places.tolist())), "a row is tested once"


def test_where_nobody_comes_twice_each_block_is_tested_by_all_that_came_before(timed: Dataset) -> None:
    train = _moments(timed, lambda rng: rng.integers(0, 500, 600))
    found = folds.folds(SEARCH, timed, train)
    moments = train["at"].to_numpy()
    for k, (fit, test) in enumerate(found):
        assert moments[fit].max() < moments[test].min()
        assert len(fit) == (moments < moments[test].min()).sum(), "nothing that came before is left out"
        if k:
            assert moments[test].min() > moments[found[k - 1].test].max()
    churned = [features.outcome(timed, train)[test].sum() for _, test in found]
    assert max(churned) - min(churned) <= 3, "the blocks are stratified, in time"


@pytest.mark.parametrize("moments", [1, 2, 3])
def test_a_few_moments_are_enough(timed: Dataset, moments: int) -> None:
    train = _moments(timed, lambda rng: rng.integers(0, moments, 600))
    found = folds.folds(SEARCH, timed, train)
    assert len(found) == 4
    for fit, test in found:
        assert moments == 1 or train["at"][fit].max() < train["at"][test].min()


def _moments(timed: Dataset, days: Callable[[np.random.Generator], np.ndarray]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    at = pd.Timestamp("2025-01-01") + pd.to_timedelta(days(rng), unit="D")
    left = (rng.random(600) < 0.1).astype(int)
    table = {"customer": np.arange(600), "at": at, "x": rng.normal(size=600), "left": left}
    return casting.cast(pd.DataFrame(table), timed)[0]


def test_too_few_customers_or_outcomes_are_one_clear_refusal(timed: Dataset) -> None:
    dataset = _described("customer")
    train = casting.cast(_panel(300, 2), dataset)[0]
    with pytest.raises(ChurnError, match=r"config/train.toml \[search\] folds = 40: .*; lower it, or give more rows"):
        folds.folds(Search(folds=40), dataset, train[train.customer < 35])
    one = train.left.where(train.customer == train.customer[train.left == "yes"].iloc[0], "no")
    with pytest.raises(ChurnError, match=r"a fold would hold \d+ rows without both outcomes"):
        folds.folds(SEARCH, dataset, train.assign(left=one))
    late = _moments(timed, lambda rng: np.sort(rng.integers(0, 500, 600)))
    late["left"] = np.where(np.arange(600) > 500, "1", "0")
    with pytest.raises(ChurnError, match="change the role of 'at'"):
        folds.folds(SEARCH, timed, late)
