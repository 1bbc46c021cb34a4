"""Nothing of the future reaches a feature, a fold or the holdout; and where there is nothing to learn, nothing is learned."""

from datetime import datetime
from pathlib import Path
from typing import Any

import events
import numpy as np
import pandas as pd
import pytest
from churn.data import customer_keys, features, split, tables
from churn.data.events import engine, staging, synthetic
from churn.settings import core
from churn.settings.data import Split
from churn.settings.dataset import Dataset
from churn.settings.train import Family, Search
from churn.training import estimators, folds, metrics
from conftest import ROOT
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

MOMENT = datetime(2024, 2, 29)
ONE = events.TABLES.replace("dates = [2024-01-31, 2024-02-29, 2024-03-31T12:00:00]", "dates = [2024-02-29]")
KINDS = st.tuples(st.sampled_from(sorted(events.LABELS)), st.sampled_from(sorted(events.POPULATIONS)))
QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": (Phase.explicit, Phase.generate)}


def _seen(row: events.Row) -> bool:
    """Whether a row of either table had happened and was known at MOMENT."""
    return max(row.get("at", row.get("begins")), row.get("seen", datetime.min)) <= MOMENT


def _features(dataset: Dataset, purchases: list[events.Row], contracts: list[events.Row]) -> pd.DataFrame:
    return events.made(dataset, purchases=purchases, contracts=contracts).drop(columns="churned")


def _same_past(kinds: Any, now: Any, other: Any) -> None:
    """The logs ``now`` with the rows that were not seen at MOMENT exchanged for those of ``other``."""
    place = events.described(*kinds, 0)
    dataset = place.model_copy(
        update={"snapshots": place.snapshots.model_copy(update={"dates": (MOMENT.isoformat(),)})}
    )  # type: ignore[union-attr]
    anchor = {
        "customer": "b",
        "at": datetime(2024, 5, 20),
        "seen": datetime(2024, 5, 20),
        "amount": 1.0,
        "kind": "a",
    }  # the logs go on
    past = [[row for row in rows if _seen(row)] for rows in now]
    future = [[row for row in rows if not _seen(row)] for rows in (*now, *other)]
    first = _features(dataset, [*past[0], *future[0], anchor], [*past[1], *future[1]])
    second = _features(dataset, [*future[2], *past[0], anchor], [*future[3], *past[1]])
    events_same(first, second)


def events_same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(first, second, rtol=1e-9, atol=1e-9)


LOGS = st.tuples(events.purchases(), events.contracts())


@given(KINDS, LOGS, LOGS)
@settings(max_examples=8, **QUICK)
def test_what_happens_or_becomes_known_later_changes_no_feature(kinds: Any, now: Any, other: Any) -> None:
    _same_past(kinds, now, other)


@pytest.mark.slow
@given(KINDS, LOGS, LOGS)
@settings(max_examples=500, **QUICK)
def test_what_happens_or_becomes_known_later_changes_no_feature_of_500_logs(kinds: Any, now: Any, other: Any) -> None:
    _same_past(kinds, now, other)


def test_a_late_row_counts_from_when_it_was_known() -> None:
    dataset = events.described("inactive", "ever", 0)
    first = {"customer": "b", "at": datetime(2024, 1, 1), "seen": datetime(2024, 1, 1), "amount": 1.0, "kind": "a"}
    late = {**first, "at": datetime(2024, 1, 31), "seen": datetime(2024, 2, 10)}
    end = {**first, "at": datetime(2024, 5, 20), "seen": datetime(2024, 5, 20)}
    found = events.made(dataset, purchases=[first, late, end], contracts=[]).set_index("snapshot")["n_30d"]
    assert found[datetime(2024, 1, 31)] == 0, "it was not known"
    assert found[datetime(2024, 2, 29)] == 1, "29 days ago"


def _panel(rng: np.random.Generator, customers: int, months: int, embargo: int) -> tuple[Dataset, pd.DataFrame]:
    """Customers at monthly snapshots whose outcome is a coin of their own that never changes, so that any other row of theirs
    tells it; ``fingerprint`` is unlike any other customer's."""
    place = events.described(
        "inactive", "ever", 0, '[aggregates.fingerprint]\ntable = "purchases"\nwhat = "max"\ncolumn = "amount"'
    )
    dataset = place.model_copy(update={"snapshots": place.snapshots.model_copy(update={"horizon": embargo})})  # type: ignore[union-attr]
    moments = pd.date_range("2023-01-31", periods=months, freq="ME").as_unit("us")
    who = np.tile(np.arange(customers), months)
    coin = rng.random(customers) < 0.5
    table = pd.DataFrame(
        {
            "customer": np.char.mod("%d", who),
            "snapshot": np.repeat(moments, customers),
            "fingerprint": rng.random(customers)[who],
        }
    )
    return dataset, table.assign(
        churned=np.where(coin[who], "Yes", "No"), since_last_event=0.0, since_first_event=0.0, active_days=1.0
    )


def _score(dataset: Dataset, table: pd.DataFrame, fit: np.ndarray, test: np.ndarray) -> float:
    outcome, column = features.outcome(dataset, table), table[["fingerprint"]].to_numpy()
    model = DecisionTreeClassifier(random_state=0).fit(column[fit], outcome[fit])
    return float(roc_auc_score(outcome[test], model.predict_proba(column[test])[:, 1]))


def test_the_label_of_another_snapshot_gains_nothing_on_the_holdout_or_in_a_fold() -> None:
    dataset, table = _panel(np.random.default_rng(0), 600, 12, 61)
    sides = split.sides(table, dataset, Split())
    fit, test = np.flatnonzero(sides == split.TRAIN), np.flatnonzero(sides == split.HOLDOUT)
    mixed = np.random.default_rng(1).permutation(len(table))
    assert _score(dataset, table, mixed[2000:], mixed[:2000]) > 0.9, "a split of rows would have let it in"
    assert abs(_score(dataset, table, fit, test) - 0.5) < 0.15  # 120 customers: three standard errors
    train = table[sides == split.TRAIN].reset_index(drop=True)
    found = [_score(dataset, train, *one) for one in folds.folds(Search(folds=3), dataset, train)]
    assert abs(np.mean(found) - 0.5) < 0.08  # 480 customers: three standard errors


def test_training_outcomes_are_known_before_the_holdout_and_folds_keep_the_embargo() -> None:
    dataset, table = _panel(np.random.default_rng(0), 400, 12, 61)
    sides = split.sides(table, dataset, Split())
    train, holdout = table[sides == split.TRAIN].reset_index(drop=True), table[sides == split.HOLDOUT]
    gap = pd.Timedelta(days=dataset.embargo)
    assert holdout["snapshot"].nunique() == 1
    assert train["snapshot"].max() + gap <= holdout["snapshot"].min()
    assert not set(train["customer"]) & set(holdout["customer"])
    assert train["snapshot"].nunique() == 10, "and no more is left out than that"
    for fit, test in folds.folds(Search(folds=4), dataset, train):
        assert train["snapshot"][fit].max() + gap <= train["snapshot"][test].min()
        assert not set(train["customer"][fit]) & set(train["customer"][test])


def test_a_description_may_hold_out_more_of_its_customers() -> None:
    dataset, table = _panel(np.random.default_rng(0), 400, 12, 61)
    half = dataset.model_copy(update={"snapshots": dataset.snapshots.model_copy(update={"holdout_share": 0.5})})  # type: ignore[union-attr]
    usual, more = (split.sides(table, one, Split()) == split.HOLDOUT for one in (dataset, half))
    assert usual.sum() == pytest.approx(0.2 * 400, abs=4 * np.sqrt(0.2 * 0.8 * 400))
    assert more.sum() == pytest.approx(0.5 * 400, abs=4 * np.sqrt(0.25 * 400))
    same = split.sides(table, dataset, Split(holdout=0.5))
    assert (split.sides(table, half, Split()) == same).all(), "the description goes before data.toml"


def test_snapshots_too_near_for_an_embargo_are_refused_with_the_way_out() -> None:
    dataset, table = _panel(np.random.default_rng(0), 200, 3, 181)
    with pytest.raises(
        events.ChurnError, match=r"no snapshot lies 181 days .* needs earlier ones, or a shorter horizon"
    ):
        split.sides(table, dataset, Split())


def test_a_log_without_signal_is_a_coin_and_one_with_it_is_not() -> None:
    found = {}
    for signal in (False, True):
        log = synthetic.generate(1200, 5, signal)
        rows = [(i, day) for day in range(120, 420, 60) for i in np.flatnonzero(~np.isnan(log.hazard[:, day]))]
        tickets = log.tables["tickets"]
        days = (tickets["at"] - pd.Timestamp(synthetic.START)).dt.days.to_numpy()
        who = tickets["customer_id"].astype(int).to_numpy()
        gone = np.array([np.isnan(log.hazard[i, day : day + 60]).any() for i, day in rows])
        recent = np.array([((who == i) & (days <= day) & (days > day - 30)).sum() for i, day in rows])
        found[signal] = roc_auc_score(gone, recent)
    assert abs(found[False] - 0.5) < 0.06
    assert found[True] > 0.58


def _out_of_fold(tmp_path: Path, signal: bool, family: Family) -> float:
    """ROC-AUC of a family on the later customers of a synthetic shop, less 0.5, in standard errors."""
    for name, rows in synthetic.generate(3000, 5, signal).tables.items():
        rows.to_parquet(tmp_path / f"{name}.parquet")
    shop = core.load(Dataset, ROOT / "config" / "datasets" / "shop.toml")
    table = tables.typed(engine.customers(shop, staging.given(shop, str(tmp_path))).table, shop)
    table = table.dropna(subset="churned").reset_index(drop=True)
    outcome, inputs = features.outcome(shop, table), features.frame(shop, table)
    score = np.full(len(table), np.nan)
    for fit, test in folds.folds(Search(folds=3), shop, table):
        model = estimators.build_pipeline(family, shop, 0, {}).fit(inputs.iloc[fit], outcome[fit])
        score[test] = model.predict_proba(inputs.iloc[test])[:, 1]
    own = ~np.isnan(score)
    customer = customer_keys.keys(table, shop.id, shop.raw)[own]
    error = metrics.auc_error(outcome[own], score[own], customer)
    return (metrics.auc(outcome[own], score[own]) - 0.5) / error


@pytest.mark.parametrize("family", [
    Family(name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True),
    Family(name="boosted", estimator="lightgbm.LGBMClassifier", fixed={"n_estimators": 60, "n_jobs": 1, "verbose": -1}),
], ids=lambda one: one.name)  # fmt: skip
def test_no_family_learns_from_events_without_signal(tmp_path: Path, family: Family) -> None:
    assert abs(_out_of_fold(tmp_path, False, family)) < 3
    assert _out_of_fold(tmp_path, True, family) > 6


def test_a_customers_key_is_the_same_at_every_snapshot() -> None:
    dataset, table = _panel(np.random.default_rng(0), 50, 3, 61)
    keys = customer_keys.keys(table, dataset.id, dataset.raw)
    assert len(np.unique(keys)) == 50
