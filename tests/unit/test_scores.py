"""Scores agree with scikit-learn's and with figures done by hand; intervals hold what they promise."""

import numpy as np
import pytest
from churn import calibration, scores, value
from churn.config import Worth

RNG = np.random.default_rng(5)
TRUE = RNG.beta(1.2, 3, 3000)
OUTCOME = (RNG.random(3000) < TRUE).astype(int)
TIED = np.round(TRUE, 2)


def test_scores_are_scikit_learns_ties_included() -> None:
    from scipy.stats import ks_2samp
    from sklearn import metrics

    found = scores.evaluate(OUTCOME, TIED, 0.3)
    assert tuple(found) == scores.METRICS
    decided = TIED >= 0.3
    expected = {
        "accuracy": metrics.accuracy_score(OUTCOME, decided),
        "precision": metrics.precision_score(OUTCOME, decided),
        "recall": metrics.recall_score(OUTCOME, decided),
        "f1": metrics.f1_score(OUTCOME, decided),
        "roc_auc": metrics.roc_auc_score(OUTCOME, TIED),
        "pr_auc": metrics.average_precision_score(OUTCOME, TIED),
        "brier": metrics.brier_score_loss(OUTCOME, TIED),
        "log_loss": metrics.log_loss(OUTCOME, TIED),
        "ks": ks_2samp(TIED[OUTCOME == 1], TIED[OUTCOME == 0]).statistic,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_ece_by_hand() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    assert scores.ece(np.array([0, 0, 1, 1]), probability) == pytest.approx(0.05)
    assert scores.ece(np.array([1, 1, 0, 0]), probability) == pytest.approx(0.95)
    assert scores.ece(np.array([1, 1]), np.array([1.0, 1.0])) == 0, "a probability of 1 has a bin"


def test_lift_by_hand() -> None:
    outcome = np.array([1, 1] + [0, 1] * 4 + [0] * 10)
    assert scores.lift(outcome, np.linspace(1, 0, 20), 0.1) == pytest.approx(1 / (6 / 20))


def test_of_equally_good_thresholds_the_one_that_contacts_fewest() -> None:
    thresholds = np.unique(TIED)
    f1 = np.array([scores.evaluate(OUTCOME, TIED, t)["f1"] for t in thresholds])
    chosen = scores.best_f1_threshold(OUTCOME, TIED)
    assert chosen in thresholds
    assert scores.evaluate(OUTCOME, TIED, chosen)["f1"] >= f1.max() - scores.F1_TIE
    assert (f1[thresholds > chosen] < f1.max() - scores.F1_TIE).all()


def test_a_bootstrap_interval_holds_the_score_and_narrows_with_rows() -> None:
    def interval(rows: int) -> tuple[float, float]:
        measure = lambda drawn: {"roc_auc": scores.auc(OUTCOME[:rows][drawn], TRUE[:rows][drawn])}  # noqa: E731
        return scores.bootstrap(OUTCOME[:rows], measure, 200, seed=1)["roc_auc"]

    (low, high), (wide_low, wide_high) = interval(3000), interval(300)
    assert low < scores.auc(OUTCOME, TRUE) < high
    assert wide_high - wide_low > 2 * (high - low)


def test_recalibration_is_used_only_where_it_helps() -> None:
    folds = np.array_split(np.random.default_rng(0).permutation(len(TRUE)), 5)
    assert not calibration.learn(OUTCOME, TRUE, folds).used or calibration.learn(OUTCOME, TRUE, folds).slope == (
        pytest.approx(1, abs=0.15)
    )
    distorted = calibration.recalibrate(TRUE, 2.0, 1.0)
    found = calibration.learn(OUTCOME, distorted, folds)
    assert found.used
    np.testing.assert_allclose((found.slope, found.intercept), (0.5, -0.5), atol=0.1)
    assert scores.ece(OUTCOME, found.apply(distorted)) < 0.03 < scores.ece(OUTCOME, distorted)


def test_recalibration_never_turns_the_order_around() -> None:
    folds = np.array_split(np.arange(len(TRUE)), 5)
    assert not calibration.learn(OUTCOME, 1 - TRUE, folds).used


def _worth(**changed: float) -> Worth:
    return Worth(**{"contact_cost": 10.0, "offer_cost": 50.0, "success_rate": 0.5, "margin": 450.0} | changed)


def test_gains_by_hand() -> None:
    import pandas as pd

    table = pd.DataFrame({"MonthlyCharges": [10.0, 20.0]})
    # A churner: 0.5 x (450 - 50) - 10; one who stays anyway: the offer and the contact are lost.
    assert value.gains(_worth(), table, np.array([1, 0])).tolist() == [190.0, -60.0]
    by_column = Worth(contact_cost=0.0, success_rate=1.0, margin_column="MonthlyCharges", horizon=12.0)
    assert value.gains(by_column, table, np.array([1, 1])).tolist() == [120.0, 240.0]
    assert value.expected(_worth(), table, np.array([1.0, 0.24])).tolist() == pytest.approx([190.0, 0.0])


def test_the_threshold_earns_most_and_is_near_the_break_even_of_honest_probabilities() -> None:
    gain = np.where(OUTCOME == 1, 190.0, -60.0)
    found = value.curve(gain, TRUE)
    profits = [np.where(t <= TRUE, gain, 0).mean() for t in np.linspace(0, 1, 201)]
    assert found.best_profit >= max(profits)
    assert found.best_profit == pytest.approx(np.where(found.threshold <= TRUE, gain, 0).mean())
    assert found.threshold == pytest.approx(60 / 250, abs=0.06)
    assert found.best_share == pytest.approx(np.mean(found.threshold <= TRUE))


def test_if_no_contact_pays_nobody_is_contacted() -> None:
    found = value.curve(np.full(len(TRUE), -1.0), TRUE)
    assert (found.threshold, found.best_share, found.best_profit) == (1.0, 0.0, 0.0)
