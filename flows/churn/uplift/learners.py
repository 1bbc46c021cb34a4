"""Learners of uplift over any classifier: by how much a contact raises a customer's probability of staying.

``x`` has shape (n, features), ``kept`` (1: the customer stayed) and ``contacted`` shape (n,); ``share`` is the probability with
which each customer was contacted, shape (n,), or one number for all.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from churn.uplift.pipeline import Uplift

LEARNERS = ("s", "t", "x", "dr")
FOLDS = 5
Make = Callable[[], Any]
Share = np.ndarray | float


def fit_learner(
    learner: str,
    classifier: Make,
    regressor: Make,
    x: np.ndarray,
    kept: np.ndarray,
    contacted: np.ndarray,
    share: Share,
    seed: int = 0,
) -> "Uplift":
    """Fit one of LEARNERS.

    ``classifier`` and ``regressor`` make unfitted scikit-learn estimators. S, T and X as in Künzel et al. (2019), DR as in
    Kennedy (2023). Raises ValueError for any other learner.
    """
    from churn.uplift.pipeline import Uplift, chance, with_arm

    if learner not in LEARNERS:
        raise ValueError(f"no learner {learner!r}; there are {', '.join(LEARNERS)}")
    if learner == "s":
        one = classifier().fit(with_arm(x, contacted), kept)
        return Uplift([1.0, -1.0], [1.0, 0.0], [one, one])
    arms = contacted.astype(bool)
    if learner == "dr":
        return Uplift([1.0], [None], [regressor().fit(x, _doubly_robust(classifier, x, kept, arms, share, seed))])
    treated, held = (classifier().fit(x[arm], kept[arm]) for arm in (arms, ~arms))
    if learner == "t":
        return Uplift([1.0, -1.0], [None, None], [treated, held])
    gained = regressor().fit(x[arms], kept[arms] - chance(held, x[arms]))
    missed = regressor().fit(x[~arms], chance(treated, x[~arms]) - kept[~arms])
    weight = float(np.mean(share))
    return Uplift([1 - weight, weight], [None, None], [gained, missed])


def _doubly_robust(
    classifier: Make, x: np.ndarray, kept: np.ndarray, contacted: np.ndarray, share: Share, seed: int
) -> np.ndarray:
    """Cross-fitted scores whose conditional mean is the uplift, shape (n,)."""
    expected = cross_fitted_chances(classifier, x, kept, contacted, seed)
    rows, arm = np.arange(len(x)), contacted.astype(int)
    residual = kept - expected[rows, arm]
    weight = np.where(contacted, 1 / np.asarray(share), -1 / (1 - np.asarray(share)))
    return expected[:, 1] - expected[:, 0] + weight * residual


def chances(classifier: Make, x: np.ndarray, kept: np.ndarray, contacted: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The probability that the customers ``new`` stay when left alone and when contacted, shape (len(new), 2)."""
    from churn.uplift.pipeline import chance

    arms = contacted.astype(bool)
    return np.column_stack([chance(classifier().fit(x[arm], kept[arm]), new) for arm in (~arms, arms)])


def cross_fitted_chances(
    classifier: Make, x: np.ndarray, kept: np.ndarray, contacted: np.ndarray, seed: int, folds: int = FOLDS
) -> np.ndarray:
    """The probability of staying when left alone and when contacted, shape (n, 2), from models fitted on the other folds."""
    predicted = np.empty((len(x), 2))
    for train, test in _folds(x, kept, contacted, seed, folds):
        predicted[test] = chances(classifier, x[train], kept[train], contacted[train], x[test])
    return predicted


def cross_fitted(
    learner: str,
    classifier: Make,
    regressor: Make,
    x: np.ndarray,
    kept: np.ndarray,
    contacted: np.ndarray,
    share: Share,
    seed: int,
    folds: int = FOLDS,
) -> np.ndarray:
    """Each customer's uplift, from a model that has not seen the customer, shape (n,); see ``fit_learner``."""
    predicted, shares = np.empty(len(x)), np.broadcast_to(share, len(x))
    for train, test in _folds(x, kept, contacted, seed, folds):
        fitted = fit_learner(
            learner, classifier, regressor, x[train], kept[train], contacted[train], shares[train], seed
        )
        predicted[test] = fitted.predict(x[test])
    return predicted


def _folds(
    x: np.ndarray, kept: np.ndarray, contacted: np.ndarray, seed: int, folds: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and to test on, stratified by arm and outcome."""
    from sklearn.model_selection import StratifiedKFold

    both = kept.astype(int) * 2 + contacted.astype(int)
    yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, both)
