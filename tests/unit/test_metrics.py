"""Scores agree with scikit-learn's and with figures done by hand; intervals hold what they promise."""

import numpy as np
import pytest
from churn.settings.train import METRICS
from churn.training import calibration, metrics

RNG = np.random.default_rng(5)
TRUE = RNG.beta(1.2, 3, 3000)
OUTCOME = (RNG.random(3000) < TRUE).astype(int)
TIED = np.round(TRUE, 2)


def test_scores_are_scikit_learns_ties_included() -> None:
    from scipy.stats import ks_2samp
    from sklearn import metrics as sklearn_metrics

    found = metrics.scores_at(OUTCOME, TIED, 0.3)
    assert tuple(found) == METRICS
    decided = TIED >= 0.3
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(OUTCOME, decided),
        "precision": sklearn_metrics.precision_score(OUTCOME, decided),
        "recall": sklearn_metrics.recall_score(OUTCOME, decided),
        "f1": sklearn_metrics.f1_score(OUTCOME, decided),
        "roc_auc": sklearn_metrics.roc_auc_score(OUTCOME, TIED),
        "pr_auc": sklearn_metrics.average_precision_score(OUTCOME, TIED),
        "brier": sklearn_metrics.brier_score_loss(OUTCOME, TIED),
        "log_loss": sklearn_metrics.log_loss(OUTCOME, TIED),
        "ks": ks_2samp(TIED[OUTCOME == 1], TIED[OUTCOME == 0]).statistic,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_a_score_that_is_not_a_number_has_no_auc() -> None:
    for row in (np.flatnonzero(OUTCOME)[0], np.flatnonzero(OUTCOME == 0)[0]):
        score = TRUE.copy()
        score[row] = np.nan
        assert np.isnan(metrics.auc(OUTCOME, score))
        assert np.isnan(metrics.auc_error(OUTCOME, score))


def test_ece_by_hand() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    assert metrics.ece(np.array([0, 0, 1, 1]), probability) == pytest.approx(0.05)
    assert metrics.ece(np.array([1, 1, 0, 0]), probability) == pytest.approx(0.95)
    assert metrics.ece(np.array([1, 1]), np.array([1.0, 1.0])) == 0, "a probability of 1 has a bin"


def test_lift_by_hand() -> None:
    outcome = np.array([1, 1] + [0, 1] * 4 + [0] * 10)
    assert metrics.lift(outcome, np.linspace(1, 0, 20), 0.1) == pytest.approx(1 / (6 / 20))


def test_of_equally_good_thresholds_the_one_that_contacts_fewest() -> None:
    thresholds = np.unique(TIED)
    f1 = np.array([metrics.scores_at(OUTCOME, TIED, t)["f1"] for t in thresholds])
    chosen = metrics.best_f1_threshold(OUTCOME, TIED)
    assert chosen in thresholds
    assert metrics.scores_at(OUTCOME, TIED, chosen)["f1"] >= f1.max() - metrics.F1_TIE
    assert (f1[thresholds > chosen] < f1.max() - metrics.F1_TIE).all()


def test_a_bootstrap_interval_holds_the_score_and_narrows_with_rows() -> None:
    def interval(rows: int) -> tuple[float, float]:
        measure = lambda drawn: {"roc_auc": metrics.auc(OUTCOME[:rows][drawn], TRUE[:rows][drawn])}  # noqa: E731
        return metrics.bootstrap(OUTCOME[:rows], measure, 200, seed=1)["roc_auc"]

    (low, high), (wide_low, wide_high) = interval(3000), interval(300)
    assert low < metrics.auc(OUTCOME, TRUE) < high
    assert wide_high - wide_low > 2 * (high - low)


def test_the_folds_interval_is_corrected_for_their_overlap() -> None:
    from scipy.stats import t

    by_fold = [0.80, 0.82, 0.84, 0.83, 0.81]
    low, high = metrics.fold_interval(by_fold)
    # By hand: the variance of the folds is 0.00025; 1/5 + 1/4 of it, not 1/5, is that of their mean (Nadeau & Bengio 2003).
    half = t.ppf(0.975, 4) * np.sqrt(0.00025 * (1 / 5 + 1 / 4))
    assert (low, high) == pytest.approx((0.82 - half, 0.82 + half))
    assert high - low == pytest.approx(0.0589, abs=0.0001)


def test_recalibration_is_used_only_where_it_helps() -> None:
    folds = np.array_split(np.random.default_rng(0).permutation(len(TRUE)), 5)
    assert not calibration.learn(OUTCOME, TRUE, folds).used or calibration.learn(OUTCOME, TRUE, folds).slope == (
        pytest.approx(1, abs=0.15)
    )
    distorted = calibration.recalibrate(TRUE, 2.0, 1.0)
    found = calibration.learn(OUTCOME, distorted, folds)
    assert found.used
    np.testing.assert_allclose((found.slope, found.intercept), (0.5, -0.5), atol=0.1)
    assert metrics.ece(OUTCOME, found.apply(distorted)) < 0.03 < metrics.ece(OUTCOME, distorted)


def test_recalibration_is_judged_where_it_was_not_learned() -> None:
    outcome, honest = OUTCOME[:200], TRUE[:200]
    folds = np.array_split(np.random.default_rng(0).permutation(200), 5)
    found = calibration.learn(outcome, honest, folds)
    learned = calibration.recalibrate(honest, *calibration._fit(outcome, honest))
    assert metrics.brier(outcome, learned) < found.brier[0] < found.brier[1]
    assert not found.used
    # Rows that no fold tests on have no out-of-fold probability, and take no part.
    padded = np.append(outcome, [0, 1, 1]), np.append(honest, [np.nan] * 3)
    assert calibration.learn(*padded, folds) == found


def test_recalibration_never_turns_the_order_around() -> None:
    folds = np.array_split(np.arange(len(TRUE)), 5)
    assert not calibration.learn(OUTCOME, 1 - TRUE, folds).used
