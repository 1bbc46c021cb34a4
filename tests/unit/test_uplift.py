"""Uplift: metrics as the reference library's, learners that find the persuadables, policy values near the truth."""

import numpy as np
import pytest
from churn.campaigns import synthetic
from churn.uplift import learners, ranking_metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklift import metrics

ROWS = 8000


def classifier():
    """With interactions, which uplift by a single model (S) is made of; a hundredth of the time of boosted trees."""
    return make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=300))


def regressor():
    return make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), Ridge())


@pytest.fixture(scope="module")
def trial():
    truth = synthetic.population(ROWS, 5)
    contacted = np.random.default_rng(6).random(ROWS) < 0.5
    kept = ~truth.outcome(contacted)
    return truth, truth.table.drop(columns="customer_id").to_numpy(float), kept.astype(int), contacted


@pytest.mark.parametrize("levels", [3, 50, 100_000])
def test_qini_and_auuc_equal_the_reference(levels):
    rng = np.random.default_rng(levels)
    for rows in (50, 501):
        kept, arm = (rng.random(rows) < 0.7).astype(int), rng.random(rows) < 0.4
        score = rng.integers(0, levels, rows) / levels
        assert ranking_metrics.qini(kept, score, arm) == pytest.approx(
            metrics.qini_auc_score(kept, score, arm.astype(int)), abs=1e-9
        )
        assert ranking_metrics.auuc(kept, score, arm) == pytest.approx(
            metrics.uplift_auc_score(kept, score, arm.astype(int)), abs=1e-9
        )


@pytest.mark.long
@pytest.mark.parametrize("learner", learners.LEARNERS)
def test_contacting_by_uplift_keeps_half_as_many_again_as_contacting_by_risk(trial, learner):
    truth, x, kept, contacted = trial
    score = learners.cross_fitted(learner, classifier, regressor, x, kept, contacted, 0.5, 0)
    budget = len(x) // 5
    by_uplift, by_risk = (truth.uplift[np.argsort(-rank)[:budget]].sum() for rank in (score, truth.alone))
    assert by_uplift >= 1.5 * by_risk
    assert ranking_metrics.resampled(ranking_metrics.qini, kept, score, contacted, 0, 50).low > 0


def test_the_policy_values_cover_the_truth(trial):
    truth, x, kept, contacted = trial
    policy = truth.alone > 0.4
    expected = learners.cross_fitted_chances(classifier, x, kept, contacted, 0)
    real = 1 - np.where(policy, truth.contacted, truth.alone).mean()
    weighted = ranking_metrics.policy_value(kept, contacted, 0.5, policy)
    robust = ranking_metrics.policy_value(kept, contacted, 0.5, policy, expected)
    assert weighted.low <= real <= weighted.high
    assert robust.low <= real <= robust.high
    assert robust.high - robust.low < 0.8 * (weighted.high - weighted.low)


def test_another_learner_is_refused():
    with pytest.raises(ValueError, match="there are s, t, x, dr"):
        learners.fit_learner("r", classifier, regressor, np.ones((2, 1)), np.ones(2), np.ones(2), 0.5)
