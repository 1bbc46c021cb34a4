"""Estimated and realised scores: the estimate follows the customers, and misses what only outcomes show."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.monitoring.performance import CERTAIN, Estimator
from churn.serving.reference_data import Reference
from churn.settings.monitor import Performance
from churn.training import metrics


def answers(rows: int, seed: int, spread: float = 1.3, believed: float = 1.0) -> pd.DataFrame:
    """Customers whose churn has the probability that the model says, if ``believed`` is 1; else other than it says."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1.2, spread, rows)
    probability, true = (1 / (1 + np.exp(-scale * logit)) for scale in (1.0, believed))
    return pd.DataFrame(
        {"probability": probability, "decision": probability >= 0.3, "outcome": rng.random(rows) < true}
    )


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(Reference(SimpleNamespace(), SimpleNamespace(), 0.3, answers(3000, 0)), Performance())


def true(window: pd.DataFrame) -> float:
    return metrics.auc(window.outcome.to_numpy(int), window.probability.to_numpy())


@pytest.mark.parametrize("spread", [1.3, 0.9, 0.6])
def test_the_estimate_follows_the_customers(estimator: Estimator, spread: float) -> None:
    window = answers(5000, 1, spread)
    estimate = next(s for s in estimator.estimate(window.drop(columns="outcome")) if s.metric == "roc_auc")
    assert estimate.value == pytest.approx(true(window), abs=0.02)
    assert estimate.fell == (spread < 1)


def test_a_fall_that_chance_explains_is_none(estimator: Estimator) -> None:
    small, large = (
        next(s for s in estimator.estimate(answers(rows, 2)) if s.metric == "roc_auc") for rows in (300, 100_000)
    )
    before, error = estimator.reference["roc_auc"]
    assert small.threshold == pytest.approx(before - CERTAIN * np.hypot(small.error, error))
    assert small.threshold < large.threshold <= before - 0.03


def test_realised_scores_are_those_of_the_outcomes_and_show_concept_drift(estimator: Estimator) -> None:
    window = answers(5000, 3, believed=0.2)
    found = estimator.realised(window)
    assert found.score("roc_auc").value == pytest.approx(true(window))
    assert found.score("accuracy").value == pytest.approx((window.decision == window.outcome).mean())
    assert [score.metric for score in found.fallen] == ["roc_auc"]
    assert found.estimated["roc_auc"] - found.score("roc_auc").value > 0.1
    assert (found.rows, found.churned) == (5000, int(window.outcome.sum()))
