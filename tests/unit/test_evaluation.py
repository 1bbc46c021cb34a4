"""Scores, threshold, gate and comparison on cases small enough to check by hand."""

import numpy as np
import pandas as pd
import pytest
from churn import comparison, gate, scores
from churn.config import Promotion
from churn.errors import ChurnError

OUTCOME = np.array([0, 0, 1, 1, 0, 1, 0, 0, 1, 0])
PROBABILITY = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.3, 0.05, 0.6, 0.5])


def test_scores_are_those_done_by_hand() -> None:
    found = scores.evaluate(OUTCOME, PROBABILITY, threshold=0.5)
    assert found["accuracy"] == 0.8
    assert (found["precision"], found["recall"], found["f1"]) == (0.75, 0.75, 0.75)
    assert found["roc_auc"] == pytest.approx(22 / 24)
    assert found["brier"] == pytest.approx(np.mean((OUTCOME - PROBABILITY) ** 2))


def test_the_threshold_has_the_best_f1() -> None:
    best = scores.best_f1_threshold(OUTCOME, PROBABILITY)
    f1 = {t: scores.evaluate(OUTCOME, PROBABILITY, t)["f1"] for t in np.unique(PROBABILITY)}
    assert f1[best] == max(f1.values())


def test_auc_is_scikit_learns_with_ties() -> None:
    from sklearn.metrics import roc_auc_score

    score = np.round(PROBABILITY, 1)
    assert scores.auc(OUTCOME, score) == pytest.approx(roc_auc_score(OUTCOME, score))


def test_a_closed_gate_names_what_failed_and_never_promotes() -> None:
    found = {"f1": 0.5, "roc_auc": 0.8, "ece": 0.02}
    closed = gate.Gate(gate.verdicts(found, {"f1": 0.58, "roc_auc": 0.6, "ece": 0.03}), None)
    assert [verdict.passed for verdict in closed.verdicts] == [False, True, True], "an error has a most, not a least"
    assert not closed.passed
    assert not closed.promote
    with pytest.raises(ChurnError, match=r"f1 0\.5000 < 0\.58.*Nothing is registered"):
        closed.require()


def _compare(challenger: np.ndarray, champion: np.ndarray, outcome: np.ndarray) -> comparison.Comparison:
    return comparison.compare(outcome, challenger, champion, "1", Promotion(), seed=0)


def test_only_a_certain_gain_promotes() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.integers(0, 2, 2000)
    good, bad = (outcome * strength + rng.normal(0, 1, 2000) for strength in (2.0, 0.5))
    assert _compare(good, bad, outcome).promote
    assert not _compare(bad, good, outcome).promote
    assert not _compare(bad, bad, outcome).promote, "ties keep the champion"
    assert not _compare(good[:0], bad[:0], outcome[:0]).promote, "no fair row, no promotion"


def test_a_model_of_made_up_customers_gives_way_to_one_of_real_customers() -> None:
    assert comparison.not_comparable("1", made_up=False).promote
    assert not comparison.not_comparable("1", made_up=True).promote


def test_rows_that_the_champion_trained_on_do_not_count() -> None:
    holdout = pd.DataFrame({"id": ["a", "b", "c"], "x": [1, 2, 3]})
    train = pd.DataFrame({"id": ["b", "z"], "x": [9, 3]})
    assert comparison.unseen(holdout, train, "id").tolist() == [True, False, True]
    no_id = comparison.unseen(holdout.drop(columns="id"), train.drop(columns="id"), None)
    assert no_id.tolist() == [True, True, False]
