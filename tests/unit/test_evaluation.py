"""Scores, threshold, gate and comparison on cases small enough to check by hand."""

import numpy as np
import pytest
from churn.errors import ChurnError
from churn.registry import gate
from churn.training import metrics

OUTCOME = np.array([0, 0, 1, 1, 0, 1, 0, 0, 1, 0])
PROBABILITY = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.3, 0.05, 0.6, 0.5])


def test_scores_are_those_done_by_hand() -> None:
    found = metrics.scores_at(OUTCOME, PROBABILITY, threshold=0.5)
    assert found["accuracy"] == 0.8
    assert (found["precision"], found["recall"], found["f1"]) == (0.75, 0.75, 0.75)
    assert found["roc_auc"] == pytest.approx(22 / 24)
    assert found["brier"] == pytest.approx(np.mean((OUTCOME - PROBABILITY) ** 2))


def test_the_threshold_has_the_best_f1() -> None:
    best = metrics.best_f1_threshold(OUTCOME, PROBABILITY)
    f1 = {t: metrics.scores_at(OUTCOME, PROBABILITY, t)["f1"] for t in np.unique(PROBABILITY)}
    assert f1[best] == max(f1.values())


def test_auc_is_scikit_learns_with_ties() -> None:
    from sklearn.metrics import roc_auc_score

    score = np.round(PROBABILITY, 1)
    assert metrics.auc(OUTCOME, score) == pytest.approx(roc_auc_score(OUTCOME, score))


def test_a_closed_gate_names_what_failed_and_never_promotes() -> None:
    found = {"f1": 0.5, "roc_auc": 0.8, "ece": 0.02}
    closed = gate.Gate(gate.verdicts(found, {"f1": 0.58, "roc_auc": 0.6, "ece": 0.03}), None)
    assert [verdict.passed for verdict in closed.verdicts] == [False, True, True], "an error has a most, not a least"
    assert not closed.passed
    assert not closed.promote
    with pytest.raises(ChurnError, match=r"f1 0\.5000 < 0\.58.*Nothing is registered"):
        closed.require("card", "change its bounds")
