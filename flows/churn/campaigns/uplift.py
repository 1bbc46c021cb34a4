"""Learners of uplift over any classifier: by how much a contact raises a customer's chance to stay.

``x`` has shape (n, features), ``kept`` (1: the customer stayed) and ``contacted`` shape (n,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LEARNERS = ("s", "t", "x", "dr")
Make = Callable[[], Any]


@dataclass(frozen=True)
class Fitted:
    """A learner ready to score: ``uplift(x)`` gives shape (n,)."""

    uplift: Callable[[np.ndarray], np.ndarray]


def fit_learner(
    learner: str,
    classifier: Make,
    regressor: Make,
    x: np.ndarray,
    kept: np.ndarray,
    contacted: np.ndarray,
    share: float,
) -> Fitted:
    """Fit one of LEARNERS.

    ``classifier`` and ``regressor`` make unfitted scikit-learn estimators, ``share`` is the probability of contact. S, T and
    X as in Künzel et al. (2019), DR as in Kennedy (2023). Raises ValueError for another learner.
    """
    if learner == "s":
        one = classifier().fit(_with(x, contacted), kept)
        return Fitted(lambda new: _chance(one, _with(new, 1)) - _chance(one, _with(new, 0)))
    if learner not in LEARNERS:
        raise ValueError(f"no learner {learner!r}; there are {', '.join(LEARNERS)}")
    arms = contacted.astype(bool)
    if learner == "dr":
        scores = _doubly_robust(classifier, x, kept, arms, share)
        final = regressor().fit(x, scores)
        return Fitted(final.predict)
    treated, held = (classifier().fit(x[arm], kept[arm]) for arm in (arms, ~arms))
    if learner == "t":
        return Fitted(lambda new: _chance(treated, new) - _chance(held, new))
    gained = regressor().fit(x[arms], kept[arms] - _chance(held, x[arms]))
    missed = regressor().fit(x[~arms], _chance(treated, x[~arms]) - kept[~arms])
    return Fitted(lambda new: (1 - share) * gained.predict(new) + share * missed.predict(new))


def _doubly_robust(
    classifier: Make, x: np.ndarray, kept: np.ndarray, contacted: np.ndarray, share: float, seed: int = 0
) -> np.ndarray:
    """Scores whose conditional mean is the uplift, shape (n,); nobody's score uses a model that has seen them."""
    expected = cross_fitted_chances(classifier, x, kept, contacted, seed)
    rows, arm = np.arange(len(x)), contacted.astype(int)
    residual = kept - expected[rows, arm]
    weight = np.where(contacted, 1 / share, -1 / (1 - share))
    return expected[:, 1] - expected[:, 0] + weight * residual


def cross_fitted_chances(
    classifier: Make, x: np.ndarray, kept: np.ndarray, contacted: np.ndarray, seed: int, folds: int = 5
) -> np.ndarray:
    """The chance to stay when left alone and when contacted, shape (n, 2), each from models fitted on the other folds."""
    from sklearn.model_selection import StratifiedKFold

    found = np.empty((len(x), 2))
    both = kept.astype(int) * 2 + contacted.astype(int)
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, both):
        for arm in (0, 1):
            rows = train[contacted[train] == arm]
            found[test, arm] = _chance(classifier().fit(x[rows], kept[rows]), x[test])
    return found


def cross_fitted(
    learner: str,
    classifier: Make,
    regressor: Make,
    x: np.ndarray,
    kept: np.ndarray,
    contacted: np.ndarray,
    share: float,
    seed: int,
    folds: int = 5,
) -> np.ndarray:
    """Each customer's uplift by a model that has not seen them, shape (n,); see ``fit_learner``."""
    from sklearn.model_selection import StratifiedKFold

    found = np.empty(len(x))
    both = kept.astype(int) * 2 + contacted.astype(int)
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, both):
        fitted = fit_learner(learner, classifier, regressor, x[train], kept[train], contacted[train], share)
        found[test] = fitted.uplift(x[test])
    return found


def _with(x: np.ndarray, arm: Any) -> np.ndarray:
    return np.column_stack([x, np.broadcast_to(np.asarray(arm, dtype=np.float64), len(x))])


def _chance(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict_proba(x)[:, 1], dtype=np.float64)
