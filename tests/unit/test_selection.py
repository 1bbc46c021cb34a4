"""Families are blended where their out-of-fold predictions say so, and the blend is one model like any other."""

import dataclasses
import tempfile

import numpy as np
import pandas as pd
import pytest
from churn.data import features, synthetic
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.train import Family, Search, TrainConfig
from churn.training import estimators, folds, hyperparameter_search, metrics, onnx_scorer, selection
from churn.training.hyperparameter_search import Candidate, Trial
from conftest import ROOT

SEARCH = Search(folds=3)


@pytest.fixture(scope="module")
def train(telco: Dataset) -> pd.DataFrame:
    return synthetic.generate(telco, 900, seed=5)


def _candidate(name: str, unseen: np.ndarray, train: pd.DataFrame, dataset: Dataset) -> Candidate:
    outcome = features.outcome(dataset, train)
    tested = [places.test for places in folds.folds(SEARCH, dataset, train)]
    by_fold = tuple(metrics.auc(outcome[places], unseen[places]) for places in tested)
    best = Trial({"C": 1.0}, {"roc_auc": float(np.mean(by_fold))}, by_fold)
    family = Family(name=name, estimator="sklearn.linear_model.LogisticRegression")
    return Candidate(family, (best,), best, unseen, 1.0)


def _independent(train: pd.DataFrame, dataset: Dataset) -> list[Candidate]:
    """Two candidates that know different things, one that knows what the first does, and one that knows nothing."""
    rng = np.random.default_rng(0)
    outcome = features.outcome(dataset, train)
    signal = [np.clip(0.3 * outcome + rng.random(len(outcome)) * 0.7, 0, 1) for _ in range(2)]
    made = {"a": signal[0], "b": signal[1], "like_a": signal[0] * 0.999, "noise": rng.random(len(outcome))}
    return [_candidate(name, unseen, train, dataset) for name, unseen in made.items()]


def test_only_families_that_add_something_are_blended(telco: Dataset, train: pd.DataFrame) -> None:
    candidates = _independent(train, telco)
    board = selection.board(candidates, SEARCH, telco, train)
    assert board[0].family.name == "blend"
    assert len(board[0].members) == 2
    assert "noise" not in {member.family.name for member in board[0].members}
    assert sum(board[0].weights) == pytest.approx(1)
    np.testing.assert_allclose(
        board[0].unseen, np.average([m.unseen for m in board[0].members], axis=0, weights=board[0].weights)
    )
    alone = selection.board(candidates, SEARCH.model_copy(update={"blend": False}), telco, train)
    assert {c.family.name for c in alone} == {"a", "b", "like_a", "noise"}
    assert len(selection.board(candidates[::2], SEARCH, telco, train)) == 2, "two that know the same gain nothing"


@pytest.mark.long
def test_a_blend_is_the_mean_of_its_members_also_in_onnx(telco: Dataset, train: pd.DataFrame) -> None:
    families = core.load(TrainConfig, ROOT / "tests" / "quick_train.toml").model
    tuned = [
        hyperparameter_search.tune(family.model_copy(update={"iterations": 1}), SEARCH, telco, train)
        for family in families
    ]
    mixed = dataclasses.replace(tuned[0], members=tuple(tuned), unseen=np.mean([c.unseen for c in tuned], axis=0))
    chosen = selection.finalize(mixed, SEARCH, telco, train, None)
    inputs, outcome = features.frame(telco, train), features.outcome(telco, train)
    alone = [estimators.build_pipeline(c.family, telco, SEARCH.seed, c.best.params).fit(inputs, outcome) for c in tuned]
    last = chosen.pipeline.steps[-1][1]
    np.testing.assert_allclose(
        getattr(last, "estimator", last).predict_proba(inputs),
        np.mean([one.predict_proba(inputs) for one in alone], axis=0),
        atol=1e-12,
    )
    with tempfile.TemporaryDirectory() as folder:
        onnx_scorer.write(folder, chosen.pipeline, {"dataset": telco.model_dump(mode="json"), "threshold": 0.5})
        assert (
            onnx_scorer.check_parity(onnx_scorer.Scorer(folder), estimators.whole(chosen.pipeline, telco), train, 0)
            <= 1e-5
        )


def test_the_threshold_is_one_of_calibrated_probabilities(telco: Dataset, train: pd.DataFrame) -> None:
    logistic = core.load(TrainConfig, ROOT / "tests" / "quick_train.toml").model[0]
    weighted = logistic.model_copy(update={"iterations": 1, "fixed": {"class_weight": "balanced", "max_iter": 2000}})
    winner, outcome = hyperparameter_search.tune(weighted, SEARCH, telco, train), features.outcome(telco, train)
    chosen = selection.finalize(winner, SEARCH, telco, train, None)
    assert chosen.calibration.used, "class weights distort probabilities"
    assert chosen.threshold == metrics.best_f1_threshold(outcome, chosen.calibration.apply(winner.unseen))
    assert abs(chosen.threshold - metrics.best_f1_threshold(outcome, winner.unseen)) > 0.1
    probability = chosen.pipeline.predict_proba(features.frame(telco, train))[:, 1]
    best = max(metrics.scores_at(outcome, probability, t)["f1"] for t in np.linspace(0.05, 0.95, 91))
    assert metrics.scores_at(outcome, probability, chosen.threshold)["f1"] > best - 0.03, "it fits what the model says"


def test_a_family_cannot_have_the_blends_name() -> None:
    text = "[[model]]\nname = 'blend'\nestimator = 'sklearn.linear_model.LogisticRegression'"
    with pytest.raises(ChurnError, match="no \\[\\[model\\]\\] may be named 'blend'"):
        core.parse(TrainConfig, text, "train.toml")
