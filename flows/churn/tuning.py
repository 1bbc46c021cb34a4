"""The search over one model family, on the training rows only."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import features, models
from churn.config import Family, Search
from churn.dataset import Dataset
from churn.evaluation import best_f1_threshold

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

SCORING = {"roc_auc": "roc_auc", "average_precision": "average_precision", "neg_brier_score": "neg_brier_score",
           "neg_log_loss": "neg_log_loss"}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One parameter setting and its mean cross-validated scores."""

    params: dict[str, Any]
    scores: dict[str, float]


@dataclass(frozen=True)
class Candidate:
    """A family's best trial; ``spread`` is the standard deviation of the deciding metric over the folds."""

    family: Family
    trials: tuple[Trial, ...]
    best: Trial
    spread: float
    seconds: float


def folds(search: Search) -> Any:
    """The folds every family and the threshold use: stratified and shuffled by the seed."""
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(search.folds, shuffle=True, random_state=search.seed)


def tune(family: Family, search: Search, dataset: Dataset, train: "pd.DataFrame", jobs: int = 1) -> Candidate:
    """Random search (Bergstra & Bengio 2012; scikit-learn's RandomizedSearchCV) with stratified cross-validation."""
    from sklearn.model_selection import RandomizedSearchCV
    from threadpoolctl import threadpool_limits

    started = time.perf_counter()
    found = RandomizedSearchCV(
        models.build(family, dataset, search.seed),
        models.distributions(family),
        n_iter=family.iterations,
        scoring=SCORING,
        cv=folds(search),
        refit=False,
        random_state=search.seed,
        n_jobs=jobs,
        error_score="raise",
    )
    # Branches run side by side: more threads than the branch's share would only fight over the cores.
    with threadpool_limits(jobs):
        found.fit(features.frame(dataset, train), models.outcome(dataset, train))
    results = found.cv_results_
    trials = tuple(
        Trial(
            {name.removeprefix("model__"): _plain(value) for name, value in params.items()},
            {name: float(results[f"mean_test_{name}"][i]) for name in SCORING},
        )
        for i, params in enumerate(results["params"])
    )
    best = int(np.argmax([trial.scores[search.metric] for trial in trials]))
    spread = float(results[f"std_test_{search.metric}"][best])
    return Candidate(family, trials, trials[best], spread, time.perf_counter() - started)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def leaderboard(candidates: list[Candidate], metric: str) -> list[Candidate]:
    """Best first; ties by name, so that the order never depends on which branch finished first."""
    return sorted(candidates, key=lambda c: (-c.best.scores[metric], c.family.name))


def fit(candidate: Candidate, search: Search, dataset: Dataset, train: "pd.DataFrame") -> tuple["Pipeline", float]:
    """The candidate refitted on all training rows, and the threshold with the best F1 on its out-of-fold probabilities."""
    from sklearn.model_selection import cross_val_predict

    pipeline = models.build(candidate.family, dataset, search.seed, candidate.best.params)
    inputs, outcome = features.frame(dataset, train), models.outcome(dataset, train)
    unseen = cross_val_predict(pipeline, inputs, outcome, cv=folds(search), method="predict_proba")[:, 1]
    return pipeline.fit(inputs, outcome), best_f1_threshold(outcome, unseen)
